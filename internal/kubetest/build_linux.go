package kubetest

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
)

func (o *own) build(ctx context.Context, b Build) error {
	entries := make([]entry, 0, len(b.Files))
	for _, f := range b.Files {
		mode := int64(f.Mode.Perm())
		if f.Mode&fs.ModeSticky != 0 {
			mode |= 0o1000
		}
		entries = append(entries, entry{name: f.Path, mode: mode, dir: f.Mode.IsDir(), id: f.ID, from: f.From, data: f.Data})
	}
	config := imageConfig{
		Entrypoint: b.Entrypoint, Cmd: b.Cmd, Env: append([]string{searchPath}, b.Env...),
		User: b.User, WorkingDir: b.WorkingDir, StopSignal: b.StopSignal, Volumes: map[string]struct{}{},
	}
	for _, v := range b.Volumes {
		config.Volumes[v] = struct{}{}
	}
	number := o.runs.Add(1)
	layer := filepath.Join(o.slot.dir, "tmp", fmt.Sprintf("build-%d.layer.tar", number))
	if err := writeLayer(layer, entries); err != nil {
		return fmt.Errorf("kubetest: image %s: %w", b.Reference, err)
	}
	path := filepath.Join(o.slot.dir, "tmp", fmt.Sprintf("build-%d.tar", number))
	id, err := writeArchive(path, b.Reference, config, []string{layer})
	if err != nil {
		return fmt.Errorf("kubetest: image %s: %w", b.Reference, err)
	}
	return o.importImage(ctx, b.Reference, path, id)
}
