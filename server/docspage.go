package server

import (
	_ "embed"
	"net/http"
	"strconv"
	"time"
)

// docsPage is openapi.yaml for people: one page, without scripts, and without
// anything that would have to be fetched. A test makes it of openapi.yaml.
//
//go:embed docs.html
var docsPage []byte

// docs answers with the page.
func (*Server) docs(x *exchange) error {
	if _, err := x.query(); err != nil {
		return err
	}
	h := x.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	return x.file(docsPage)
}

// file answers with a file of the program, whose type is in the header.
func (x *exchange) file(content []byte) error {
	x.Header().Set("Content-Length", strconv.Itoa(len(content)))
	// A ResponseWriter without deadlines has none that could be set.
	_ = http.NewResponseController(x.ResponseWriter).SetWriteDeadline(time.Now().Add(responseTimeout))
	x.WriteHeader(http.StatusOK)
	if _, err := x.Write(content); err != nil {
		x.cause = err // the caller has gone; there is nobody to tell
	}
	return nil
}
