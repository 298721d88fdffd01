// Package oddproc makes processes, for tests, that are hard to find or to judge
// from outside.
package oddproc
