package stream

import "container/list"

// A budget decides which streams give memory back. What is held beyond the
// limit is taken first from finished streams, the one that finished first
// going first, then from open ones, the one that has been silent for longest
// going first. It is guarded by Hub.mu.
type budget struct {
	limit int64 // bytes, over all streams
	used  int64

	finished list.List // tails that will get no more events, and hold some
	open     list.List // tails that hold events, least recently appended first
	spent    list.List // without a log: finished tails that hold nothing but their head
}

// place puts t into the list that its state calls for.
func (b *budget) place(t *tail, keepSpent bool) {
	var want *list.List
	switch finished := t.head.Closed || t.released; {
	case t.ring.n > 0 && finished:
		want = &b.finished
	case t.ring.n > 0:
		want = &b.open
	case finished && keepSpent:
		want = &b.spent
	}
	if want == t.list {
		if want == &b.open {
			want.MoveToBack(t.element)
		}
		return
	}
	b.unlist(t)
	if want != nil {
		t.list, t.element = want, want.PushBack(t)
	}
}

func (b *budget) unlist(t *tail) {
	if t.list != nil {
		t.list.Remove(t.element)
		t.list, t.element = nil, nil
	}
}

// victim returns the tail that gives back next, never except.
func (b *budget) victim(except *tail) *tail {
	for _, l := range [...]*list.List{&b.finished, &b.open} {
		for e := l.Front(); e != nil; e = e.Next() {
			if t := e.Value.(*tail); t != except {
				return t
			}
		}
	}
	return nil
}

// oldest returns the finished tail to forget first.
func (b *budget) oldest() *tail {
	for _, l := range [...]*list.List{&b.spent, &b.finished} {
		if e := l.Front(); e != nil {
			return e.Value.(*tail)
		}
	}
	return nil
}
