package shim

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
)

// incarnationSep stands between the names of an engine and of its state folder
// in Engine.Incarnation. Neither holds one.
const incarnationSep = "."

// folderOf returns the name of the state folder in a Target.Instance, which may
// be an incarnation or that name alone.
func folderOf(instance string) string {
	if _, folder, ok := strings.Cut(instance, incarnationSep); ok {
		return folder
	}
	return instance
}

// forgottenBits is the size of a forgotten; its memory is an eighth of that.
const forgottenBits = 1 << 20

// forgotten tells the IDs that an engine had and has deleted from those that it
// never had. It is a Bloom filter, whose size does not grow: it takes one ID of
// a hundred for forgotten when there were a hundred thousand, and every one some
// time after a million. It never takes one for new that is not.
//
// It is in memory, and not in the state folder. There it would have to be
// fsynced before the folder of a command is deleted, or the machine may go down
// between the two.
type forgotten struct{ words []uint64 }

func (f *forgotten) add(id string) {
	if f.words == nil {
		f.words = make([]uint64, forgottenBits/64)
	}
	for _, bit := range bitsOf(id) {
		f.words[bit/64] |= 1 << (bit % 64)
	}
}

// mayHave reports whether the ID was added, perhaps.
func (f *forgotten) mayHave(id string) bool {
	if f.words == nil {
		return false
	}
	for _, bit := range bitsOf(id) {
		if f.words[bit/64]&(1<<(bit%64)) == 0 {
			return false
		}
	}
	return true
}

func bitsOf(id string) (bits [4]uint32) {
	sum := sha256.Sum256([]byte(id))
	for i := range bits {
		bits[i] = binary.LittleEndian.Uint32(sum[4*i:]) % forgottenBits
	}
	return bits
}
