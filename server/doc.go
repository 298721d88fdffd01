// Package server serves a Service over HTTP: a JSON API, and server-sent events
// for what commands print. This comment is the reference of the wire; a test
// holds it against the route table and the types.
//
// # Requests
//
// The key is in the header "Authorization: Bearer <key>" and taken from nowhere
// else. A request without one that works is answered with 401, which never says
// why, before its body is read.
//
// A body is one JSON object in UTF-8 of at most 1 MiB, as application/json,
// without compression. Fields that a route does not have, fields that are there
// twice or in another case, anything behind the object, invalid UTF-8 and null
// are INVALID_ARGUMENT with the field named. So are query parameters that a
// route does not have. Where a route has no body there must be none.
//
// A duration in a request is a number of seconds (30, 0.5) or a string as Go
// writes durations ("30s", "1h30m"). Times are RFC 3339. Paths are taken as
// they stand: nothing is redirected, and a path with an encoded slash, a doubled
// slash, a dot segment or a needless escape is refused.
//
// X-Request-Id, 8 to 64 of [A-Za-z0-9._-], names a request in the log; without
// one the server makes it. It comes back in the header and in the body.
//
// # Answers
//
//	{"data": …, "meta": {"request_id": "…"}}
//	{"error": {"code": "…", "message": "…", "details": {…}}, "meta": {"request_id": "…"}}
//
// The code is for programs; messages change. The details of INVALID_ARGUMENT are
// {"field", "problem"}, those of COMMAND_REJECTED {"rule", "field", "token",
// "column", "reason", "hint"?}, those of a FORBIDDEN for want of a scope {"scope"},
// those of a 429 {"limit", "max"?}.
//
//	400 INVALID_ARGUMENT
//	401 UNAUTHENTICATED
//	403 FORBIDDEN               a scope is missing, or the host or origin is not allowed
//	404 NOT_FOUND               no such route
//	404 PROJECT_NOT_FOUND       also if the key does not see the project
//	404 UNKNOWN_COMMAND         no record of this command in the project
//	404 KEY_NOT_FOUND           also if the key is broader than the caller's
//	404 POD_NOT_FOUND
//	405 METHOD_NOT_ALLOWED      with Allow; HEAD and OPTIONS too, except for CORS preflights
//	406 NOT_ACCEPTABLE          the events route without text/event-stream or */* in Accept
//	409 CONFLICT                the Idempotency-Key was used for another request; the key was rotated
//	409 COMMAND_LOST            how the command ended is unknown
//	409 CANCELED                it ended before it started
//	410 GONE                    the output is retained no longer
//	415 UNSUPPORTED_MEDIA_TYPE
//	422 COMMAND_REJECTED        the policy refuses it
//	422 COMMAND_NOT_FOUND       no such program
//	422 NOT_EXECUTABLE
//	422 CLAUDE_ERROR            claude exited, and did not do what it was asked to
//	422 OUTPUT_LIMIT
//	429 RATE_LIMITED            with Retry-After, as all that may pass
//	429 TOO_MANY_COMMANDS       of the key, or in the project, or in its queue
//	429 TOO_MANY_STREAMS        of the key
//	500 INTERNAL                the log tells more under the request id
//	503 UNAVAILABLE
//	503 POD_NOT_READY
//	504 DEADLINE_EXCEEDED
//	507 INSUFFICIENT_STORAGE
//
// COMMAND_NOT_FOUND, NOT_EXECUTABLE, POD_NOT_FOUND, CLAUDE_ERROR and
// COMMAND_LOST are usually no answers but how a command ended.
//
// # Limits
//
// Answers to a key whose requests are limited tell so as in
// draft-ietf-httpapi-ratelimit-headers-11:
//
//	RateLimit-Policy: "requests";q=100;w=60   a burst, and the seconds after which it is whole
//	RateLimit: "requests";r=42;t=35           how many are left, and the seconds until all are;
//	                                          with r=0 and 429, until there is one
//
// Retry-After is never less than t. The limits of a 429 are requests and
// failed_logins (RATE_LIMITED), streams (TOO_MANY_STREAMS), project_commands,
// key_commands, key_commands_in_project and queue (TOO_MANY_COMMANDS).
//
// # Projects
//
//	GET /projects            projects:read   {"projects": [project]}
//	GET /projects/{project}  projects:read   project
//
// A project is {"name", "description"?, "status", "detail"?, "policy"}; the status is
// running, pending, failed or not_found. The policy is strict, restricted or
// permissive: what commands may be there, for keys that have no narrower one of
// their own. A shell and what widens the permissions of claude need the scopes
// commands:shell:unrestricted and commands:claude:unrestricted besides.
//
// # Commands
//
//	POST /projects/{project}/claude  commands:claude
//	POST /projects/{project}/shell   commands:shell
//	POST /projects/{project}/git     commands:git
//
// The bodies are, with "cwd" relative to the project's folder:
//
//	{"prompt", "session_id"?, "model"?, "max_turns"?, "permission_mode"?, "allowed_tools"?, "cwd"?, "timeout"?, "max_wait"?}
//	{"command"} or {"argv"}, with "env"?, "cwd"?, "timeout"?, "max_wait"?
//	{"args", "cwd"?, "timeout"?, "max_wait"?}
//
// The answer comes at once and does not wait for the command: 201, with Location.
// With text/event-stream in Accept it is no command but the stream of its events
// (see Events), for which the key needs streams:read too: one request starts a
// command and shows what it prints. A stream that breaks goes on at the command's
// events_url, with Last-Event-ID, which is refused here. Should the stream not
// begin though the command has started, the answer is the command.
// With an Idempotency-Key (1 to 255 printable ASCII characters) a repeated
// request is answered with 200, the header "Idempotency-Replayed: true" and the
// first one's command, for a day.
//
// If as many commands run as may, the answer is TOO_MANY_COMMANDS; with a
// "max_wait" above zero the command waits in the project's queue instead, which
// is fair over keys. It is queued then, its events tell its position, and if no
// place comes free in time it ends as failed with TOO_MANY_COMMANDS.
//
//	GET /projects/{project}/commands                           commands:read    {"commands": [command], "next_cursor"?}
//	GET /projects/{project}/commands/{command}                 commands:read    command
//	POST /projects/{project}/commands/{command}/cancel         commands:cancel  202, command
//
// The list is newest first; ?limit= (1 to 200), ?cursor= (a next_cursor),
// ?state= (may be repeated) and ?type= select. Cancel does not wait for the end
// either, and is idempotent; its body, {"force"?}, may ask for KILL at once
// instead of TERM and a grace period, also within that period.
//
// A command is {"id", "project", "type", "policy", "argv", "state", "key_id",
// "stream_id", "events_url", "created_at", "started_at"?, "ended_at"?, "cancel_requested_at"?,
// "wait_until"?,
// "result"?, "error"?, "claude"?}. The state is queued, running, succeeded, failed,
// canceled, timed_out or lost. The result is {"exit_code", "signal"?,
// "duration_ms", "lines", "stdout_bytes", "stderr_bytes", "truncated"?,
// "survivors"?}; a command that ended without an exit code has an "error" instead,
// {"code", "message"}.
//
// A claude has a "claude" besides, taken from the result event that it prints:
// {"subtype", "is_error", "session_id"?, "turns", "permission_denials", "usage",
// "cost_usd", "session_usage", "session_cost_usd"}, with {"input_tokens",
// "output_tokens", "cache_read_tokens", "cache_write_tokens"} for a usage. The
// first usage and cost are what the command added, the others the session's.
// Without a result, or with one that reports an error or a limit, the command is
// failed with the error CLAUDE_ERROR, whatever the exit code.
//
// # Events
//
//	GET /projects/{project}/events  streams:read  ?stream_id=… text/event-stream
//
// Ids are <stream_id>:<number>, that of the terminal event <stream_id>:final.
//
// With ?output=batches, here and at the routes that start a command, lines that
// are there together share an output event, up to about 4 KB of them: its data
// are the JSON of each on a line of its own, and its id is that of the last. So
// much output takes a fraction of the work; a line that comes alone is an event
// as it is with ?output=lines, the default.
//
//	connected  {"project", "stream_id", "resume", "head_seq"}; the first, at once;
//	           its id is the place that the reader named, 0 without one
//	output     {"line", "stream", "partial"?, "base64"?}; "base64" has the exact
//	           bytes where the line is not valid UTF-8
//	gap        {"from", "to", "reason"}: these are gone; the reason is retention or
//	           log_truncated; its id leads behind the gap
//	denied     {"code", "message"}: the key does not allow the stream any more; the
//	           last event of this body, and who comes back is answered with the code
//	queued     {"position"}: where the command waits, 1 for the first, and 0 when
//	           it has a place; when that changes, without an id
//	heartbeat  {"timestamp", "head_seq"}; every 15 s, without an id
//	complete   {"exit_code", "duration_ms", "state", "signal"?, "truncated"?};
//	           for a claude also "claude", "code" and "message", as in a command
//	error      {"code", "message", "state"}: the command ended without an exit code
//
// Exactly one of complete and error is the last event; then the body ends. In an
// EventSource a listener for "error" also gets the failures of the connection:
// those have no data.
//
// A reader resumes with the id of the last event that it has, in Last-Event-ID
// or, if that is absent or empty, in ?last_event_id=. The answer, also in the
// header Rdev-Resume and in "resume":
//
//	fresh  no place was named: all that there is, then what comes
//	exact  the next event is the one after
//	gap    a gap event tells first what cannot be had
//	204    the reader has the terminal event: an EventSource stops
//	400    the id is not of this stream, or of none
//	410    GONE, nothing is left of the stream
//
// A response ends between two events after about 15 minutes, when its key ends
// (a revoked one is noticed by the next heartbeat), or when the server stops;
// the retry field says when to come back. A reader that takes no bytes for 10
// seconds is cut. A reader that comes back with Last-Event-ID, and cannot be
// served for the moment, gets an empty stream with a retry field instead of the
// status 429 or 5xx, after which an EventSource would never try again.
//
// # Keys
//
//	POST /keys                keys:write  201, key with its "secret", this once
//	GET /keys                 keys:read   {"keys": [key], "next_cursor"?}
//	GET /keys/{key}           keys:read   key
//	PATCH /keys/{key}         keys:write  key, narrowed
//	DELETE /keys/{key}        keys:write  key, revoked; idempotent
//	POST /keys/{key}/rotate   keys:write  201, its successor with the "secret"
//
// The body of the first is {"name", "scopes", "projects", "policy"?,
// "expires_at"?, "allowed_addresses"?}, that of the last nothing or {"grace"?}, the
// time that the old key goes on working: a day without it, 0 for not at all. PATCH
// takes {"scopes"?, "projects"?, "policy"?, "expires_at"?, "allowed_addresses"?}, of
// which all but the last may only allow less than before. A key is {"id", "name",
// "scopes", "projects", "policy"?, "allowed_addresses"?, "created_at", "created_by",
// "expires_at"?, "revoked_at"?, "last_used_at"?, "replaces"?, "replaced_by"?}.
//
// What a key is denied holds at once, for open streams too. An answer to a key
// that expires soon says when, in Rdev-Key-Expires (RFC 3339).
//
// # Audit
//
//	GET /audit  audit:read  {"rows": [row], "head"?, "next_cursor"?}
//
// The rows are newest first, with ?order=oldest the oldest; ?limit=, ?cursor=,
// ?project=, ?key= and ?since= (a time) select. A key that does not see every
// project gets the rows of those that it sees, and then a page may be short, or
// empty, though there is a next_cursor. The head, {"seq", "hash"}, is where the
// log ends, for keys that see all of it.
//
// A row is {"seq", "time", "event", …, "prev", "hash"}; the fields between are
// those of AuditEntry in package rdev, and absent where they say nothing. The
// events are command.intent, command.outcome, command.cancel, command.kill,
// key.create, key.rotate, key.narrow, key.revoke, refused, refused.more and
// audit.pruned.
//
// # Health
//
//	GET /healthz   no key  the process answers
//	GET /readyz    no key  503 while requests should go elsewhere
//
// With ?verbose, "parts" says of each part of the program whether it is ok or
// failed, in the data or in the details of UNAVAILABLE.
//
// # Description
//
//	GET /openapi.yaml  no key  this API as OpenAPI 3.1, in YAML
//	GET /docs          no key  the same as a page, without scripts
//
// # Browsers
//
// Pages of other origins are refused unless Config.AllowedOrigins has theirs;
// those may send all headers named here, after a preflight. No cookie is ever
// looked at.
package server
