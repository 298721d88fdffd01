package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/orchard9/rdev/server/client"
)

// A Server is one that is examined as its clients see it.
type Server struct {
	URL    string         // without a slash at the end
	Client *client.Client // of URL, with the key
	// Key is the one that Client has, for a request that it does not make.
	Key string
	// KeySource is where the key is from, for people.
	KeySource string
	// Dial makes connections. Defaults to a net.Dialer's.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Version is this program's.
	Version string
	// Project is where streaming is tried. Defaults to the first one that runs.
	Project string
}

// answerTimeout is how long a server may take for one answer.
const answerTimeout = 15 * time.Second

// Server examines a server. With commands that it runs there for a second, it
// tries whether streams are held back on their way.
func (r *Report) Server(ctx context.Context, s Server) {
	if !r.reachable(ctx, s) {
		return
	}
	r.ready(ctx, s)
	project, ok := r.projects(ctx, s)
	if ok {
		r.stream(ctx, s, project)
	}
}

// reachable looks whether the URL leads to an rdev server, and at its clock.
func (r *Report) reachable(ctx context.Context, s Server) bool {
	const check = "server"
	asked := time.Now()
	answer, err := s.get(ctx, "/healthz")
	answered := time.Now()
	if err != nil {
		r.Fail(check, "start it (rdev serve), or correct RDEV_SERVER, or look at the network between", "%s cannot be reached: %v", s.URL, err)
		return false
	}
	var said struct {
		Data struct {
			Status string `json:"status"`
		} `json:"data"`
	}
	if answer.status != http.StatusOK || json.Unmarshal(answer.body, &said) != nil || said.Data.Status != "ok" {
		r.Fail(check, "correct RDEV_SERVER, or let the proxy in front pass requests on to rdev", "what answers at %s is no rdev server (GET /healthz: %s)", s.URL, http.StatusText(answer.status))
		return false
	}
	r.Ok(check, "%s answers in %v", s.URL, answered.Sub(asked).Round(time.Millisecond))
	date, _ := http.ParseTime(answer.header.Get("Date"))
	r.clock("server-clock", "the server", asked, answered, date, time.Second)
	return true
}

// ready asks what the server says of its own parts, and for its version.
func (r *Report) ready(ctx context.Context, s Server) {
	const check = "ready"
	answer, err := s.get(ctx, "/readyz?verbose")
	if err != nil {
		r.Fail(check, "try again", "the server does not say whether it is ready: %v", err)
		return
	}
	var said struct {
		Data  struct{ Version string }
		Error struct {
			Details struct{ Parts map[string]string }
		}
	}
	_ = json.Unmarshal(answer.body, &said) // what is not understood is not there
	if answer.status != http.StatusOK {
		var broken []string
		for _, part := range slices.Sorted(maps.Keys(said.Error.Details.Parts)) {
			switch said.Error.Details.Parts[part] {
			case "failed":
				broken = append(broken, part+" failed")
			case "yes":
				broken = append(broken, part)
			}
		}
		r.Fail(check, "read the server's log: it says why", "the server is not ready: %s", strings.Join(broken, ", "))
		return
	}
	r.Ok(check, "the server and its parts are ready")
	switch {
	case said.Data.Version == "":
		r.Warn("version", "use an rdev server of the same release as this program", "the server does not tell its version; this program is %s", s.Version)
	case said.Data.Version != s.Version:
		r.Warn("version", "use the same release for both", "the server is rdev %s, this program is %s", said.Data.Version, s.Version)
	default:
		r.Ok("version", "the server and this program are rdev %s", s.Version)
	}
}

// projects looks at the key and the projects that it may see, and returns the
// one in which streaming is tried.
func (r *Report) projects(ctx context.Context, s Server) (project string, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*answerTimeout)
	defer cancel()
	all, err := s.Client.Projects(ctx)
	switch {
	case errors.Is(err, client.Unauthenticated):
		r.Fail("key", "set RDEV_API_KEY_FILE or RDEV_API_KEY to a key of this server; rdev keys create makes one", "the server does not accept the key from %s", s.KeySource)
		return "", false
	case errors.Is(err, client.Forbidden) && s.Project != "":
		r.Warn("key", "give the key the scope projects:read to have them looked at", "the key from %s may not list projects", s.KeySource)
		return s.Project, true
	case errors.Is(err, client.Forbidden):
		r.Warn("key", "give the key the scope projects:read, or name a project", "the key from %s may not list projects", s.KeySource)
		return "", false
	case err != nil:
		r.Fail("key", "try again", "the projects cannot be listed: %v", err)
		return "", false
	}
	r.Ok("key", "the server accepts the key from %s", s.KeySource)
	const check = "projects"
	if len(all) == 0 {
		r.Fail(check, "give the server a project (rdev serve --project, or a labelled pod), or the key a pattern that covers it", "the key sees no project")
		return "", false
	}
	running := 0
	for _, p := range all {
		if p.Status != "running" {
			r.Warn(check, "see what the message says; rdev doctor where the server runs tells more", "the project %s is %s: %s", p.Name, p.Status, p.Detail)
			continue
		}
		running++
		if p.Detail != "" {
			r.Warn(check, "see what the message says", "the project %s runs, but: %s", p.Name, p.Detail)
		}
		if project == "" && (s.Project == "" || s.Project == p.Name) {
			project = p.Name
		}
	}
	switch {
	case project == "" && s.Project != "":
		r.Fail(check, "name one that runs: rdev projects lists them", "there is no running project %s that the key may see", s.Project)
		return "", false
	case running == 0:
		r.Fail(check, "see what the messages say", "no project runs")
		return "", false
	}
	r.Ok(check, "%d of %d projects run", running, len(all))
	return project, true
}

// answer is one of the server's.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// get asks for something short without a key.
func (s Server) get(ctx context.Context, path string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+path, nil)
	if err != nil {
		return answer{}, err
	}
	response, err := s.http().Do(request)
	if err != nil {
		return answer{}, reason(ctx, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return answer{response.StatusCode, response.Header, body}, err
}

// http follows no redirect: the API has none, and the key is not for whoever
// sends one.
func (s Server) http() *http.Client {
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if s.Dial != nil {
		c.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: s.Dial, ForceAttemptHTTP2: true, DisableKeepAlives: true}
	}
	return c
}

// reason is why a request failed, without the URL, which is known.
func reason(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("no answer within %v", answerTimeout)
	}
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}
