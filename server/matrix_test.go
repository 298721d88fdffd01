package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/server"
)

// bodies of the routes that want one.
var bodies = map[string]string{
	"/projects/:project/claude": `{"prompt":"hello"}`,
	"/projects/:project/shell":  `{"argv":["echo","hi"]}`,
	"/projects/:project/git":    `{"args":["status","--short"]}`,
	"/keys/:key":                `{"scopes":["projects:read"]}`,
	"/keys":                     `{"name":"made","scopes":["projects:read"],"projects":["web"]}`,
}

// TestMatrix makes a request of every route as every kind of caller.
func TestMatrix(t *testing.T) {
	for _, route := range server.Routes() {
		t.Run(route.Method+route.Path, func(t *testing.T) {
			st := newStand(t, nil)
			st.command("cmd-made", "succeeded")
			st.publish("cmd-made", 1, 2)
			st.complete("cmd-made", 3)
			made, _, err := st.svc.CreateKey(t.Context(), auth.Admin(), keySpec())
			if err != nil {
				t.Fatal(err)
			}
			path := strings.NewReplacer(":project", "web", ":command", "cmd-made", ":key", made.ID).Replace(route.Path)
			if strings.HasSuffix(path, "/events") {
				path += "?stream_id=cmd-made"
			}
			body := ""
			if route.Method == http.MethodPost || route.Method == http.MethodPatch {
				body = bodies[route.Path]
			}
			check := func(t *testing.T, want int, code string, headers ...string) {
				t.Helper()
				is := is.New(t)
				a := st.do(route.Method, path, body, headers...)
				is.Equal(a.status, want)
				is.Equal(a.code(), code)
				if want == http.StatusUnauthorized {
					is.Equal(a.header.Get("WWW-Authenticate"), `Bearer realm="rdev"`)
					is.Equal(a.body, strings.NewReplacer("ID", a.header.Get("X-Request-Id")).Replace(unauthenticated))
				}
			}
			if route.Scope == "" {
				t.Run("NeedsNoKey", func(t *testing.T) { check(t, http.StatusOK, "", "Authorization", "") })
				return
			}
			right := st.key([]auth.Scope{route.Scope}, "web")
			for name, headers := range map[string][]string{
				"NoKey":        {"Authorization", ""},
				"OtherScheme":  {"Authorization", "Basic " + right},
				"NoScheme":     {"Authorization", right},
				"Malformed":    {"Authorization", "Bearer rdev_sk_nonsense"},
				"Unknown":      {"Authorization", "Bearer " + unknownKey()},
				"TwoKeys":      {"Authorization", "Bearer " + right + " " + right},
				"ListOfKeys":   {"Authorization", "Bearer " + right + ",Bearer " + right},
				"CookieAlone":  {"Authorization", "", "Cookie", "Authorization=Bearer " + right},
				"OtherHeader":  {"Authorization", "", "X-Api-Key", right},
				"EmptyKey":     {"Authorization", "Bearer "},
				"TooLongAKey":  {"Authorization", "Bearer " + strings.Repeat("a", 4000)},
				"TrailingByte": {"Authorization", "Bearer " + right + "x"},
			} {
				t.Run(name, func(t *testing.T) { check(t, http.StatusUnauthorized, "UNAUTHENTICATED", headers...) })
			}
			t.Run("TwoHeaders", func(t *testing.T) {
				is := is.New(t)
				req, _ := http.NewRequestWithContext(t.Context(), route.Method, st.url+path, nil)
				req.Header["Authorization"] = []string{"Bearer " + right, "Bearer " + right}
				resp, err := st.http.Do(req)
				is.NoErr(err)
				resp.Body.Close()
				is.Equal(resp.StatusCode, http.StatusUnauthorized)
			})
			t.Run("MissingScope", func(t *testing.T) {
				others := slices.DeleteFunc(auth.AllScopes(), func(s auth.Scope) bool { return s == route.Scope })
				check(t, http.StatusForbidden, "FORBIDDEN", "Authorization", "Bearer "+st.key(others, "*"))
			})
			if strings.Contains(route.Path, ":project") {
				t.Run("OtherProject", func(t *testing.T) {
					check(t, http.StatusNotFound, "PROJECT_NOT_FOUND", "Authorization", "Bearer "+st.key([]auth.Scope{route.Scope}, "secret"))
				})
			}
			t.Run("Right", func(t *testing.T) {
				is := is.New(t)
				key := right
				if strings.Contains(route.Path, "keys") { // what it makes or reads must not be broader
					key = st.key([]auth.Scope{route.Scope, auth.ScopeProjectsRead}, "web")
				}
				a := st.do(route.Method, path, body, "Authorization", "bearer "+key)
				is.True(a.status < 300)
			})
		})
	}
}

const unauthenticated = `{"error":{"code":"UNAUTHENTICATED","message":"a valid key is needed: Authorization: Bearer <key>"},"meta":{"request_id":"ID"}}` + "\n"

// unknownKey is well-formed and nobody's.
func unknownKey() string {
	id, secret := auth.NewKey()
	return auth.FormatKey(id, secret).Reveal()
}
