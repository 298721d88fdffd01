// Package rdev is the map of this module; it exports nothing. The core is the
// package rdev/rdev.
//
// rdev runs commands in projects and streams what they print, so that nothing
// printed is lost and no outcome is invented. A project is a folder on this
// machine, or a pod in Kubernetes. A command is a shell command, a git command
// or a Claude Code prompt.
//
// # The map
//
// Three ports know neither each other nor anything above them:
//
//   - exec: runs a command; [github.com/orchard9/rdev/exec.Executor]
//   - auth: says who a caller is; [github.com/orchard9/rdev/auth.KeyStore]
//   - stream: keeps what was printed; [github.com/orchard9/rdev/stream.Broker]
//
// Adapters implement them, each named for its technology: exec/local,
// store/sqlite. Beside each port stands a contract suite that every
// implementation passes, yours too: exec/exectest, auth/authtest,
// stream/streamtest.
//
// The package rdev/rdev is the one place where the ports meet. It knows no
// adapter. Its Service is what programs call; server puts it behind HTTP,
// server/client calls that, and cmd/rdev wires everything.
//
//	cmd/rdev ── server ── rdev ─┬─ exec ──── exec/local
//	                            ├─ auth ───┐
//	                            └─ stream ─┴ store/sqlite
//
// internal/archtest holds the code to this map.
//
// # Where to begin reading
//
//  1. exec/executor.go: the promises about a command, in one interface.
//  2. stream/broker.go: the promises about its output.
//  3. rdev/service.go, then rdev/state.go: how the two become a command's life.
//  4. server/routes.go: the whole API as one table.
//  5. exec/shim: how the promises are kept, where processes are.
//
// To use the module, begin with the folder examples.
package rdev
