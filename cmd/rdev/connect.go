package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/server/client"
)

// usualServer is asked when nothing else is known.
const usualServer = "http://127.0.0.1:8080"

// A remote is a client together with where its server and its key were found,
// which errors want to say.
type remote struct {
	*client.Client
	url       string
	key       auth.Secret
	keySource string
	// dial makes connections, if they lead to the server of the data folder.
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// connect returns a client of the server that the settings name. It does not
// talk to it.
func (a *app) connect() (*remote, error) {
	c := a.config
	local := endpoint(c.DataDir)
	r := &remote{url: strings.TrimSuffix(cmp.Or(c.Server, local, usualServer), "/")}
	var err error
	r.key, r.keySource, err = a.clientKey(r.url, local)
	if err != nil {
		return nil, err
	}
	if r.url == local && (c.Server == "" || r.keySource == localKeyPath(c.DataDir)) {
		r.dial = dialEndpoint(c.DataDir, local)
	}
	r.Client, err = client.New(r.url, r.key.Reveal(), &client.Options{
		DialContext: r.dial,
		UserAgent:   "rdev/" + buildVersion().Version,
		Header:      traceHeader(a.getenv),
		OnReconnect: a.reconnecting(r),
		OnKeyExpiry: a.expiring(r),
		OnQueued:    a.queued,
	})
	if err != nil {
		return nil, usagef("%s", describe(err))
	}
	return r, nil
}

// reconnecting says once that the connection was lost. That it is back shows by
// itself.
func (a *app) reconnecting(r *remote) func(error) {
	var once sync.Once
	return func(err error) {
		once.Do(func() {
			a.notice("the connection was cut (%s); connecting again, nothing is lost", describe(r.explain(err)))
		})
	}
}

// expiring says once that the key is about to expire.
func (a *app) expiring(r *remote) func(time.Time) {
	var once sync.Once
	return func(at time.Time) {
		once.Do(func() {
			a.notice("the key from %s expires in %s, at %s; rotate it with rdev keys rotate", r.keySource, span(time.Until(at)), at.Local().Format(time.RFC3339))
		})
	}
}

// queued says where a command waits.
func (a *app) queued(position int) {
	if position > 0 {
		a.notice("too many commands run; this one waits, number %d in the queue", position)
	}
}

// clientKey returns the key to use at the URL, and where it is from. That of the
// data folder is for the server that runs from there alone, which is local.
func (a *app) clientKey(url, local string) (key auth.Secret, source string, err error) {
	c := a.config
	switch {
	case !c.APIKey.IsZero() && c.APIKeyFile != "":
		return key, "", usagef("both RDEV_API_KEY and an api_key_file are set; keep one")
	case !c.APIKey.IsZero():
		return c.APIKey, "RDEV_API_KEY", nil
	case c.APIKeyFile != "":
		key, err = readKey(c.APIKeyFile)
		return key, c.APIKeyFile, err
	}
	if url == local {
		path := localKeyPath(c.DataDir)
		if key, err = readKey(path); err == nil {
			return key, path, nil
		} else if !os.IsNotExist(err) {
			return key, "", err
		}
	}
	if local == "" && c.Server == "" {
		_, killed := readEndpoint(c.DataDir)
		return key, "", &noServerError{a.tilde(c.DataDir), killed}
	}
	return key, "", &noKeyError{}
}

// noServerError: nothing says where a server is, and none runs from the data
// folder.
type noServerError struct {
	dataDir string
	killed  bool // the last one was
}

func (e *noServerError) Error() string {
	why := ""
	if e.killed {
		why = ", the last one was killed"
	}
	return "no server runs from " + e.dataDir + why + "; start one with rdev serve, or name one with RDEV_SERVER and RDEV_API_KEY_FILE"
}

// noKeyError: there is a server, and nothing to show it.
type noKeyError struct{}

func (*noKeyError) Error() string {
	return "there is no key to talk to the server with; set RDEV_API_KEY_FILE or RDEV_API_KEY"
}

// project returns the project that was named, or the only one there is.
func (r *remote) project(ctx context.Context, named string) (string, error) {
	if named != "" {
		return named, nil
	}
	projects, err := r.Projects(ctx)
	if err != nil {
		return "", r.explain(err)
	}
	switch len(projects) {
	case 0:
		return "", fmt.Errorf("the key sees no project at %s", r.url)
	case 1:
		return projects[0].Name, nil
	}
	names := make([]string, len(projects))
	for i, p := range projects {
		names[i] = p.Name
	}
	return "", usagef("say in which project: %s", orList(names))
}
