package server

import _ "embed"

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
	return x.file(openAPI)
}
