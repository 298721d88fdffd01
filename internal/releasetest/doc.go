// Package releasetest tests what is in deploy: that a release can be built
// again, byte for byte. It contains tests alone.
package releasetest
