package server

import (
	_ "embed"
	"net/http"
	"strconv"
	"time"
)

// openAPI describes the API for programs, as doc.go does for people. Tests
// hold both against the route table.
//
//go:embed openapi.yaml
var openAPI []byte

// OpenAPI returns the description of the API, an OpenAPI 3.1 document in YAML.
// GET /openapi.yaml serves the same.
func OpenAPI() []byte { return append([]byte(nil), openAPI...) }

// describeAPI answers with the description.
func (*Server) describeAPI(x *exchange) error {
	if _, err := x.query(); err != nil {
		return err
	}
	x.Header().Set("Content-Type", "application/yaml")
	x.Header().Set("Content-Length", strconv.Itoa(len(openAPI)))
	// A ResponseWriter without deadlines has none that could be set.
	_ = http.NewResponseController(x.ResponseWriter).SetWriteDeadline(time.Now().Add(responseTimeout))
	x.WriteHeader(http.StatusOK)
	if _, err := x.Write(openAPI); err != nil {
		x.cause = err // the caller has gone; there is nobody to tell
	}
	return nil
}
