package stream

// The methods in this file keep the set of tails and their memory right. All
// but leave and head are called with h.mu held.

// tail returns what is held of the stream, making it if need be.
func (h *Hub) tail(streamID string) *tail {
	t := h.tails[streamID]
	if t == nil {
		t = newTail(streamID)
		h.tails[streamID] = t
	}
	return t
}

// change runs f, which may change head, ring and known of t, and then counts
// what changed. The result wakes the readers, if there is news for them, and is
// to be called without h.mu.
func (h *Hub) change(t *tail, f func()) (wake func()) {
	if h.tails[t.id] != t {
		return func() {} // forgotten, or the Hub was closed
	}
	t.mu.Lock()
	head, before := t.head, t.ring.bytes
	f()
	h.budget.used += int64(t.ring.bytes - before)
	wake = func() {}
	if t.head != head { // a poller tells the same again and again
		wake = t.rouse()
	}
	t.mu.Unlock()

	h.settle(t)
	for h.budget.used > h.budget.limit {
		victim := h.budget.victim(t)
		if victim == nil {
			break // t alone is more, by its newest event
		}
		h.shrink(victim, h.budget.used-h.budget.limit)
	}
	return wake
}

// shrink takes at least bytes from t, or everything.
func (h *Hub) shrink(t *tail, bytes int64) {
	t.mu.Lock()
	before := t.ring.bytes
	if left := int64(before) - bytes; left > 0 {
		t.ring.limit(int(left), 0)
	} else {
		t.ring.dropThrough(t.ring.end())
	}
	h.budget.used += int64(t.ring.bytes - before)
	t.mu.Unlock()
	if t.ring.n == 0 {
		h.settle(t)
	}
}

// settle drops t if nothing needs it, and otherwise lists it where it belongs.
func (h *Hub) settle(t *tail) {
	if h.tails[t.id] != t {
		return // forgotten, or the Hub was closed
	}
	durable := h.config.Log != nil
	needed := t.readers > 0
	if durable {
		needed = needed || t.ring.n > 0 && !t.head.Closed && !t.released
	} else {
		// The head is nowhere else.
		needed = needed || t.head.Seq > 0 || t.head.Closed
	}
	if !needed {
		h.drop(t)
		return
	}
	h.budget.place(t, !durable)
	for !durable && h.config.remember > 0 && h.budget.finished.Len()+h.budget.spent.Len() > h.config.remember {
		h.drop(h.budget.oldest())
	}
}

// drop forgets t. Readers that it may still have are told a gap.
func (h *Hub) drop(t *tail) {
	t.mu.Lock()
	h.budget.used -= int64(t.ring.bytes)
	t.ring.dropThrough(t.ring.end())
	t.mu.Unlock()
	h.budget.unlist(t)
	delete(h.tails, t.id)
}

// leave takes a reader from t.
func (h *Hub) leave(t *tail) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t.readers--
	if t.readers == 0 {
		t.mu.Lock()
		t.known = false // nobody watches it any more
		t.mu.Unlock()
	}
	h.settle(t)
}

// head returns the end of t for a reader.
func (h *Hub) head(t *tail) Head {
	t.mu.RLock()
	defer t.mu.RUnlock()
	head := t.head
	if h.config.Log == nil {
		head.First = t.ring.base + 1
	}
	return head
}
