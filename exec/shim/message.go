package shim

import (
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/orchard9/rdev/exec"
)

// protocolMagic begins each hello.
const protocolMagic = "rdevshim"

// The protocol versions that this package speaks.
const (
	lowestVersion  = 1
	highestVersion = 1
)

// A hello is the first packet in each direction. Its layout and that of the
// refusal are the same in all versions.
type hello struct {
	lowest, highest uint16 // from the server: the version that it chose, twice
	about           helloAbout
}

// helloAbout may grow: who does not know a field ignores it.
type helloAbout struct {
	Build        string   `json:"build,omitempty"`
	Instance     string   `json:"instance,omitempty"`
	Engine       string   `json:"engine,omitempty"` // its name, see Engine.Incarnation
	Capabilities []string `json:"capabilities,omitempty"`
	PID          int      `json:"pid,omitempty"`
	// Pack says that the client takes lines packed.
	Pack bool `json:"pack,omitempty"`
	// Drain asks a server that speaks no version of the client's to drain.
	Drain bool `json:"drain,omitempty"`
}

// isAt reports whether the instance is the server's incarnation.
func (a helloAbout) isAt(instance string) bool {
	return a.Engine != "" && instance == a.incarnation()
}

func (a helloAbout) incarnation() string {
	if a.Engine == "" { // it proves nothing
		return a.Instance
	}
	return a.Engine + incarnationSep + a.Instance
}

func (h hello) encode() []byte {
	b := []byte(protocolMagic)
	b = binary.LittleEndian.AppendUint16(b, h.lowest)
	b = binary.LittleEndian.AppendUint16(b, h.highest)
	about, _ := json.Marshal(h.about) // strings and numbers: no error
	return append(b, about...)
}

func decodeHello(b []byte) (hello, error) {
	const fixed = len(protocolMagic) + 4
	if len(b) < fixed || string(b[:len(protocolMagic)]) != protocolMagic {
		return hello{}, protocolErrorf("the peer is no shim")
	}
	h := hello{
		lowest:  binary.LittleEndian.Uint16(b[len(protocolMagic):]),
		highest: binary.LittleEndian.Uint16(b[len(protocolMagic)+2:]),
	}
	if err := json.Unmarshal(b[fixed:], &h.about); err != nil {
		return hello{}, protocolErrorf("a malformed hello")
	}
	return h, nil
}

// An executeRequest is the payload of kindExecute.
type executeRequest struct {
	workspace string
	cmd       exec.Command
	window    uint32 // bytes of lines that the client takes before its first credit
	noStart   bool   // follow the command if it is known, else say so
}

// What may be done with a command, bit by bit.
const (
	flagNoStart = 1 << iota
	flagResume
	flagsEnd
)

func (r executeRequest) flags() (flags uint64) {
	if r.noStart {
		flags |= flagNoStart
	}
	if r.cmd.Resume {
		flags |= flagResume
	}
	return flags
}

// maxRequest is more than the longest request that can be valid.
const maxRequest = exec.MaxStdin + 2*exec.MaxArgBytes + 2*exec.MaxEnvBytes + 64<<10

func (r executeRequest) encode() []byte {
	c := r.cmd
	e := encoder(make([]byte, 0, 512+len(c.Stdin)))
	e.uint(r.flags())
	e.uint(uint64(r.window))
	e.text(r.workspace)
	e.uint(c.After)
	e.text(c.ID)
	e.text(c.Target.Name)
	e.text(c.Target.Instance)
	e.texts(c.Argv)
	e.uint(uint64(len(c.Env)))
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		e.text(name)
		e.text(c.Env[name])
	}
	e.text(c.Dir)
	e.int(int64(c.Timeout))
	e.int(int64(c.Grace))
	e.int(c.MaxOutput)
	e.bool(c.Stdin != nil)
	return append(e, c.Stdin...)
}

// decodeExecute returns a request whose Stdin is a part of b.
func decodeExecute(b []byte) (executeRequest, error) {
	d := decoder{rest: b}
	var r executeRequest
	flags := d.uint()
	r.noStart, r.cmd.Resume = flags&flagNoStart != 0, flags&flagResume != 0
	window := d.uint()
	r.workspace = d.text()
	c := &r.cmd
	c.After = d.uint()
	c.ID = d.text()
	c.Target.Name = d.text()
	c.Target.Instance = d.text()
	c.Argv = d.texts()
	if n := d.count(2); n > 0 {
		c.Env = make(map[string]string, n)
		for range n {
			name := d.text()
			c.Env[name] = d.text()
		}
	}
	c.Dir = d.text()
	c.Timeout = time.Duration(d.int())
	c.Grace = time.Duration(d.int())
	c.MaxOutput = d.int()
	if d.bool() {
		c.Stdin = d.rest
		if c.Stdin == nil {
			c.Stdin = []byte{}
		}
	} else if len(d.rest) > 0 {
		d.bad = true
	}
	if window > maxWindow || flags >= flagsEnd {
		d.bad = true
	}
	r.window = uint32(window)
	if d.bad {
		return executeRequest{}, protocolErrorf("a malformed request")
	}
	return r, nil
}

// encoder appends values that decoder reads.
type encoder []byte

func (e *encoder) uint(n uint64) { *e = binary.AppendUvarint(*e, n) }
func (e *encoder) int(n int64)   { *e = binary.AppendVarint(*e, n) }

func (e *encoder) bool(b bool) {
	if b {
		*e = append(*e, 1)
	} else {
		*e = append(*e, 0)
	}
}

func (e *encoder) text(s string) {
	e.uint(uint64(len(s)))
	*e = append(*e, s...)
}

func (e *encoder) texts(list []string) {
	e.uint(uint64(len(list)))
	for _, s := range list {
		e.text(s)
	}
}

// decoder reads values until one is not there, after which bad is set and all
// others are zero.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) uint() uint64 {
	n, w := binary.Uvarint(d.rest)
	return number(d, n, w)
}

func (d *decoder) int() int64 {
	n, w := binary.Varint(d.rest)
	return number(d, n, w)
}

func number[T uint64 | int64](d *decoder, n T, size int) T {
	if size <= 0 || d.bad {
		d.bad, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *decoder) bool() bool {
	n := d.uint()
	if n > 1 {
		d.bad = true
	}
	return n == 1
}

func (d *decoder) text() string {
	n := d.uint()
	if d.bad || n > uint64(len(d.rest)) {
		d.bad, d.rest = true, nil
		return ""
	}
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}

// count reads a number of things that take so many bytes each at least.
func (d *decoder) count(size int) int {
	n := d.uint()
	if d.bad || n > uint64(len(d.rest)/size) {
		d.bad, d.rest = true, nil
		return 0
	}
	return int(n)
}

func (d *decoder) texts() []string {
	list := make([]string, d.count(1))
	for i := range list {
		list[i] = d.text()
	}
	return list
}

// encodeResult and decodeResult: once for each command, so that JSON costs
// nothing and a new field needs no new version.
func encodeResult(r exec.Result) []byte {
	b, _ := json.Marshal(r) // no error: there is nothing in it that JSON has not
	return b
}

func decodeResult(b []byte) (exec.Result, error) {
	var r exec.Result
	if err := json.Unmarshal(b, &r); err != nil || r.Reason == "" {
		return exec.Result{}, protocolErrorf("a malformed result")
	}
	return r, nil
}
