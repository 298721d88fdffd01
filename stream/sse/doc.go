// Package sse writes and reads text/event-stream, the format of server-sent
// events, as the WHATWG HTML standard defines it in "9.2 Server-sent events"
// (https://html.spec.whatwg.org/multipage/server-sent-events.html), and the
// event ids by which rdev's streams are resumed.
//
// It stands on the standard library alone, because what a general library
// leaves open decides here whether a line is lost:
//   - A limit on the length of a line, such as bufio.Scanner's 64 KiB, ends a
//     stream for ever at the first long line: the reader reconnects and meets
//     the same line. The limit here is on an event, large, and an error of its
//     own.
//   - An event is appended whole or not at all. A reader records an id only
//     with the blank line behind it, so half an event costs nothing, but an id
//     on its own would claim what was never delivered.
//   - Bytes are exact. Nothing is trimmed, decoded or dropped silently: what
//     the format cannot carry is refused.
//
// Encoding appends to a caller's buffer without allocating, so that one write
// carries all events that are there.
package sse
