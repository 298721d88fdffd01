package server

import (
	"net/http"
	"slices"
	"strings"

	"github.com/julienschmidt/httprouter"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/rdev"
)

// A route is one row of the API.
type route struct {
	method, path string
	// scope is what a key needs; the Service checks it again. Empty means that
	// no key is asked for.
	scope  auth.Scope
	body   body
	handle func(*Server, *exchange) error
}

// A body says what a route does with a request's body.
type body int

const (
	bodyNone     body = iota // there must be none
	bodyOptional             // JSON, or none
	bodyRequired             // JSON
)

// eventsPath is the one route that answers with a stream.
const eventsPath = "/projects/:project/events"

// routes is the whole API.
func routes() []route {
	return []route{
		{http.MethodGet, "/projects", auth.ScopeProjectsRead, bodyNone, (*Server).listProjects},
		{http.MethodGet, "/projects/:project", auth.ScopeProjectsRead, bodyNone, (*Server).getProject},

		{http.MethodPost, "/projects/:project/claude", auth.ScopeCommandsClaude, bodyRequired, (*Server).runClaude},
		{http.MethodPost, "/projects/:project/shell", auth.ScopeCommandsShell, bodyRequired, (*Server).runShell},
		{http.MethodPost, "/projects/:project/git", auth.ScopeCommandsGit, bodyRequired, (*Server).runGit},

		{http.MethodGet, eventsPath, auth.ScopeStreamsRead, bodyNone, (*Server).events},

		{http.MethodGet, "/projects/:project/commands", auth.ScopeCommandsRead, bodyNone, (*Server).listCommands},
		{http.MethodGet, "/projects/:project/commands/:command", auth.ScopeCommandsRead, bodyNone, (*Server).getCommand},
		{http.MethodPost, "/projects/:project/commands/:command/cancel", auth.ScopeCommandsCancel, bodyOptional, (*Server).cancelCommand},

		{http.MethodPost, "/keys", auth.ScopeKeysWrite, bodyRequired, (*Server).createKey},
		{http.MethodGet, "/keys", auth.ScopeKeysRead, bodyNone, (*Server).listKeys},
		{http.MethodGet, "/keys/:key", auth.ScopeKeysRead, bodyNone, (*Server).getKey},
		{http.MethodPatch, "/keys/:key", auth.ScopeKeysWrite, bodyRequired, (*Server).narrowKey},
		{http.MethodDelete, "/keys/:key", auth.ScopeKeysWrite, bodyNone, (*Server).revokeKey},
		{http.MethodPost, "/keys/:key/rotate", auth.ScopeKeysWrite, bodyOptional, (*Server).rotateKey},

		{http.MethodGet, "/audit", auth.ScopeAuditRead, bodyNone, (*Server).listAudit},

		{http.MethodGet, "/healthz", "", bodyNone, (*Server).healthz},
		{http.MethodGet, "/readyz", "", bodyNone, (*Server).readyz},
		{http.MethodGet, "/openapi.yaml", "", bodyNone, (*Server).describeAPI},
		{http.MethodGet, "/docs", "", bodyNone, (*Server).docs},
	}
}

// newRouter returns a router that is asked with Lookup alone: it redirects
// nothing and answers nothing by itself. A handle of it tells the exchange
// which route it is.
func newRouter(table []route) *httprouter.Router {
	router := httprouter.New()
	for i := range table {
		rt := &table[i]
		router.Handle(rt.method, rt.path, func(w http.ResponseWriter, _ *http.Request, params httprouter.Params) {
			x := w.(*exchange)
			x.route, x.params = rt, params
		})
	}
	return router
}

// match finds the route and tells it to x.
func (s *Server) match(x *exchange, method, path string) bool {
	handle, params, _ := s.router.Lookup(method, path)
	if handle == nil {
		return false
	}
	handle(x, x.r, params)
	return true
}

// allowed returns the methods that the path has, in alphabetical order.
func (s *Server) allowed(path string) []string {
	var methods []string
	for _, method := range []string{http.MethodDelete, http.MethodGet, http.MethodPatch, http.MethodPost} {
		if handle, _, _ := s.router.Lookup(method, path); handle != nil {
			methods = append(methods, method)
		}
	}
	return methods
}

// errNoRoute is the answer to a path that the API does not have.
var errNoRoute = &apiError{code: rdev.CodeNotFound, message: "there is no such route"}

// noRoute returns why there is no route for the request.
func (s *Server) noRoute(x *exchange, path string) error {
	methods := s.allowed(path)
	if len(methods) == 0 {
		return errNoRoute
	}
	x.Header().Set("Allow", strings.Join(methods, ", "))
	if slices.Contains(methods, x.r.Method) { // cannot be: it would have matched
		return errNoRoute
	}
	return &apiError{code: rdev.CodeMethodNotAllowed, message: "the route does not have this method"}
}
