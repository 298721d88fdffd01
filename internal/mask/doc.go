// Package mask finds secrets in text and puts "[masked]" in their place: values
// that were registered, and shapes that keys of well-known kinds have.
//
// A Set says what to look for. Its methods String and Bytes are for whole texts,
// Writer is for a log, and a Stream is for output that comes in pieces, of which
// a secret may be in two.
//
// What was transformed is not found: a value in base64, in upper case, with a
// space in it, or broken into lines at other places than it has.
package mask

// Replacement is what stands in the place of a secret.
const Replacement = "[masked]"

// Bounds of a registered value in bytes. A shorter one would be found in much
// that is no secret; of a longer one the beginning counts.
const (
	MinValue = 8
	MaxValue = 4096
)
