package metrics

import "time"

// ShimPlaced and ShimReached make a Metrics the Observer of an executor in
// pods.

// ShimPlaced is told of each attempt to bring the shim into a container.
func (m *Metrics) ShimPlaced(how string, took time.Duration) {
	m.shimPlacements.WithLabelValues(how).Inc()
	m.shimPlacement.Observe(took.Seconds())
}

// ShimReached is told of each connection to a shim; again says that it replaces
// one that broke.
func (m *Metrics) ShimReached(again bool) {
	if again {
		m.shimReconnects.Inc()
	}
	m.shimConnections.Inc()
}
