//go:build !linux

package claudetest

import "testing"

// Run runs the tests of a package. Without network namespaces Program skips
// them.
func Run(m *testing.M) int { return m.Run() }
