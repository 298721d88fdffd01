// Package tstest makes a TypeScript client of openapi.yaml, compiles it, and runs
// it against a server. It contains tests alone.
package tstest
