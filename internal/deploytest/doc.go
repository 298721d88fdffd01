// Package deploytest runs rdev as deploy says it is run: in pods of a real cluster,
// made by the chart, from an image made as the Dockerfile says, against a real
// Postgres. It contains tests alone.
package deploytest
