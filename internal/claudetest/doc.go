// Package claudetest gives tests the real Claude Code CLI, a stand-in for the
// API that it talks to, and what a Service must make of its runs. Neither an
// account nor a network is needed, and neither could be used by mistake: the
// environment is made from nothing, and there is no network but loopback.
//
// The CLI is licensed software. install.sh puts it into the cache folder; it is
// never committed.
package claudetest
