package server

import (
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/orchard9/rdev/rdev"
)

// guard refuses requests that no well-meant client makes, before anything
// looks at what they ask for.
func (s *Server) guard(r *http.Request) error {
	if !s.hostAllowed(r.Host) {
		return &apiError{code: rdev.CodeForbidden, message: "this server does not answer to that host name"}
	}
	if err := s.crossOrigin.Check(r); err != nil {
		return &apiError{code: rdev.CodeForbidden, message: "the request comes from a page of another origin"}
	}
	// RawPath is set if the path was spelled in another way than it is
	// written: %2F for a slash, %61 for an a. No name in this API needs that,
	// and what proxies make of it differs.
	if r.URL.RawPath != "" || checkPath(r.URL.Path) != nil {
		return &apiError{code: rdev.CodeInvalidArgument, message: "the path is not in its plain form",
			details: fieldDetails{Field: "path", Problem: "holds an encoded or doubled slash, a dot segment, a control character or a needless escape"}}
	}
	return nil
}

// hostAllowed reports whether requests may be addressed to host.
func (s *Server) hostAllowed(host string) bool {
	if len(s.cfg.AllowedHosts) == 0 {
		return true
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	return slices.ContainsFunc(s.cfg.AllowedHosts, func(allowed string) bool { return strings.EqualFold(allowed, host) })
}

var errPath = errors.New("server: path is not plain")

// checkPath refuses a path that is not absolute, or that something between
// here and the client may have read in another way.
func checkPath(path string) error {
	if !strings.HasPrefix(path, "/") {
		return errPath
	}
	for i := range len(path) {
		if c := path[i]; c < 0x20 || c == 0x7f || c == '\\' {
			return errPath
		}
	}
	for segment := range strings.SplitSeq(path[1:], "/") {
		if segment == "." || segment == ".." || segment == "" && path != "/" && !strings.HasSuffix(path, "/") {
			return errPath
		}
	}
	if strings.Contains(path, "//") {
		return errPath
	}
	return nil
}
