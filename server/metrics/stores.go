package metrics

import (
	"context"
	"errors"
	"time"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/stream"
)

// call is for defer: it measures a call of a store from now on, and counts it
// as failed if the store did not answer. That a key is unknown, for example, is
// an answer.
func (m *Metrics) call(store, operation string, err *error) func() {
	began := time.Now()
	return func() {
		m.storeDuration.WithLabelValues(store, operation).Observe(time.Since(began).Seconds())
		if failed(*err) {
			m.storeErrors.WithLabelValues(store, operation).Inc()
		}
	}
}

func failed(err error) bool {
	switch rdev.CodeOf(err) {
	case rdev.CodeInternal, rdev.CodeDeadlineExceeded:
		return true
	}
	return false
}

// Broker returns next with its calls counted, and what is published.
func (m *Metrics) Broker(next stream.Broker) stream.Broker { return &broker{next, m} }

type broker struct {
	next stream.Broker
	m    *Metrics
}

func (b *broker) Publish(ctx context.Context, streamID string, events []stream.Event) (err error) {
	defer b.m.call("broker", "publish", &err)()
	if err := b.next.Publish(ctx, streamID, events); err != nil {
		return err
	}
	size := 0
	for i := range events {
		size += len(events[i].Data)
	}
	b.m.events.Add(float64(len(events)))
	b.m.eventBytes.Add(float64(size))
	return nil
}

func (b *broker) Subscribe(ctx context.Context, streamID string, after uint64) (sub *stream.Subscription, err error) {
	defer b.m.call("broker", "subscribe", &err)()
	return b.next.Subscribe(ctx, streamID, after)
}

func (b *broker) Close(ctx context.Context, streamID string) (err error) {
	defer b.m.call("broker", "close", &err)()
	return b.next.Close(ctx, streamID)
}

// Keys returns next with its calls counted. It implements the optional
// interfaces of a KeyStore, as far as next does.
func (m *Metrics) Keys(next auth.KeyStore) auth.KeyStore { return &keys{next, m} }

type keys struct {
	next auth.KeyStore
	m    *Metrics
}

func (k *keys) Create(ctx context.Context, key auth.Key, replaces *auth.Replacement) (err error) {
	defer k.m.call("keys", "create", &err)()
	return k.next.Create(ctx, key, replaces)
}

func (k *keys) Get(ctx context.Context, id string) (key auth.Key, err error) {
	defer k.m.call("keys", "get", &err)()
	return k.next.Get(ctx, id)
}

func (k *keys) List(ctx context.Context, before string, limit int) (found []auth.Key, err error) {
	defer k.m.call("keys", "list", &err)()
	return k.next.List(ctx, before, limit)
}

// Update does not count an error that change returned.
func (k *keys) Update(ctx context.Context, id string, change func(*auth.Key) error) (key auth.Key, err error) {
	var refused, counted error
	defer k.m.call("keys", "update", &counted)()
	key, err = k.next.Update(ctx, id, func(key *auth.Key) error {
		refused = change(key)
		return refused
	})
	if refused == nil || !errors.Is(err, refused) {
		counted = err
	}
	return key, err
}

func (k *keys) Used(ctx context.Context, last map[string]time.Time) (err error) {
	defer k.m.call("keys", "used", &err)()
	return auth.Used(ctx, k.next, last)
}

func (k *keys) GetAll(ctx context.Context, ids []string) (found []auth.Key, err error) {
	defer k.m.call("keys", "get_all", &err)()
	return auth.GetAll(ctx, k.next, ids)
}

func (k *keys) OnChange(changed func(ids []string)) (stop func()) {
	return auth.OnChange(k.next, changed)
}
