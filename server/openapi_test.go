package server_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/server"
)

// TestOpenAPI holds openapi.yaml against the tables and types of the code.
func TestOpenAPI(t *testing.T) {
	doc, err := yaml.Parser().Unmarshal(server.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("HasTheRoutesAndScopesOfTheTable", func(t *testing.T) {
		is := is.New(t)
		described := map[string]string{} // "METHOD /path" to scope
		for path, item := range object(doc, "paths") {
			for method, operation := range item.(map[string]any) {
				if method == "parameters" {
					continue
				}
				described[strings.ToUpper(method)+" "+path] = roles(operation.(map[string]any))
			}
		}
		for _, route := range server.Routes() {
			row := route.Method + " " + regexp.MustCompile(`:(\w+)`).ReplaceAllString(route.Path, "{$1}")
			scope, ok := described[row]
			is.True(ok) // is described
			is.Equal(scope, string(route.Scope))
			delete(described, row)
		}
		is.Equal(described, map[string]string{}) // none is described that is not there
	})
	t.Run("HasTheFieldsOfEveryBody", func(t *testing.T) {
		is := is.New(t)
		schemas := map[string]string{
			"/projects/:project/claude": "ClaudeRequest", "/projects/:project/shell": "ShellRequest",
			"/projects/:project/git": "GitRequest", "/keys": "CreateKeyRequest", "/keys/:key": "NarrowKeyRequest", "/keys/:key/rotate": "RotateKeyRequest",
		}
		for _, route := range server.Routes() {
			if route.Body == nil {
				continue
			}
			is.Equal(names(object(doc, "components", "schemas", schemas[route.Path], "properties")), route.Body)
			delete(schemas, route.Path)
		}
		is.Equal(schemas, map[string]string{})
	})
	t.Run("HasTheFieldsOfEveryAnswer", func(t *testing.T) {
		is := is.New(t)
		schemas := map[string]string{
			"project": "Project", "command": "Command", "result": "Result", "key": "Key",
			"connected": "ConnectedEvent", "heartbeat": "HeartbeatEvent", "gap": "GapEvent", "denied": "DeniedEvent",
		}
		for answer, fields := range server.Answers() {
			slices.Sort(fields)
			is.Equal(names(object(doc, "components", "schemas", schemas[answer], "properties")), fields)
		}
	})
	t.Run("HasEveryCodeWithItsStatus", func(t *testing.T) {
		is := is.New(t)
		code := object(doc, "components", "schemas", "Code")
		listed := code["enum"].([]any)
		statuses := object(code, "x-statuses")
		for _, c := range codes(t) {
			is.True(slices.Contains(listed, any(string(c)))) // is a value of Code
			is.Equal(statuses[string(c)], server.StatusOf(c))
		}
		is.Equal(len(listed), len(codes(t)))
		is.Equal(len(statuses), len(codes(t)))
	})
	t.Run("HasEveryScope", func(t *testing.T) {
		is := is.New(t)
		var scopes []any
		for _, scope := range auth.AllScopes() {
			scopes = append(scopes, string(scope))
		}
		is.Equal(object(doc, "components", "schemas", "Scope")["enum"].([]any), scopes)
	})
	t.Run("IsServedWithoutAKey", func(t *testing.T) {
		is := is.New(t)
		a := newStand(t, nil).do(http.MethodGet, "/openapi.yaml", "", "Authorization", "")
		is.Equal(a.status, http.StatusOK)
		is.Equal(a.header.Get("Content-Type"), "application/yaml")
		is.Equal(a.body, string(server.OpenAPI()))
	})
}

// object walks down from a map by its keys.
func object(m map[string]any, keys ...string) map[string]any {
	for _, key := range keys {
		m, _ = m[key].(map[string]any)
	}
	return m
}

func names(m map[string]any) []string {
	var all []string
	for name := range m {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// roles are the scopes that an operation asks for, "" for none.
func roles(operation map[string]any) string {
	var all []string
	security, _ := operation["security"].([]any)
	for _, requirement := range security {
		for _, scope := range requirement.(map[string]any)["key"].([]any) {
			all = append(all, scope.(string))
		}
	}
	return strings.Join(all, " ")
}
