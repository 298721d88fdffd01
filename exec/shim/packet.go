package shim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// What travels on a connection are packets; their layout is in the package's
// documentation.
const (
	packetHead = 4 + 1 + 3 + 4
	packetTail = 4
	packetMax  = 256 << 10
	// maxPayload is what a packet can carry: any frame of a log, whole.
	maxPayload = packetMax - packetHead - packetTail
)

// A packetKind says what a packet's payload is. The values are sent; they do
// not change.
type packetKind byte

const (
	// Either way.
	kindHello     packetKind = 1
	kindHeartbeat packetKind = 2

	// From the client.
	kindEnviron packetKind = 16
	kindExecute packetKind = 17
	kindCredit  packetKind = 18
	kindEnd     packetKind = 19
	kindDetach  packetKind = 20
	kindCancel  packetKind = 21
	kindKill    packetKind = 25
	kindForget  packetKind = 22
	kindStatus  packetKind = 23
	kindDrain   packetKind = 24

	// From the server.
	kindRefuse   packetKind = 32
	kindAccepted packetKind = 33
	kindLines    packetKind = 34
	kindResult   packetKind = 35
	kindFailure  packetKind = 36
	kindDone     packetKind = 37
	kindPacked   packetKind = 38
)

// A packet is one unit of the protocol.
type packet struct {
	kind    packetKind
	channel uint32
	payload []byte
}

// errProtocol ends a connection whose peer says what makes no sense.
var errProtocol = errors.New("protocol error")

func protocolErrorf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errProtocol, fmt.Sprintf(format, args...))
}

// writePacket writes a packet whose payload is the parts one after the other.
func writePacket(w io.Writer, kind packetKind, channel uint32, parts ...[]byte) error {
	size := 0
	for _, part := range parts {
		size += len(part)
	}
	if size > maxPayload {
		return protocolErrorf("a payload of %d bytes", size)
	}
	var head [packetHead]byte
	binary.LittleEndian.PutUint32(head[0:], uint32(size))
	head[4] = byte(kind)
	binary.LittleEndian.PutUint32(head[8:], channel)
	sum := crc32.Checksum(head[:], castagnoli())
	if _, err := w.Write(head[:]); err != nil {
		return err
	}
	for _, part := range parts {
		sum = crc32.Update(sum, castagnoli(), part)
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	_, err := w.Write(binary.LittleEndian.AppendUint32(nil, sum))
	return err
}

// A packetReader reads packets. Its buffers are of the size that packets have.
type packetReader struct {
	r    io.Reader
	head [packetHead]byte
	// alloc returns memory for n bytes, payload and checksum.
	alloc func(n int) []byte
}

// next returns the next packet, whose payload is the reader's alloc's. The
// error is io.EOF only between two packets.
func (r *packetReader) next() (packet, error) {
	if _, err := io.ReadFull(r.r, r.head[:]); err != nil {
		return packet{}, err
	}
	size := binary.LittleEndian.Uint32(r.head[0:])
	if size > maxPayload {
		return packet{}, protocolErrorf("a payload of %d bytes", size)
	}
	if r.head[5]|r.head[6]|r.head[7] != 0 {
		return packet{}, protocolErrorf("reserved bytes are set")
	}
	buf := r.alloc(int(size) + packetTail)
	if _, err := io.ReadFull(r.r, buf); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return packet{}, err
	}
	payload := buf[:size]
	sum := crc32.Update(crc32.Checksum(r.head[:], castagnoli()), castagnoli(), payload)
	if sum != binary.LittleEndian.Uint32(buf[size:]) {
		return packet{}, protocolErrorf("a checksum is wrong")
	}
	return packet{
		kind:    packetKind(r.head[4]),
		channel: binary.LittleEndian.Uint32(r.head[8:]),
		payload: payload,
	}, nil
}

// A bulkBuffer has room for nearly all packets of lines that come quickly.
type bulkBuffer [160 << 10]byte

// bulkBuffers are used again, since a new one for each such packet costs as much
// as to read it.
var bulkBuffers = newBufferPool(func() *bulkBuffer { return new(bulkBuffer) })

// allocate is the alloc of clients.
func allocate(n int) []byte {
	if n < len(bulkBuffer{})/4 || n > len(bulkBuffer{}) {
		return make([]byte, n)
	}
	return bulkBuffers.get()[:n]
}

// recycle takes a payload that allocate made room for and nobody holds any more.
func recycle(payload []byte) {
	if whole := payload[:cap(payload)]; len(whole) == len(bulkBuffer{}) {
		bulkBuffers.put((*bulkBuffer)(whole))
	}
}
