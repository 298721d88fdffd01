package main

import (
	"net/http"
	"regexp"
	"strings"
)

// traceparent is the form of version 00 of W3C Trace Context, and of those to
// come.
var traceparent = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// traceHeader returns what makes the requests of the command line part of the
// trace that it is called in: it may be a command of rdev itself. Nil if there
// is none, or nothing that can be one.
func traceHeader(getenv func(string) string) http.Header {
	parent, state := getenv("TRACEPARENT"), getenv("TRACESTATE")
	if !traceparent.MatchString(parent) {
		return nil
	}
	h := http.Header{"Traceparent": {parent}}
	unprintable := func(r rune) bool { return r < ' ' || r > '~' }
	if state != "" && strings.IndexFunc(state, unprintable) < 0 {
		h.Set("Tracestate", state)
	}
	return h
}
