package apitest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// A validator is an http.RoundTripper that holds what passes to the
// description. Responses are read whole.
type validator struct {
	t      *testing.T
	doc    *openapi3.T
	router routers.Router

	mu   sync.Mutex
	seen map[string]map[int]bool // operation id to statuses
}

func newValidator(t *testing.T, description []byte) *validator {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(description)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		t.Fatal(err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &validator{t: t, doc: doc, router: router, seen: map[string]map[int]bool{}}
}

// invalidRequest marks a request that the server is to refuse: its form is
// wrong by intent.
type invalidRequest struct{}

func (v *validator) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent []byte
	if r.Body != nil {
		sent, _ = io.ReadAll(r.Body)
		r.Body = http.NoBody // which is not the same as an empty body
		if len(sent) > 0 {
			r.Body = io.NopCloser(bytes.NewReader(sent))
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))

	v.check(r, sent, resp, body, r.Context().Value(invalidRequest{}) != nil)
	return resp, nil
}

// check holds a request and its answer to the description. invalid says that the
// request need not be as described.
func (v *validator) check(r *http.Request, sent []byte, resp *http.Response, body []byte, invalid bool) {
	// The router matches paths, and not the host of this test's server.
	asked := r.Clone(r.Context())
	asked.URL.Scheme, asked.URL.Host, asked.Host = "", "", ""
	asked.Body = http.NoBody
	if len(sent) > 0 {
		asked.Body = io.NopCloser(bytes.NewReader(sent))
	}
	route, params, err := v.router.FindRoute(asked)
	if err != nil {
		v.t.Errorf("%s %s is not described: %v", r.Method, r.URL.Path, err)
		return
	}
	v.note(route.Operation.OperationID, resp.StatusCode)
	input := &openapi3filter.RequestValidationInput{
		Request: asked, PathParams: params, Route: route,
		Options: &openapi3filter.Options{
			AuthenticationFunc:                func(context.Context, *openapi3filter.AuthenticationInput) error { return nil },
			RejectWhenRequestBodyNotSpecified: true, IncludeResponseStatus: true, MultiError: true,
		},
	}
	if !invalid {
		if err := openapi3filter.ValidateRequest(r.Context(), input); err != nil {
			v.t.Errorf("%s %s: the request is not as described: %v", r.Method, r.URL, err)
		}
	}
	answer := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: resp.StatusCode, Header: resp.Header, Options: input.Options,
	}
	media, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	if media == "text/event-stream" || media == "application/yaml" || media == "text/html" {
		asText := *input.Options // no schema can say more of it; events are looked at one by one
		asText.ExcludeResponseBody = true
		answer.Options = &asText
	}
	if err := openapi3filter.ValidateResponse(r.Context(), answer.SetBodyBytes(body)); err != nil {
		v.t.Errorf("%s %s: the answer %d %s is not as described: %v", r.Method, r.URL, resp.StatusCode, body, err)
	}
}

func (v *validator) note(operation string, status int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.seen[operation] == nil {
		v.seen[operation] = map[int]bool{}
	}
	v.seen[operation][status] = true
}

// event holds an event's data to the schema of its name.
func (v *validator) event(name string, data any) {
	v.t.Helper()
	media := v.doc.Paths.Value("/projects/{project}/events").Get.Responses.Value("200").Value.Content["text/event-stream"]
	events, _ := media.Extensions["x-events"].(map[string]any)
	ref, _ := events[name].(map[string]any)
	target, _ := ref["$ref"].(string)
	schema := v.doc.Components.Schemas[strings.TrimPrefix(target, "#/components/schemas/")]
	if schema == nil {
		v.t.Errorf("the event %s is not described", name)
		return
	}
	if err := schema.Value.VisitJSON(data, openapi3.EnableJSONSchema2020(), openapi3.MultiErrors()); err != nil {
		v.t.Errorf("the event %s %v is not as described: %v", name, data, err)
	}
}
