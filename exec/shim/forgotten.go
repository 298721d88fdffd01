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

const (
	// forgottenBits is the size of the filter; its memory is an eighth of that.
	forgottenBits = 1 << 20
	// lateIDs is how many of those that were deleted last are known for certain.
	lateIDs = 4096
)

// forgotten tells the IDs that an engine had and has deleted from those that it
// never had. It is a Bloom filter, whose size does not grow: it takes one ID of
// a hundred for forgotten when there were a hundred thousand, and every one some
// time after a million. It never takes one for new that is not.
//
// The last ones are also known without a doubt, by their hashes: they are not
// started by a call that comes late either, from somebody who does not know that
// another one has taken the command over.
//
// It is in memory, and not in the state folder. There it would have to be
// fsynced before the folder of a command is deleted, or the machine may go down
// between the two.
type forgotten struct {
	words []uint64
	late  map[uint64]struct{}
	order []uint64 // of late, from next on
	next  int
}

func (f *forgotten) add(id string) {
	if f.words == nil {
		f.words = make([]uint64, forgottenBits/64)
		f.late = make(map[uint64]struct{})
	}
	sum := sha256.Sum256([]byte(id))
	for _, bit := range bitsOf(sum) {
		f.words[bit/64] |= 1 << (bit % 64)
	}
	hash := hashOf(sum)
	if _, again := f.late[hash]; again {
		return
	}
	f.late[hash] = struct{}{}
	if len(f.order) < lateIDs {
		f.order = append(f.order, hash)
		return
	}
	delete(f.late, f.order[f.next])
	f.order[f.next] = hash
	f.next = (f.next + 1) % lateIDs
}

// mayHave reports whether the ID was added, perhaps.
func (f *forgotten) mayHave(id string) bool {
	if f.words == nil {
		return false
	}
	for _, bit := range bitsOf(sha256.Sum256([]byte(id))) {
		if f.words[bit/64]&(1<<(bit%64)) == 0 {
			return false
		}
	}
	return true
}

// hasLate reports whether the ID is one of those that were added last.
func (f *forgotten) hasLate(id string) bool {
	if f.words == nil {
		return false
	}
	_, late := f.late[hashOf(sha256.Sum256([]byte(id)))]
	return late
}

func hashOf(sum [sha256.Size]byte) uint64 { return binary.LittleEndian.Uint64(sum[16:]) }

func bitsOf(sum [sha256.Size]byte) (bits [4]uint32) {
	for i := range bits {
		bits[i] = binary.LittleEndian.Uint32(sum[4*i:]) % forgottenBits
	}
	return bits
}
