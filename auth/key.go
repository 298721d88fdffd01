package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"hash/crc32"
	"strings"
)

// The format of a key: rdev_sk_<id>_<secret><checksum>, all in base62. The id
// is public and finds the key in the store; the secret has 256 bits; the
// checksum is the CRC-32 (IEEE) of everything before it, so that a typing error
// or a stray text is refused without asking the store, and a scanner for leaked
// keys has no false alarms. It is no protection against anyone.
const (
	// KeyPrefix begins every key.
	KeyPrefix = "rdev_sk_"
	// KeyLength is the length of every key.
	KeyLength = len(KeyPrefix) + idLength + len("_") + secretLength + checksumLength

	idLength       = 12 // 71 bits
	secretLength   = 43 // 256 bits
	checksumLength = 6  // holds 32 bits
)

// ErrMalformedKey: the text is not a key. It does not say why, and never what
// the text was.
var ErrMalformedKey = errors.New("auth: malformed key")

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// NewKey makes a key from the system's random numbers. FormatKey gives what
// its holder is shown, HashSecret what a KeyStore keeps.
func NewKey() (id string, secret Secret) {
	return randomBase62(idLength), NewSecret(randomBase62(secretLength))
}

// FormatKey returns the key as its holder presents it.
func FormatKey(id string, secret Secret) Secret {
	body := KeyPrefix + id + "_" + secret.Reveal()
	return NewSecret(body + checksum(body))
}

// ParseKey takes a presented key apart. Its only error is ErrMalformedKey.
func ParseKey(presented string) (id string, secret Secret, err error) {
	if len(presented) != KeyLength || !strings.HasPrefix(presented, KeyPrefix) {
		return "", Secret{}, ErrMalformedKey
	}
	const separator = len(KeyPrefix) + idLength
	body, sum := presented[:KeyLength-checksumLength], presented[KeyLength-checksumLength:]
	id, rest := presented[len(KeyPrefix):separator], body[separator+1:]
	if presented[separator] != '_' || !isBase62(id) || !isBase62(rest) || sum != checksum(body) {
		return "", Secret{}, ErrMalformedKey
	}
	return id, NewSecret(rest), nil
}

// HashSecret returns what a store keeps of a secret: its SHA-256. A secret of
// 256 random bits needs no salt and no slow hash (NIST SP 800-63B, look-up
// secrets).
func HashSecret(secret Secret) []byte {
	sum := sha256.Sum256([]byte(secret.Reveal()))
	return sum[:]
}

// sameHash compares in a time that does not depend on where they differ.
func sameHash(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// checksum returns the CRC-32 of body as six digits of base62.
func checksum(body string) string {
	sum := crc32.ChecksumIEEE([]byte(body))
	var digits [checksumLength]byte
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = base62[sum%62]
		sum /= 62
	}
	return string(digits[:])
}

func isBase62(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z':
		default:
			return false
		}
	}
	return true
}

// randomBase62 returns n random digits. Bytes that are not below the largest
// multiple of 62 are thrown away, because taking them modulo 62 would make the
// first digits of the alphabet likelier.
func randomBase62(n int) string {
	const limit = 256 - 256%62
	digits := make([]byte, 0, n)
	var random [64]byte
	for {
		_, _ = rand.Read(random[:]) // never fails: it ends the program instead
		for _, b := range random {
			if int(b) >= limit {
				continue
			}
			if digits = append(digits, base62[b%62]); len(digits) == n {
				return string(digits)
			}
		}
	}
}
