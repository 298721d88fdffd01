package postgres

import (
	"encoding/json"
	"fmt"

	"github.com/orchard9/rdev/rdev"
)

// record is a rdev.Command as the column doc has it. The owner is not in it: it
// is a column, which leases alone change.
type record struct {
	rdev.Command
	// Stdin stands beside Spec, which cannot tell an empty one from none.
	Stdin []byte
}

func encode(cmd rdev.Command) ([]byte, error) {
	r := record{Command: cmd, Stdin: cmd.Spec.Stdin}
	r.Owner, r.Audit, r.Gate, r.Spec.Stdin, r.Spec.After = "", nil, rdev.Gate{}, nil, 0
	doc, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode record %s: %w", cmd.ID, err)
	}
	return doc, nil
}

func decode(doc []byte) (rdev.Command, error) {
	var r record
	if err := json.Unmarshal(doc, &r); err != nil {
		return rdev.Command{}, fmt.Errorf("decode record: %w", err)
	}
	r.Spec.Stdin = r.Stdin
	return r.Command, nil
}

func decodeAll(docs [][]byte) ([]rdev.Command, error) {
	cmds := make([]rdev.Command, len(docs))
	for i, doc := range docs {
		var err error
		if cmds[i], err = decode(doc); err != nil {
			return nil, fmt.Errorf("store/postgres: %w", err)
		}
	}
	return cmds, nil
}

// asStored returns what a reader of the record would get, in memory of its own.
// A record can be encoded always: it holds nothing but text, numbers and bytes.
func asStored(cmd rdev.Command) rdev.Command {
	doc, err := encode(cmd)
	if err == nil {
		cmd, err = decode(doc)
	}
	if err != nil {
		panic(err)
	}
	return cmd
}
