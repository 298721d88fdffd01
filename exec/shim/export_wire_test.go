package shim

import (
	"bytes"
	"io"
	"reflect"

	"github.com/orchard9/rdev/exec"
)

// The kinds of packets, for tests that speak the protocol by themselves.
const (
	KindHello     = byte(kindHello)
	KindHeartbeat = byte(kindHeartbeat)
	KindExecute   = byte(kindExecute)
	KindStatus    = byte(kindStatus)
	KindRefuse    = byte(kindRefuse)
	KindAccepted  = byte(kindAccepted)
	KindLines     = byte(kindLines)
	KindResult    = byte(kindResult)
	KindFailure   = byte(kindFailure)
)

// WritePacket writes a packet.
func WritePacket(w io.Writer, kind byte, channel uint32, payload []byte) error {
	var b bytes.Buffer
	if err := writePacket(&b, packetKind(kind), channel, payload); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// ReadPacket reads a packet.
func ReadPacket(r io.Reader) (kind byte, channel uint32, payload []byte, err error) {
	p, err := (&packetReader{r: r, alloc: allocate}).next()
	return byte(p.kind), p.channel, p.payload, err
}

// Hello makes the payload of a hello.
func Hello(lowest, highest uint16, instance string, drain bool) []byte {
	return hello{lowest: lowest, highest: highest, about: helloAbout{Instance: instance, Drain: drain}}.encode()
}

// HelloVersions reads the versions out of a hello.
func HelloVersions(payload []byte) (lowest, highest uint16, err error) {
	h, err := decodeHello(payload)
	return h.lowest, h.highest, err
}

// ExecuteRequest makes the payload of a request.
func ExecuteRequest(workspace string, cmd exec.Command) []byte {
	return executeRequest{workspace: workspace, cmd: cmd, window: 1 << 20}.encode()
}

// CheckRequest decodes a request; one that is valid is the same after it was
// encoded again.
func CheckRequest(payload []byte) bool {
	r, err := decodeExecute(payload)
	if err != nil {
		return true
	}
	again, err := decodeExecute(r.encode())
	return err == nil && reflect.DeepEqual(r, again)
}

// Result makes the payload of a result.
func Result(r exec.Result) []byte { return encodeResult(r) }
