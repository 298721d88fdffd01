package main

import (
	"context"
	"encoding/hex"
	"errors"
	"path/filepath"
	"sync"

	"github.com/orchard9/rdev/stream"
)

// Files is a Broker that keeps each stream in a file of a folder. What is
// published is synced to the disk before anyone sees it.
type Files struct {
	dir string
	hub *stream.Hub

	mu     sync.Mutex
	closed bool
	logs   map[string]*file
}

var _ stream.Broker = (*Files)(nil)

// Open returns a Broker over the streams in dir.
func Open(dir string) *Files {
	f := &Files{dir: dir, logs: map[string]*file{}}
	f.hub = stream.NewHub(stream.HubConfig{Log: f})
	return f
}

// Publish implements stream.Broker. The lock is held over the append and the
// Hub's part, so that the Hub gets the batches of a stream in order.
func (f *Files) Publish(ctx context.Context, streamID string, events []stream.Event) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	l, err := f.log(ctx, streamID)
	if err != nil {
		return err
	}
	fresh, err := l.head.Fresh(events)
	if err != nil || len(fresh) == 0 {
		return err
	}
	if err := l.append(fresh); err != nil {
		return err
	}
	f.hub.Append(streamID, fresh)
	return nil
}

// Subscribe implements stream.Broker.
func (f *Files) Subscribe(ctx context.Context, streamID string, after uint64) (*stream.Subscription, error) {
	return f.hub.Subscribe(ctx, streamID, after)
}

// Close implements stream.Broker.
func (f *Files) Close(ctx context.Context, streamID string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	l, err := f.log(ctx, streamID)
	if err != nil {
		return err
	}
	if err := l.close(); err != nil {
		return err
	}
	f.hub.Advance(streamID, l.head)
	f.hub.Release(streamID)
	return nil
}

// Head implements stream.Log.
func (f *Files) Head(ctx context.Context, streamID string) (stream.Head, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l, err := f.log(ctx, streamID)
	if err != nil {
		return stream.Head{}, err
	}
	return l.head, nil
}

// Read implements stream.Log.
func (f *Files) Read(ctx context.Context, streamID string, after uint64, maxBytes int) ([]stream.Event, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l, err := f.log(ctx, streamID)
	if err != nil {
		return nil, err
	}
	return l.read(after, maxBytes)
}

// log returns the file of a stream, opening it if need be.
func (f *Files) log(ctx context.Context, streamID string) (*file, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if f.closed {
		return nil, stream.ErrClosed
	}
	if l := f.logs[streamID]; l != nil {
		return l, nil
	}
	// In hexadecimal, because an id need not be a file name.
	l, err := openFile(filepath.Join(f.dir, hex.EncodeToString([]byte(streamID))))
	if err == nil {
		f.logs[streamID] = l
	}
	return l, err
}

// Shutdown ends the broker: readers get stream.ErrClosed.
func (f *Files) Shutdown() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hub.Close()
	f.closed = true
	var errs []error
	for _, l := range f.logs {
		errs = append(errs, l.Close())
	}
	f.logs = nil
	return errors.Join(errs...)
}
