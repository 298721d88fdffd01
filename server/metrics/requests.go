package metrics

import (
	"cmp"
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/server"
	"github.com/orchard9/rdev/stream"
)

// Answered implements server.Observer.
func (m *Metrics) Answered(a server.Answer) {
	endpoint := cmp.Or(a.Route, "none")
	if a.Streamed {
		m.streamDuration.Observe(a.Duration.Seconds())
	} else {
		m.requestDuration.WithLabelValues(endpoint, method(a.Method), strconv.Itoa(a.Status)).Observe(a.Duration.Seconds())
	}
	if a.Code != "" {
		m.errors.WithLabelValues(endpoint, string(a.Code)).Inc()
	}
	if a.Code == rdev.CodeUnauthenticated {
		m.authFailures.WithLabelValues(cmp.Or(string(a.Refused), "absent")).Inc()
	}
	if a.Limit != "" {
		m.limitRefusals.WithLabelValues(string(a.Limit)).Inc()
	}
	if a.Rule != "" {
		m.refusals.WithLabelValues(endpoint, a.Rule).Inc()
	}
}

// limits are all that can refuse a request.
var limits = []rdev.Limit{
	server.LimitRequests, server.LimitFailedLogins, server.LimitStreams,
	rdev.LimitProjectCommands, rdev.LimitKeyCommands, rdev.LimitKeyInProject, rdev.LimitQueue,
}

// GapTold implements server.Observer.
func (m *Metrics) GapTold(gap *stream.GapError) {
	m.gaps.WithLabelValues(string(gap.Reason)).Inc()
	if gap.To >= gap.From {
		m.gapEvents.WithLabelValues(string(gap.Reason)).Add(float64(gap.To - gap.From + 1))
	}
}

// Lagged implements server.Observer.
func (m *Metrics) Lagged(events uint64) { m.readerLag.Observe(float64(events)) }

// method keeps what callers make up out of the labels.
func method(name string) string {
	switch name {
	case http.MethodGet, http.MethodPost, http.MethodDelete, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodPatch:
		return name
	}
	return "other"
}

// Streams adds rdev_active_streams, which is counted whenever it is asked for:
// open returns how many streams are open in each project, as
// server.Server.OpenStreams does. Call it once.
func (m *Metrics) Streams(open func() map[string]int) {
	m.registry.MustRegister(&streams{
		open: open,
		desc: prometheus.NewDesc("rdev_active_streams", "Streams that are open now.", []string{"project"}, nil),
	})
}

type streams struct {
	open func() map[string]int
	desc *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (s *streams) Describe(descs chan<- *prometheus.Desc) { descs <- s.desc }

// Collect implements prometheus.Collector.
func (s *streams) Collect(values chan<- prometheus.Metric) {
	for project, n := range s.open() {
		values <- prometheus.MustNewConstMetric(s.desc, prometheus.GaugeValue, float64(n), project)
	}
}
