package server

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/orchard9/rdev/rdev"
)

// auditData is a page of the audit log. A row is as it is hashed: encoded by the
// package that the hash is made with.
type auditData struct {
	Rows       []jsontext.Value `json:"rows"`
	Head       *auditHead       `json:"head,omitzero"`
	NextCursor string           `json:"next_cursor,omitzero"`
}

type auditHead struct {
	Seq  uint64         `json:"seq"`
	Hash rdev.AuditHash `json:"hash"`
}

func (s *Server) listAudit(x *exchange) error {
	values, err := x.query("limit", "cursor", "project", "key", "since", "order")
	if err != nil {
		return err
	}
	cursor, limit, err := page(values)
	if err != nil {
		return err
	}
	opts := rdev.AuditOptions{Project: values.Get("project"), KeyID: values.Get("key"), Limit: limit}
	if cursor != "" {
		if opts.Cursor, err = strconv.ParseUint(cursor, 10, 63); err != nil || opts.Cursor == 0 {
			return invalid("cursor", "is not one of this list")
		}
	}
	if values.Has("since") {
		if opts.Since, err = time.Parse(time.RFC3339, values.Get("since")); err != nil {
			return invalid("since", "is not a time such as 2026-01-02T15:04:05Z")
		}
	}
	if values.Has("order") {
		switch values.Get("order") {
		case "newest":
		case "oldest":
			opts.OldestFirst = true
		default:
			return invalid("order", "is not newest or oldest")
		}
	}
	found, err := s.svc.AuditLog(x.r.Context(), x.caller, opts)
	if err != nil {
		return err
	}
	data := auditData{Rows: make([]jsontext.Value, len(found.Rows))}
	for i, row := range found.Rows {
		if data.Rows[i], err = json.Marshal(row); err != nil {
			return err
		}
	}
	if found.Head != nil {
		data.Head = &auditHead{found.Head.Seq, found.Head.Hash}
	}
	if found.Next != 0 {
		data.NextCursor = formatCursor(strconv.FormatUint(found.Next, 10))
	}
	return x.reply(http.StatusOK, data)
}

// noteRefusal notes in the audit log a request that was refused before it came
// to the Service, which notes by itself what it refuses.
func (s *Server) noteRefusal(x *exchange, e apiError) {
	refusal := rdev.Refusal{Code: e.code, Project: x.project()}
	switch e.code {
	case rdev.CodeUnauthenticated:
		if refusal.Reason = string(x.reason); refusal.Reason == "" {
			refusal.Reason = "no key"
		}
	case rdev.CodeForbidden, rdev.CodeRateLimited, rdev.CodeTooManyCommands, rdev.CodeTooManyStreams:
		refusal.Reason = e.message
	default:
		return
	}
	if rdev.RefusalNoted(x.cause) {
		return
	}
	refusal.Action = x.method
	if x.route != nil {
		refusal.Action = string(x.route.scope)
	}
	caller := x.caller
	caller.Addr = x.addr
	s.svc.NoteRefusal(rdev.WithRequestID(x.r.Context(), x.id), caller, refusal)
}
