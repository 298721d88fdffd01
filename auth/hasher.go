package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
)

// How the secrets of keys are hashed.
const (
	// AlgorithmSHA256 is plain SHA-256, which a secret of 256 random bits needs no
	// more than (NIST SP 800-63B, look-up secrets).
	AlgorithmSHA256 = "sha256"
	// algorithmHMAC stands before the id of the pepper.
	algorithmHMAC = "hmac-sha256:"

	// MinPepper is the least number of bytes of a pepper's secret.
	MinPepper = 32
	// MaxPepperID is the greatest of its id.
	MaxPepperID = 32
)

// A Pepper is a secret of the server that goes into the hashes of keys, so that
// whoever has the database alone can neither check a guess nor plant a key.
type Pepper struct {
	// ID names it in the store: 1 to MaxPepperID of [a-z0-9-].
	ID string
	// Secret has MinPepper bytes or more.
	Secret Secret
}

// ErrUnknownPepper: a key was hashed with a pepper that is not configured, so
// nobody can tell whether the presented one is right.
var ErrUnknownPepper = errors.New("auth: unknown pepper")

// A Hasher hashes the secrets of keys. Nil hashes with SHA-256 alone. It is
// safe for concurrent use.
type Hasher struct {
	algorithm string // of new hashes
	peppers   map[string]Secret
}

// NewHasher returns a Hasher that hashes with the first of the peppers, and
// still knows what was hashed with the others or without any. Without peppers
// it hashes with SHA-256, and so it does if the first has the id "sha256" and no
// secret: then the others are known already, or still.
func NewHasher(peppers ...Pepper) (*Hasher, error) {
	h := &Hasher{algorithm: AlgorithmSHA256, peppers: make(map[string]Secret, len(peppers))}
	for i, p := range peppers {
		if p.ID == AlgorithmSHA256 && p.Secret.IsZero() {
			continue // no pepper: first, it is what new keys get
		}
		if !validPepperID(p.ID) {
			return nil, fmt.Errorf("auth: the id of pepper %d is not 1 to %d of [a-z0-9-]", i+1, MaxPepperID)
		}
		if len(p.Secret.Reveal()) < MinPepper {
			return nil, fmt.Errorf("auth: pepper %s has fewer than %d bytes", p.ID, MinPepper)
		}
		if _, twice := h.peppers[p.ID]; twice {
			return nil, fmt.Errorf("auth: pepper %s is there twice", p.ID)
		}
		h.peppers[p.ID] = p.Secret
		if i == 0 {
			h.algorithm = algorithmHMAC + p.ID
		}
	}
	return h, nil
}

func validPepperID(id string) bool {
	if id == "" || len(id) > MaxPepperID {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-':
		default:
			return false
		}
	}
	return true
}

// Algorithm is that of new hashes, as Key.Algorithm has it.
func (h *Hasher) Algorithm() string {
	if h == nil {
		return AlgorithmSHA256
	}
	return h.algorithm
}

// Hash returns what a store keeps of a secret, and how it was made.
func (h *Hasher) Hash(secret Secret) (hash []byte, algorithm string) {
	hash, _ = h.hash(secret, h.Algorithm()) // its own it knows
	return hash, h.Algorithm()
}

// hash hashes as the algorithm says, or returns ErrUnknownPepper.
func (h *Hasher) hash(secret Secret, algorithm string) ([]byte, error) {
	if algorithm == AlgorithmSHA256 || algorithm == "" {
		return HashSecret(secret), nil
	}
	id, peppered := strings.CutPrefix(algorithm, algorithmHMAC)
	if !peppered {
		return nil, fmt.Errorf("%w: the algorithm %.40q is not known here", ErrUnknownPepper, algorithm)
	}
	var pepper Secret
	if h != nil {
		pepper = h.peppers[id]
	}
	if pepper.IsZero() {
		return nil, fmt.Errorf("%w: %.40q is not configured", ErrUnknownPepper, id)
	}
	mac := hmac.New(sha256.New, []byte(pepper.Reveal()))
	mac.Write([]byte(secret.Reveal()))
	return mac.Sum(nil), nil
}
