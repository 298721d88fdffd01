package server_test

import (
	"bytes"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/matryer/is"

	"github.com/orchard9/rdev/server"
)

// TestDocsPage holds docs.html to openapi.yaml. RDEV_UPDATE_DOCS=1 writes it.
func TestDocsPage(t *testing.T) {
	t.Run("IsMadeOfTheDescription", func(t *testing.T) {
		is := is.New(t)
		doc, err := yaml.Parser().Unmarshal(server.OpenAPI())
		is.NoErr(err)
		want := renderDocs(t, doc)
		if os.Getenv("RDEV_UPDATE_DOCS") != "" {
			is.NoErr(os.WriteFile("docs.html", want, 0o644))
		}
		have, err := os.ReadFile("docs.html")
		is.NoErr(err)
		is.True(bytes.Equal(have, want)) // else: RDEV_UPDATE_DOCS=1 go test ./server -run DocsPage
		for _, route := range server.Routes() {
			is.True(bytes.Contains(have, []byte(strings.NewReplacer(":project", "{project}", ":command", "{command}", ":key", "{key}").Replace(route.Path))))
		}
		for _, code := range codes(t) {
			is.True(bytes.Contains(have, []byte("<code>"+string(code)+"</code>")))
		}
	})
	t.Run("NeedsNothingFromElsewhere", func(t *testing.T) {
		is := is.New(t)
		a := newStand(t, nil).do(http.MethodGet, "/docs", "", "Authorization", "")
		is.Equal(a.status, http.StatusOK)
		is.Equal(a.header.Get("Content-Type"), "text/html; charset=utf-8")
		is.True(strings.HasPrefix(a.header.Get("Content-Security-Policy"), "default-src 'none'"))
		is.True(!strings.Contains(a.body, "<script"))
		is.True(!strings.Contains(a.body, "://"))
		for _, link := range strings.Split(a.body, `href="#`)[1:] {
			target, _, _ := strings.Cut(link, `"`)
			is.True(strings.Contains(a.body, `id="`+target+`"`)) // links lead somewhere
		}
	})
}

// renderDocs fills testdata/docs.tmpl.
func renderDocs(t *testing.T, doc map[string]any) []byte {
	t.Helper()
	page, err := template.New("docs.tmpl").Funcs(template.FuncMap{"name": refName, "types": typeNames}).ParseFiles("testdata/docs.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	resolve := func(v any) map[string]any {
		m, _ := v.(map[string]any)
		if ref, ok := m["$ref"].(string); ok {
			return object(doc, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
		}
		return m
	}
	var routes, schemas []map[string]any
	for _, route := range server.Routes() {
		path := strings.NewReplacer(":project", "{project}", ":command", "{command}", ":key", "{key}").Replace(route.Path)
		item := object(doc, "paths", path)
		operation := object(item, strings.ToLower(route.Method))
		row := map[string]any{"method": route.Method, "path": path, "scope": string(route.Scope), "operation": operation}
		shared, _ := item["parameters"].([]any)
		own, _ := operation["parameters"].([]any)
		var parameters []map[string]any
		for _, parameter := range slices.Concat(shared, own) {
			parameters = append(parameters, resolve(parameter))
		}
		row["parameters"] = parameters
		row["body"] = object(operation, "requestBody", "content", "application/json")["schema"]
		var responses []map[string]any
		for _, status := range slices.Sorted(maps.Keys(object(operation, "responses"))) {
			response := resolve(object(operation, "responses")[status])
			answer := map[string]any{"status": status, "description": response["description"]}
			answer["schema"] = object(response, "content", "application/json")["schema"]
			var events []map[string]any
			all := object(response, "content", "text/event-stream", "x-events")
			for _, name := range slices.Sorted(maps.Keys(all)) {
				events = append(events, map[string]any{"name": name, "schema": all[name]})
			}
			answer["events"] = events
			responses = append(responses, answer)
		}
		row["responses"] = responses
		routes = append(routes, row)
	}
	all := object(doc, "components", "schemas")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		schema := all[name].(map[string]any)
		required, _ := schema["required"].([]any)
		var fields []map[string]any
		properties := object(schema, "properties")
		for _, field := range slices.Sorted(maps.Keys(properties)) {
			fields = append(fields, map[string]any{"name": field, "schema": properties[field], "required": slices.Contains(required, any(field))})
		}
		schemas = append(schemas, map[string]any{"name": name, "schema": schema, "fields": fields, "statuses": schema["x-statuses"]})
	}
	var b bytes.Buffer
	if err := page.Execute(&b, map[string]any{"info": doc["info"], "routes": routes, "schemas": schemas}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// refName is the last part of a $ref.
func refName(ref string) string { return ref[strings.LastIndexByte(ref, '/')+1:] }

// typeNames joins the types of a schema, which are a name or a list.
func typeNames(v any) string {
	if list, ok := v.([]any); ok {
		var all []string
		for _, name := range list {
			all = append(all, fmt.Sprint(name))
		}
		return strings.Join(all, " or ")
	}
	return fmt.Sprint(v)
}
