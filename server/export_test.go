package server

import (
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/rdev"
)

// A RouteRow is a row of the table as tests see it.
type RouteRow struct {
	Method, Path string
	Scope        auth.Scope
	Body         []string // names of the fields, nil for no body
}

// Routes returns the table.
func Routes() []RouteRow {
	bodies := map[string]any{
		"/projects/:project/claude": claudeBody{}, "/projects/:project/shell": shellBody{}, "/projects/:project/git": gitBody{},
		"/keys": createKeyBody{}, "/keys/:key": narrowKeyBody{}, "/keys/:key/rotate": rotateKeyBody{},
	}
	var rows []RouteRow
	for _, r := range routes() {
		row := RouteRow{Method: r.method, Path: r.path, Scope: r.scope}
		if b, ok := bodies[r.path]; ok && r.body != bodyNone {
			row.Body = fields(reflect.TypeOf(b))
		}
		rows = append(rows, row)
	}
	return rows
}

// Answers returns the names of the fields of everything that is answered.
func Answers() map[string][]string {
	return map[string][]string{
		"project": fields(reflect.TypeFor[projectData]()), "command": fields(reflect.TypeFor[commandData]()),
		"result": fields(reflect.TypeFor[resultData]()), "key": fields(reflect.TypeFor[keyData]()),
		"connected": fields(reflect.TypeFor[connectedData]()), "heartbeat": {"timestamp", "head_seq"},
		"gap": fields(reflect.TypeFor[gapData]()), "denied": fields(reflect.TypeFor[deniedData]()),
	}
}

func fields(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		f := t.Field(i)
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			names = append(names, name)
		} else if f.Anonymous {
			names = append(names, fields(f.Type)...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// StatusOf returns how a code is answered, zero if it has no row.
func StatusOf(code rdev.Code) int { return statuses[code].status }

// Describe returns what a caller is told of an error.
func Describe(err error) (code rdev.Code, message, details string, status int) {
	e, status := describe(err)
	b, _ := json.Marshal(e.details)
	return e.code, e.message, string(b), status
}

// ParseEventID is parseEventID without its result.
func ParseEventID(id, streamID string) (seq uint64, final bool, err error) {
	at, err := parseEventID("x", id, streamID)
	return at.Seq, at.Final, err
}

// ClientAddr is where a request comes from.
func ClientAddr(s *Server, r *http.Request) netip.Addr { return s.clientAddr(r) }

// TellKeysUnknown tells the server what its Watch tells when the store has not
// answered for too long.
func (s *Server) TellKeysUnknown() {
	for _, rd := range s.readers.all() {
		s.keyChanged(rd.keyID, auth.Key{}, auth.ErrKeysUnknown)
	}
}

func (r *readers) all() []*reader {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []*reader
	for _, rd := range r.open {
		if rd.keyID != auth.AdminID {
			all = append(all, rd)
		}
	}
	return all
}

// CostOfNoTrace returns what is done for the span of a request where there is
// none.
func CostOfNoTrace(cmd rdev.Command) func() {
	s, x := &Server{}, &exchange{}
	return func() {
		s.startSpan(x)
		x.concerns(cmd)
		x.endSpan()
		_ = x.traceID()
	}
}

// A Sender brings frames to one reader.
type Sender struct{ sender }

// Send sends the bytes.
func (s Sender) Send(b []byte) error { return s.send(append(make([]byte, headroom), b...)) }

// Hurry is for another goroutine.
func (s Sender) Hurry() { s.hurry() }

// SenderOn returns the Sender on a connection that was taken over, of which what
// was there before is not the Sender's.
func SenderOn(conn net.Conn, timeout time.Duration) Sender {
	return Sender{&connSender{conn: conn, timeout: timeout}}
}

// SenderOf returns the Sender through a ResponseWriter.
func SenderOf(w http.ResponseWriter, timeout time.Duration) (Sender, error) {
	s, err := newResponseSender(&exchange{ResponseWriter: w}, timeout)
	return Sender{s}, err
}

// MutateScope makes a route ask for another scope, in the table of this Server
// alone. Not after its first request.
func (s *Server) MutateScope(method, path string, scope auth.Scope) {
	table := routes()
	for i := range table {
		if table[i].method == method && table[i].path == path {
			table[i].scope = scope
		}
	}
	s.router = newRouter(table)
}
