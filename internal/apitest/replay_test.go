package apitest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/orchard9/rdev/server"
	"github.com/orchard9/rdev/stream/sse"
)

// TestReplay runs the server's own tests, which keep what goes over the wire, and
// holds every request and every answer of them to the description.
func TestReplay(t *testing.T) {
	folder := t.TempDir()
	tests := exec.CommandContext(t.Context(), "go", "test", "-count=1", "./server")
	tests.Dir = "../.."
	tests.Env = append(os.Environ(), "RDEV_TEST_EXCHANGES="+folder)
	if out, err := tests.CombinedOutput(); err != nil {
		// That they fail is told where they are run as what they are.
		t.Logf("the server's tests: %v\n%s", err, out[max(0, len(out)-2000):])
	}
	r := replay{v: newValidator(t, server.OpenAPI()), known: map[string]bool{}}
	files, err := filepath.Glob(filepath.Join(folder, "*.sent"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		r.connection(t, strings.TrimSuffix(file, ".sent"))
	}
	t.Logf("%d connections; %d exchanges on routes, of which %d were refused, with %d events; %d on no route; %d cut off",
		len(files), r.described, r.refused, r.events, r.elsewhere, r.cut)
	if r.described < 300 || r.refused < 100 || r.events < 500 || r.elsewhere < 10 {
		t.Error("these are fewer than there used to be")
	}
	for path, item := range r.v.doc.Paths.Map() {
		for method, operation := range item.Operations() {
			if len(r.v.seen[operation.OperationID]) == 0 {
				t.Errorf("the server's tests do not come to %s %s", method, path)
			}
		}
	}
}

// A replay counts what it saw.
type replay struct {
	known                                      map[string]bool // events that were looked at
	v                                          *validator
	described, refused, elsewhere, cut, events int
}

// connection validates all exchanges of one connection.
func (r *replay) connection(t *testing.T, name string) {
	t.Helper()
	read := func(file string) []byte {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	stand := name[:strings.LastIndexByte(name, '-')]
	base := strings.TrimSuffix(string(read(stand+".base")), "/")
	requests := bufio.NewReader(bytes.NewReader(read(name + ".sent")))
	answers := bufio.NewReader(bytes.NewReader(read(name + ".answered")))
	for {
		request, err := http.ReadRequest(requests)
		if err != nil {
			return // no more, or none that is HTTP: that is answered below the API
		}
		sent, sentErr := io.ReadAll(request.Body)
		response, err := http.ReadResponse(answers, request)
		if err != nil {
			r.cut++ // nobody waited for it
			return
		}
		body, err := io.ReadAll(response.Body)
		whole := err == nil && sentErr == nil
		if !whole {
			r.cut++
		}
		r.exchange(t, request, sent, response, body, whole, base)
		if !whole {
			return
		}
	}
}

func (r *replay) exchange(t *testing.T, request *http.Request, sent []byte, response *http.Response, body []byte, whole bool, base string) {
	t.Helper()
	media, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";")
	if media == "text/plain" && response.Header.Get("X-Request-Id") == "" {
		return // net/http's own, about what is no HTTP
	}
	path, mounted := strings.CutPrefix(request.URL.Path, base)
	request.URL.Path, request.URL.RawPath = path, strings.TrimPrefix(request.URL.RawPath, base)
	request = request.WithContext(t.Context())
	if _, _, err := r.v.router.FindRoute(bare(request)); err != nil || !mounted {
		r.elsewhere++
		switch {
		case request.Method == http.MethodOptions || request.Method == http.MethodHead || !whole:
		case response.StatusCode < 400:
			t.Errorf("%s %s is answered with %d, and is not described", request.Method, request.URL, response.StatusCode)
		default:
			r.failure(t, request, body)
		}
		return
	}
	if media == "text/event-stream" {
		r.stream(t, body, whole, request.URL.Query().Get("output") == "batches")
	} else if !whole {
		return
	}
	r.described++
	refused := response.StatusCode >= 400
	if refused {
		r.refused++
	}
	// What the server takes must be as described; what it refuses need not be.
	r.v.check(request, sent, response, body, refused)
}

// bare is the request as the router wants it: without a host.
func bare(request *http.Request) *http.Request {
	asked := request.Clone(request.Context())
	asked.URL.Scheme, asked.URL.Host, asked.Host = "", "", ""
	return asked
}

// failure holds the answer to a request for no route to the form of all failures.
func (r *replay) failure(t *testing.T, request *http.Request, body []byte) {
	t.Helper()
	var answer any
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Errorf("%s %s: %q is not JSON", request.Method, request.URL, body)
		return
	}
	schema := r.v.doc.Components.Schemas["Failure"].Value
	if err := schema.VisitJSON(answer, openapi3.EnableJSONSchema2020(), openapi3.MultiErrors()); err != nil {
		t.Errorf("%s %s: %s is not as described: %v", request.Method, request.URL, body, err)
	}
}

// stream holds each event that is there as a whole to its schema; with batches,
// each line of its data.
func (r *replay) stream(t *testing.T, body []byte, whole, batches bool) {
	t.Helper()
	decoder := sse.NewDecoder(bytes.NewReader(body), nil)
	for {
		event, err := decoder.Next()
		if errors.Is(err, io.EOF) || !whole && errors.Is(err, io.ErrUnexpectedEOF) {
			return
		}
		if err != nil {
			t.Errorf("a stream that cannot be read: %v", err)
			return
		}
		r.events++
		if !(batches && event.Name == "output") && bytes.ContainsRune(event.Data, '\n') {
			t.Errorf("the event %s has several lines: %.200q", event.Name, event.Data)
		}
		for line := range bytes.SplitSeq(event.Data, []byte("\n")) {
			r.event(t, event.Name, line)
		}
	}
}

// event holds the data of an event, or a line of them, to its schema.
func (r *replay) event(t *testing.T, name string, text []byte) {
	t.Helper()
	key := name + " " + string(text)
	if r.known[key] {
		return // some tests send the same line a hundred thousand times
	}
	r.known[key] = true
	var data any
	if err := json.Unmarshal(text, &data); err != nil {
		t.Errorf("the event %s has data that is not JSON: %.200q", name, text)
		return
	}
	r.v.event(name, data)
}
