package server_test

import (
	"cmp"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/server"
)

const goldenMatrix = "testdata/matrix.golden"

// TestGoldenMatrix makes a request of every route as every kind of caller, and
// compares what comes of it with a file that people have read.
// RDEV_UPDATE_GOLDEN=1 writes it.
func TestGoldenMatrix(t *testing.T) {
	var b strings.Builder
	b.WriteString("# What each route answers to each kind of caller. Made by TestGoldenMatrix; RDEV_UPDATE_GOLDEN=1 writes it.\n" +
		"# Of the scopes, those are listed that are enough by themselves; a key with all but those is missing.\n")
	for _, row := range server.Routes() {
		b.WriteString(newMatrix(t, row, nil).row())
	}
	want, err := os.ReadFile(goldenMatrix)
	if os.Getenv("RDEV_UPDATE_GOLDEN") != "" {
		err = os.WriteFile(goldenMatrix, []byte(b.String()), 0o644)
		want = []byte(b.String())
	}
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Fatalf("who may do what is not as in %s. If that is meant, RDEV_UPDATE_GOLDEN=1 writes this:\n%s", goldenMatrix, b.String())
	}
}

// TestGoldenMatrixSeesEveryChangedScope: with any scope in the table replaced by
// any other, or by none, the row of that route becomes another.
func TestGoldenMatrixSeesEveryChangedScope(t *testing.T) {
	golden, err := os.ReadFile(goldenMatrix)
	if err != nil {
		t.Fatal(err)
	}
	mutants := 0
	for _, row := range server.Routes() {
		want := ""
		for line := range strings.Lines(string(golden)) {
			if strings.HasPrefix(line, row.Method+" "+row.Path+" ") {
				want = line
			}
		}
		if want == "" {
			t.Fatalf("%s %s is not in the golden matrix", row.Method, row.Path)
		}
		for _, other := range append(auth.AllScopes(), "") {
			if other == row.Scope {
				continue
			}
			mutants++
			got := newMatrix(t, row, func(s *server.Server) { s.MutateScope(row.Method, row.Path, other) })
			if got.sees(want) {
				t.Errorf("%s %s with the scope %q instead of %q is not noticed", row.Method, row.Path, other, row.Scope)
			}
		}
	}
	if least := len(auth.AllScopes()) * len(server.Routes()); mutants < least {
		t.Fatalf("only %d mutants of %d were tried", mutants, least)
	}
}

// A matrix asks one route.
type matrix struct {
	*stand
	route server.RouteRow
}

func newMatrix(t *testing.T, route server.RouteRow, mutate func(*server.Server)) *matrix {
	m := &matrix{route: route}
	m.stand = newStand(t, func(up *setup) {
		up.config.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	if mutate != nil {
		mutate(m.srv)
	}
	return m
}

// row asks for everything, and writes it down.
func (m *matrix) row() string {
	all := auth.AllScopes()
	shown := func(change func(*rdev.KeySpec), after func(*auth.Key)) string {
		spec := rdev.KeySpec{Name: "k", Scopes: all, Projects: []auth.Pattern{"web"}}
		if change != nil {
			change(&spec)
		}
		return m.made(spec, after)
	}
	right := shown(nil, nil)
	_, otherSecret := auth.NewKey()
	id, _, err := auth.ParseKey(right)
	if err != nil {
		m.t.Fatal(err)
	}
	enough := m.enough()
	cells := []string{
		"none=" + m.ask("", all[0]),
		"malformed=" + m.ask("rdev_sk_nonsense", all[0]),
		"unknown=" + m.ask(unknownKey(), all[0]),
		"wrong_secret=" + m.ask(auth.FormatKey(id, otherSecret).Reveal(), all[0]),
		"expired=" + m.ask(shown(nil, func(k *auth.Key) { k.ExpiresAt = time.Now() }), all[0]),
		"revoked=" + m.ask(shown(nil, func(k *auth.Key) { k.RevokedAt = time.Now() }), all[0]),
		"elsewhere=" + m.ask(shown(func(s *rdev.KeySpec) { s.AllowedAddresses = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} }, nil), all[0]),
		"other_project=" + m.ask(shown(func(s *rdev.KeySpec) { s.Projects = []auth.Pattern{"secret"} }, nil), all[0]),
	}
	if missing := slices.DeleteFunc(auth.AllScopes(), func(s auth.Scope) bool { return slices.Contains(enough, s) }); len(missing) > 0 {
		cells = append(cells, "missing="+m.ask(shown(func(s *rdev.KeySpec) { s.Scopes = missing }, nil), missing[0]))
	}
	cells = append(cells, "right="+m.ask(right, all[0]), "scopes="+scopeList(enough))
	return m.route.Method + " " + m.route.Path + " " + strings.Join(cells, " ") + "\n"
}

// sees reports whether a row says what comes of those requests that tell scopes
// apart.
func (m *matrix) sees(row string) bool {
	return strings.Contains(row, " none="+m.ask("", auth.AllScopes()[0])+" ") &&
		strings.HasSuffix(row, " scopes="+scopeList(m.enough())+"\n")
}

func scopeList(scopes []auth.Scope) string {
	var names []string
	for _, s := range scopes {
		names = append(names, string(s))
	}
	return cmp.Or(strings.Join(names, ","), "-")
}

// enough returns the scopes with one of which alone the route can be used.
func (m *matrix) enough() []auth.Scope {
	var enough []auth.Scope
	for _, scope := range auth.AllScopes() {
		key := m.made(rdev.KeySpec{Name: "k", Scopes: []auth.Scope{scope}, Projects: []auth.Pattern{"web"}}, nil)
		if strings.HasPrefix(m.ask(key, scope), "2") {
			enough = append(enough, scope)
		}
	}
	return enough
}

func (m *matrix) made(spec rdev.KeySpec, after func(*auth.Key)) string {
	m.t.Helper()
	key, secret, err := m.svc.CreateKey(m.t.Context(), auth.Admin(), spec)
	if err == nil && after != nil {
		_, err = m.keys.Update(m.t.Context(), key.ID, func(k *auth.Key) error { after(k); return nil })
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return secret.Reveal()
}

// ask makes the request, of things that are there and that a key with the scope
// may make or change, and returns the status and the code of the answer.
func (m *matrix) ask(key string, scope auth.Scope) string {
	m.t.Helper()
	target, _, err := m.svc.CreateKey(m.t.Context(), auth.Admin(), rdev.KeySpec{Name: "target", Scopes: []auth.Scope{scope}, Projects: []auth.Pattern{"web"}})
	if err != nil {
		m.t.Fatal(err)
	}
	command := "cmd-" + strings.ToLower(target.ID)
	m.command(command, rdev.StateSucceeded)
	m.publish(command, 1, 2)
	m.complete(command, 3)
	path := strings.NewReplacer(":project", "web", ":command", command, ":key", target.ID).Replace(m.route.Path)
	if strings.HasSuffix(path, "/events") {
		path += "?stream_id=" + command
	}
	body := ""
	if m.route.Body != nil {
		body = bodies[m.route.Path]
		if strings.HasPrefix(m.route.Path, "/keys") {
			body = strings.ReplaceAll(body, string(auth.ScopeProjectsRead), string(scope))
		}
	}
	headers := []string{"Authorization", "", "X-Forwarded-For", "10.0.0.7"}
	if key != "" {
		headers[1] = "Bearer " + key
	}
	a := m.do(m.route.Method, path, body, headers...)
	if code := a.code(); code != "" {
		return fmt.Sprint(a.status, ":", code)
	}
	return fmt.Sprint(a.status)
}

// TestIdsOfOthers: an id inside a request, of something that the key may not
// see, is as one of nothing.
func TestIdsOfOthers(t *testing.T) {
	st := newStand(t, nil)
	st.command("cmd-web", rdev.StateRunning)
	st.publish("cmd-web", 1, 3)
	secret := st.svcRun(t, "secret")
	own := "Bearer " + st.key(auth.AllScopes(), "web")
	both := "Bearer " + st.key(auth.AllScopes(), "*")
	for _, key := range []string{own, both} { // who may see it must name it rightly
		for _, c := range []struct {
			method, path string
			want         int
			code         string
			headers      []string
		}{
			{"GET", "/projects/web/commands/" + secret, 404, "UNKNOWN_COMMAND", nil},
			{"POST", "/projects/web/commands/" + secret + "/cancel", 404, "UNKNOWN_COMMAND", nil},
			{"GET", "/projects/web/events?stream_id=" + secret, 404, "UNKNOWN_COMMAND", nil},
			{"GET", "/projects/web/events?stream_id=" + secret, 404, "UNKNOWN_COMMAND", []string{"Last-Event-ID", secret + ":1"}},
			{"GET", "/projects/web/events?stream_id=cmd-web", 400, "INVALID_ARGUMENT", []string{"Last-Event-ID", secret + ":1"}},
			{"GET", "/projects/web/events?stream_id=cmd-web&last_event_id=" + secret + ":1", 400, "INVALID_ARGUMENT", nil},
			{"GET", "/projects/web/events?stream_id=cmd-web", 400, "INVALID_ARGUMENT", []string{"Last-Event-ID", secret + ":final"}},
			{"GET", "/projects/web/commands/cmd-none", 404, "UNKNOWN_COMMAND", nil},
		} {
			a := st.do(c.method, c.path, "", append([]string{"Authorization", key}, c.headers...)...)
			if a.status != c.want || a.code() != c.code {
				t.Errorf("%s %s: %d %s, want %d %s", c.method, c.path, a.status, a.code(), c.want, c.code)
			}
			if strings.Contains(a.body, secret) && !strings.Contains(c.path, secret) {
				t.Errorf("%s %s names what the key may not see: %s", c.method, c.path, a.body)
			}
		}
	}
	t.Run("CursorsOpenNothing", func(t *testing.T) {
		foreign := data[struct {
			Next string `json:"next_cursor"`
		}](t, func() answer { st.svcRun(t, "secret"); return st.do("GET", "/projects/secret/commands?limit=1", "") }())
		a := st.do("GET", "/projects/web/commands?cursor="+foreign.Next, "", "Authorization", own)
		if foreign.Next == "" || a.status != http.StatusOK || strings.Contains(a.body, `"secret"`) {
			t.Errorf("with the cursor %q of another project: %d %s", foreign.Next, a.status, a.body)
		}
		st.key(auth.AllScopes(), "secret")
		keys := data[struct {
			Next string `json:"next_cursor"`
		}](t, st.do("GET", "/keys?limit=1", ""))
		a = st.do("GET", "/keys?cursor="+keys.Next, "", "Authorization", own)
		if keys.Next == "" || a.status != http.StatusOK || strings.Contains(a.body, `"*"`) || strings.Contains(a.body, `"secret"`) {
			t.Errorf("with a cursor of the admin's list: %d %s", a.status, a.body)
		}
	})
	t.Run("IdempotencyKeysAreEachKeysOwn", func(t *testing.T) {
		run := func(key, project string) (string, string) {
			a := st.do("POST", "/projects/"+project+"/shell", `{"argv":["true"]}`, "Authorization", key, "Idempotency-Key", "deploy-7")
			return data[struct{ ID string }](t, a).ID, a.header.Get("Idempotency-Replayed")
		}
		first, replayed := run(both, "secret")
		for _, c := range []struct{ key, project string }{{own, "web"}, {both, "web"}, {"Bearer " + adminKey, "secret"}} {
			id, replayed := run(c.key, c.project)
			if id == first || id == "" || replayed != "" {
				t.Errorf("in %s another one's command was answered: %s", c.project, id)
			}
		}
		if again, answered := run(both, "secret"); again != first || answered != "true" || replayed != "" {
			t.Errorf("the own one was not: %s, %q", again, answered)
		}
	})
}

// svcRun runs a command and returns its id.
func (st *stand) svcRun(t *testing.T, project string) string {
	t.Helper()
	a := st.do("POST", "/projects/"+project+"/shell", `{"argv":["echo","hi"]}`)
	return data[struct{ ID string }](t, a).ID
}
