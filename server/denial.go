package server

import (
	"errors"
	"time"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/rdev"
)

// eventDenied tells a reader that its key does not allow the stream any more,
// with the code that it would be answered with if it came back.
const eventDenied = "denied"

type deniedData struct {
	Code    rdev.Code `json:"code"`
	Message string    `json:"message"`
}

// keyChanged ends the streams that a key allows no longer. It is told by the
// Watch.
func (s *Server) keyChanged(id string, key auth.Key, err error) {
	for _, rd := range s.readers.withKey(id) {
		if err := rd.check(key, err); err != nil {
			rd.deny(err)
		}
	}
}

// check returns why the key does not allow this reader its stream, if so. err
// is what is known of the key instead of what it is.
func (rd *reader) check(key auth.Key, err error) error {
	if errors.Is(err, auth.ErrKeyNotFound) {
		return auth.ErrUnauthenticated
	}
	if err != nil {
		return err
	}
	caller, err := key.Principal(time.Now(), rd.addr)
	switch {
	case err != nil:
		return err
	case !caller.Can(auth.ScopeStreamsRead):
		return lacksScope(auth.ScopeStreamsRead)
	case !caller.Sees(rd.project):
		return rdev.ErrProjectNotFound
	}
	return nil
}

// deny ends the stream, for a reason that the reader is told. One that takes no
// bytes right then is cut: what lies in front of the reason is not to reach it
// any more.
func (rd *reader) deny(reason error) {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	if rd.denied != nil {
		return
	}
	rd.denied = reason
	rd.sub.Close()
	if rd.out != nil {
		rd.out.hurry()
	}
}

// attach gives the reader the way to its caller.
func (rd *reader) attach(out sender) {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	rd.out = out
	if rd.denied != nil {
		out.hurry()
	}
}

// closed says why the stream was closed from this side: by deny, or by Drain or
// the end of the broker, after which the reader may come back.
func (rd *reader) closed() error {
	rd.mu.Lock()
	denied := rd.denied
	rd.mu.Unlock()
	if denied == nil || errors.Is(denied, auth.ErrKeysUnknown) {
		return rd.out.send(appendRetry(newFrames(), drainLeast, drainMost))
	}
	return rd.sayDenied(denied)
}

// sayDenied sends the reason. It has no id: there is no place to come back to.
func (rd *reader) sayDenied(reason error) error {
	e, _ := describe(reason)
	frame, err := appendNoID(newFrames(), eventDenied, deniedData{e.code, e.message})
	if err != nil {
		return err
	}
	return rd.out.send(frame)
}
