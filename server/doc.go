// Package server serves a Service over HTTP.
package server
