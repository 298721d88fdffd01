package metrics

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orchard9/rdev/rdev"
)

const (
	// backlogFresh is how long an answer of the store is used again: who
	// scrapes is not to keep it busy.
	backlogFresh = 5 * time.Second
	// backlogTimeout is how long a scrape waits for the store.
	backlogTimeout = 2 * time.Second
)

// Waiting adds what waits in the records, which is asked of the store when the
// metrics are. If the store does not answer, these metrics are absent. Call it
// once.
func (m *Metrics) Waiting(store rdev.Backlogs) {
	gauge := func(name, help string) *prometheus.Desc { return prometheus.NewDesc(name, help, nil, nil) }
	m.registry.MustRegister(&waiting{
		m: m, store: store,
		queued:   gauge("rdev_commands_queued", "Commands that are queued, of all replicas."),
		queueAge: gauge("rdev_queue_age_seconds", "How long the oldest queued command has been so, of all replicas."),
		unowned:  gauge("rdev_commands_unowned", "Running commands that no replica holds a lease on."),
		leaseAge: gauge("rdev_lease_age_seconds", "Since the renewal of a running command's lease that is longest ago."),
	})
}

type waiting struct {
	m                                   *Metrics
	store                               rdev.Backlogs
	queued, queueAge, unowned, leaseAge *prometheus.Desc

	mu    sync.Mutex
	asked time.Time
	last  rdev.Backlog
	err   error
}

// Describe implements prometheus.Collector.
func (w *waiting) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{w.queued, w.queueAge, w.unowned, w.leaseAge} {
		descs <- desc
	}
}

// Collect implements prometheus.Collector.
func (w *waiting) Collect(values chan<- prometheus.Metric) {
	b, err := w.ask()
	if err != nil {
		return
	}
	for _, v := range []struct {
		desc  *prometheus.Desc
		value float64
	}{
		{w.queued, float64(b.Queued)}, {w.queueAge, b.QueueAge.Seconds()},
		{w.unowned, float64(b.Unowned)}, {w.leaseAge, b.LeaseAge.Seconds()},
	} {
		values <- prometheus.MustNewConstMetric(v.desc, prometheus.GaugeValue, v.value)
	}
}

func (w *waiting) ask() (b rdev.Backlog, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.asked) < backlogFresh {
		return w.last, w.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), backlogTimeout)
	defer cancel()
	defer w.m.call("commands", "backlog", &w.err)()
	w.last, w.err = w.store.Backlog(ctx)
	w.asked = time.Now()
	return w.last, w.err
}
