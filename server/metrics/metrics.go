// Package metrics counts what rdev does and serves it to Prometheus. It knows
// the ports alone: Commands, Broker, Executor and Keys each return the part
// that they are given with a counter around it, and a Metrics is the Observer
// of a server.Server. Whatever is not wired is not counted.
//
// Labels are bounded: routes are patterns, projects are those that exist.
package metrics

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/orchard9/rdev/stream"
)

// Metrics are the metrics of one process. All methods are safe for concurrent
// use.
type Metrics struct {
	registry *prometheus.Registry

	commands        *prometheus.CounterVec
	commandDuration *prometheus.HistogramVec
	running         *prometheus.GaugeVec
	firstLine       prometheus.Histogram
	executeErrors   *prometheus.CounterVec
	takeovers       prometheus.Counter

	events      prometheus.Counter
	eventBytes  prometheus.Counter
	outputBytes *prometheus.CounterVec
	gaps        *prometheus.CounterVec
	gapEvents   *prometheus.CounterVec

	storeDuration *prometheus.HistogramVec
	storeErrors   *prometheus.CounterVec

	requestDuration *prometheus.HistogramVec
	streamDuration  prometheus.Histogram
	errors          *prometheus.CounterVec
	readerLag       prometheus.Histogram
	authFailures    *prometheus.CounterVec
	refusals        *prometheus.CounterVec
	limitRefusals   *prometheus.CounterVec

	shimPlacements  *prometheus.CounterVec
	shimPlacement   prometheus.Histogram
	shimConnections prometheus.Counter
	shimReconnects  prometheus.Counter
}

// Upper bounds of the histograms, in seconds. Commands take from milliseconds
// to hours, requests and stores far less.
func commandBuckets() []float64 {
	return []float64{.01, .05, .1, .5, 1, 5, 15, 60, 300, 900, 3600, 14400}
}

func fastBuckets() []float64 {
	return []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}
}

// New returns Metrics in a registry of their own, with those of the Go runtime
// and the process.
func New() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
	)
	m.commands = m.counters("rdev_commands_total", "Commands that ended, by how.", "project", "type", "status")
	m.commandDuration = m.histograms("rdev_command_duration_seconds", "From a command's start to its end.", commandBuckets(), "project", "type")
	m.running = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "rdev_commands_running", Help: "Commands that this process has handed to the executor.",
	}, []string{"project"})
	m.registry.MustRegister(m.running)
	m.firstLine = m.histogram("rdev_command_first_line_seconds", "From handing a command to the executor to its first line.", commandBuckets())
	m.executeErrors = m.counters("rdev_execute_errors_total", "Executions without a result, by the error's code.", "code")
	m.takeovers = m.counter("rdev_takeovers_total", "Commands taken over from another replica.")

	m.events = m.counter("rdev_events_published_total", "Events handed to the broker: lines, and the ends of commands.")
	m.eventBytes = m.counter("rdev_event_bytes_published_total", "Bytes of the events handed to the broker.")
	m.outputBytes = m.counters("rdev_output_bytes_total", "Bytes that commands wrote, counted at their end.", "project", "stream")
	m.gaps = m.counters("rdev_gaps_total", "Gaps that readers were told of.", "reason")
	m.gapEvents = m.counters("rdev_gap_events_total", "Events in the gaps that readers were told of.", "reason")

	for _, reason := range []stream.GapReason{stream.GapRetention, stream.GapTruncated} {
		m.gaps.WithLabelValues(string(reason)) // zero is worth knowing, and alerts see the first one
		m.gapEvents.WithLabelValues(string(reason))
	}

	m.storeDuration = m.histograms("rdev_store_duration_seconds", "Calls of a store.", fastBuckets(), "store", "operation")
	m.storeErrors = m.counters("rdev_store_errors_total", "Calls that a store did not answer.", "store", "operation")

	m.requestDuration = m.histograms("rdev_api_request_duration_seconds", "Requests, streams aside.", fastBuckets(), "endpoint", "method", "status")
	m.streamDuration = m.histogram("rdev_stream_duration_seconds", "How long streams were open.", []float64{1, 10, 60, 300, 600, 900, 1200})
	m.errors = m.counters("rdev_api_errors_total", "Errors that were answered.", "endpoint", "code")
	m.authFailures = m.counters("rdev_auth_failures_total", "Requests without a key that works; absent means that there was none.", "reason")
	m.refusals = m.counters("rdev_policy_refusals_total", "Commands that the policy refused.", "endpoint", "rule")
	m.readerLag = m.histogram("rdev_reader_lag_events", "How many events readers were behind, at each heartbeat and at the end of a stream.", []float64{0, 10, 100, 1000, 10000, 100000})
	m.limitRefusals = m.counters("rdev_limit_refusals_total", "Requests that were refused because of a limit.", "limit")
	for _, limit := range limits {
		m.limitRefusals.WithLabelValues(string(limit))
	}

	m.shimPlacements = m.counters("rdev_shim_placements_total", "Attempts to bring the shim into a container: placed, unplaceable (commands run without it) or failed.", "result")
	for _, result := range []string{"placed", "unplaceable", "failed"} {
		m.shimPlacements.WithLabelValues(result)
	}
	m.shimPlacement = m.histogram("rdev_shim_placement_seconds", "How long attempts to bring the shim into a container took.", commandBuckets())
	m.shimConnections = m.counter("rdev_shim_connections_total", "Exec streams to a shim that stood.")
	m.shimReconnects = m.counter("rdev_shim_reconnects_total", "Exec streams to a shim that replaced one that broke.")
	return m
}

// Handler serves the metrics, to anyone who can reach it.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Registry returns the registry, to which others may be added.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

func (m *Metrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	m.registry.MustRegister(h)
	return h
}

func (m *Metrics) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	m.registry.MustRegister(h)
	return h
}
