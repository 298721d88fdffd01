package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// How a Watch asks.
const (
	DefaultWatchEvery    = 3 * time.Second
	DefaultWatchPatience = 30 * time.Second

	watchTimeout = 5 * time.Second // for one question
	watchRetry   = time.Second     // after one without an answer
)

// ErrKeysUnknown: the store has not said for so long whether keys still work
// that nobody may rely on it.
var ErrKeysUnknown = errors.New("auth: nobody knows whether the key still works")

// A WatchConfig is what NewWatch needs.
type WatchConfig struct {
	// Keys holds the keys. Required.
	Keys KeyStore
	// Changed is told what has become of a key that is held: after it was
	// looked up for the first time, whenever what it allows has changed, and
	// when it expires. err is ErrKeyNotFound if there is none, and
	// ErrKeysUnknown, once, if the store has not answered for Patience; what is
	// known again is told again. It is called from one goroutine and must not
	// block. Required.
	Changed func(id string, key Key, err error)
	// Every is the time between two questions about all keys that are held,
	// which stand behind what the store tells by itself (KeyChanges). Defaults
	// to DefaultWatchEvery.
	Every time.Duration
	// Patience is how long the store may leave questions unanswered. Defaults
	// to DefaultWatchPatience.
	Patience time.Duration
	// OnError is told of the first of several questions without an answer. It
	// must not block. Defaults to none.
	OnError func(error)
	// Now is the clock by which keys expire. Defaults to time.Now.
	Now func() time.Time
}

// A Watch tells what becomes of keys for as long as something depends on them,
// such as an open stream or a running command. It works while it holds keys,
// and costs nothing else. All methods are safe for concurrent use.
type Watch struct {
	cfg WatchConfig

	mu      sync.Mutex
	closed  bool
	held    map[string]*heldKey
	due     map[string]bool // to be asked for at once
	all     bool            // as are all
	kick    chan struct{}
	stop    context.CancelFunc // of the goroutine; nil if there is none
	working sync.WaitGroup
}

// A heldKey is what was last told of a key.
type heldKey struct {
	holders int
	key     Key
	known   bool // key, or missing, is what the store said
	missing bool
	expired bool // and told
	lost    bool // ErrKeysUnknown was told
}

// NewWatch returns a Watch that holds no keys yet. Close it when done.
func NewWatch(cfg WatchConfig) *Watch {
	if cfg.Keys == nil || cfg.Changed == nil {
		panic("auth: WatchConfig.Keys and Changed are required")
	}
	cfg.Every = cmp.Or(cfg.Every, DefaultWatchEvery)
	cfg.Patience = cmp.Or(cfg.Patience, DefaultWatchPatience)
	if cfg.OnError == nil {
		cfg.OnError = func(error) {}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Watch{cfg: cfg, held: map[string]*heldKey{}, due: map[string]bool{}, kick: make(chan struct{}, 1)}
}

// Hold has Changed told of the key from now on, until Release. If somebody holds
// it already, it returns what is known of it, which is not told again: known is
// false if it is about to be told.
func (w *Watch) Hold(id string) (key Key, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.held[id]
	if h == nil {
		h = &heldKey{}
		w.held[id] = h
		w.due[id] = true
		w.wake()
	}
	h.holders++
	if w.stop == nil && !w.closed {
		ctx, stop := context.WithCancel(context.Background())
		w.stop = stop
		w.working.Go(func() { w.run(ctx) })
	}
	return h.key, h.known && !h.missing && !h.lost
}

// Release undoes one Hold. Changed may be under way with the key still.
func (w *Watch) Release(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.held[id]
	if h == nil {
		return
	}
	if h.holders--; h.holders > 0 {
		return
	}
	delete(w.held, id)
	delete(w.due, id)
	if len(w.held) == 0 && w.stop != nil {
		w.stop()
		w.stop = nil
	}
}

// Close ends the Watch and waits until Changed is not called any more. Not to be
// called from Changed.
func (w *Watch) Close() {
	w.mu.Lock()
	w.closed = true
	if w.stop != nil {
		w.stop()
		w.stop = nil
	}
	w.mu.Unlock()
	w.working.Wait()
}

// note is told by the store.
func (w *Watch) note(ids []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = w.all || len(ids) == 0
	for _, id := range ids {
		if w.held[id] != nil {
			w.due[id] = true
		}
	}
	w.wake()
}

func (w *Watch) wake() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// run asks and tells until ctx ends.
func (w *Watch) run(ctx context.Context) {
	defer OnChange(w.cfg.Keys, w.note)()
	answered := time.Now() // whoever holds a key has just been let in
	asked := time.Time{}
	failing := false
	for {
		wait := w.cfg.Every - time.Since(asked)
		if failing {
			wait = min(wait, watchRetry)
		}
		timer := time.NewTimer(max(0, min(wait, w.untilExpiry())))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-w.kick:
			timer.Stop()
		case <-timer.C:
		}
		w.tellExpired()
		if time.Since(asked) >= w.cfg.Every {
			w.note(nil)
		}
		ids := w.take()
		if len(ids) == 0 {
			continue
		}
		asked = time.Now()
		patience := w.cfg.Patience - time.Since(answered)
		if patience <= 0 {
			patience = watchTimeout // it is told already
		}
		err := w.ask(ctx, ids, min(watchTimeout, patience))
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			answered, failing = time.Now(), false
			continue
		case !failing:
			failing = true
			w.cfg.OnError(fmt.Errorf("auth: watch keys: %w", err))
		}
		w.note(nil) // again
		<-w.kick    // but not at once
		if time.Since(answered) >= w.cfg.Patience {
			w.tellLost()
		}
	}
}

// take returns what is to be asked for.
func (w *Watch) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ids []string
	for id := range w.held {
		if w.all || w.due[id] {
			ids = append(ids, id)
		}
	}
	w.all = false
	clear(w.due)
	slices.Sort(ids)
	return ids
}

// ask asks for the keys and tells of those that have changed. Those that expire
// meanwhile do not wait for the answer.
func (w *Watch) ask(ctx context.Context, ids []string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var found []Key
	answer := make(chan error, 1)
	go func() {
		var err error
		found, err = GetAll(ctx, w.cfg.Keys, ids)
		answer <- err
	}()
	for waiting := true; waiting; {
		expiry := time.NewTimer(w.untilExpiry())
		select {
		case <-expiry.C:
			w.tellExpired()
		case err := <-answer:
			if err != nil {
				expiry.Stop()
				return err
			}
			waiting = false
		}
		expiry.Stop()
	}
	keys := make(map[string]Key, len(found))
	for _, key := range found {
		keys[key.ID] = key
	}
	for _, id := range ids {
		key, there := keys[id]
		if !w.learn(id, key, !there) {
			continue
		}
		if there {
			w.cfg.Changed(id, key, nil)
		} else {
			w.cfg.Changed(id, Key{}, ErrKeyNotFound)
		}
	}
	return nil
}

// learn notes what the store says and reports whether that is news.
func (w *Watch) learn(id string, key Key, missing bool) bool {
	now := w.cfg.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.held[id]
	if h == nil {
		return false
	}
	same := h.known && !h.lost && h.missing == missing && sameGrants(h.key, key)
	told := h.expired
	h.key, h.missing, h.known, h.lost = key, missing, true, false
	h.expired = key.expiredAt(now)
	return !same || h.expired && !told // it expired while the store was asked
}

// sameGrants reports whether two states of a key allow the same.
func sameGrants(a, b Key) bool {
	return a.RevokedAt.Equal(b.RevokedAt) && a.ExpiresAt.Equal(b.ExpiresAt) &&
		slices.Equal(a.Scopes, b.Scopes) && slices.Equal(a.Projects, b.Projects) &&
		slices.Equal(a.AllowedAddresses, b.AllowedAddresses) && a.Policy == b.Policy
}

func (k Key) expiredAt(now time.Time) bool { return !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt) }

// untilExpiry is when the next key expires.
func (w *Watch) untilExpiry() time.Duration {
	now := w.cfg.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	next := w.cfg.Every
	for _, h := range w.held {
		if h.known && !h.expired && !h.key.ExpiresAt.IsZero() {
			next = min(next, h.key.ExpiresAt.Sub(now))
		}
	}
	return next
}

// tellExpired tells of the keys that have expired since. It needs no store.
func (w *Watch) tellExpired() {
	now := w.cfg.Now()
	var expired []Key
	w.mu.Lock()
	for _, h := range w.held {
		if h.known && !h.expired && h.key.expiredAt(now) {
			h.expired = true
			expired = append(expired, h.key)
		}
	}
	w.mu.Unlock()
	for _, key := range expired {
		w.cfg.Changed(key.ID, key, nil)
	}
}

// tellLost tells that nobody knows of any key any more.
func (w *Watch) tellLost() {
	var lost []string
	w.mu.Lock()
	for id, h := range w.held {
		if !h.lost {
			h.lost = true
			lost = append(lost, id)
		}
	}
	w.mu.Unlock()
	for _, id := range lost {
		w.cfg.Changed(id, Key{}, ErrKeysUnknown)
	}
}
