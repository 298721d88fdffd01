// Package walktest takes the way of somebody who meets rdev for the first time: a
// clone, the README's first command, a command that is followed, the page of the
// API in a real browser, metrics in a real Prometheus, and the servers of
// compose.yaml behind a real proxy. It is a module of its own, so that what drives
// a browser and what reads Compose files are no dependencies of the SDK. It
// contains tests alone.
package walktest
