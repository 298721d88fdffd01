package auth

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// renewTimeout bounds the writing of a new hash.
const renewTimeout = 2 * time.Second

// renewals are the hashes that are being renewed, and the complaints that were
// made. The zero value is ready.
type renewals struct {
	mu       sync.Mutex
	underWay map[string]bool // by key id
	told     map[string]bool // by algorithm; there are as many as the store holds
}

// complain calls tell the first time for each algorithm: a caller that comes
// again and again must not fill the log.
func (r *renewals) complain(algorithm string, tell func()) {
	r.mu.Lock()
	told := r.told[algorithm]
	if r.told == nil {
		r.told = make(map[string]bool)
	}
	r.told[algorithm] = true
	r.mu.Unlock()
	if !told {
		tell()
	}
}

func (r *renewals) begin(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.underWay[id] {
		return false
	}
	if r.underWay == nil {
		r.underWay = make(map[string]bool)
	}
	r.underWay[id] = true
	return true
}

func (r *renewals) end(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.underWay, id)
}

// renew hashes the secret of a key that has just proved to be right as new keys
// are hashed, so that a pepper is out of use when every key was used once. If
// that fails, the next use tries again.
func (a *Authenticator) renew(ctx context.Context, key Key, secret Secret) {
	current := a.hasher.Algorithm()
	if algorithmOf(key) == current || !a.renewals.begin(key.ID) {
		return
	}
	defer a.renewals.end(key.ID)
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	fresh, _ := a.hasher.Hash(secret)
	_, err := a.keys.Update(ctx, key.ID, func(k *Key) error {
		if algorithmOf(*k) == algorithmOf(key) { // nobody was faster
			k.Hash, k.Algorithm = slices.Clone(fresh), current
		}
		return nil
	})
	if err != nil {
		a.onError(fmt.Errorf("auth: renew the hash of key %s: %w", key.ID, err))
	}
}

func algorithmOf(key Key) string {
	if key.Algorithm == "" {
		return AlgorithmSHA256
	}
	return key.Algorithm
}
