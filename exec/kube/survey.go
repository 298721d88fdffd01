package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"k8s.io/client-go/rest"
)

// A Survey is what an API server says of itself.
type Survey struct {
	Host    string // as the configuration names it
	Version string // "v1.34.4"; empty if the server does not tell cfg's user
	// Date is the server's clock, in whole seconds, at a time between Asked
	// and Answered by this machine's. Zero if the answer had none.
	Date            time.Time
	Asked, Answered time.Time
}

// Ask asks the API server for its version and its time. It needs no right.
func Ask(ctx context.Context, cfg *rest.Config) (Survey, error) {
	s := Survey{Host: cfg.Host}
	base, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return s, fmt.Errorf("exec/kube: ask the API server: %w", err)
	}
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return s, fmt.Errorf("exec/kube: ask the API server: %w", err)
	}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("version").String(), nil)
	if err != nil {
		return s, fmt.Errorf("exec/kube: ask the API server: %w", err)
	}
	s.Asked = time.Now()
	response, err := client.Do(request)
	s.Answered = time.Now()
	if err != nil {
		return s, fmt.Errorf("exec/kube: ask the API server %s: %w", s.Host, withoutURL(err))
	}
	defer response.Body.Close()
	s.Date, _ = http.ParseTime(response.Header.Get("Date"))
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return s, fmt.Errorf("exec/kube: ask the API server %s: %w", s.Host, err)
	}
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusForbidden:
		return s, nil
	case http.StatusUnauthorized:
		return s, fmt.Errorf("exec/kube: the API server %s does not accept these credentials", s.Host)
	default:
		return s, fmt.Errorf("exec/kube: the API server %s answers %s", s.Host, response.Status)
	}
	var said struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := json.Unmarshal(body, &said); err != nil || said.GitVersion == "" {
		return s, fmt.Errorf("exec/kube: what answers at %s is no Kubernetes API server", s.Host)
	}
	s.Version = said.GitVersion
	return s, nil
}

// withoutURL leaves out the URL that http.Client adds, whose host is named
// already.
func withoutURL(err error) error {
	if e, ok := err.(*url.Error); ok {
		return e.Err
	}
	return err
}

// ClientVersion is the version of Kubernetes that this program's client is of,
// "v1.37.2"; empty if it was built without module information.
func ClientVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == "k8s.io/client-go" {
			return "v1" + strings.TrimPrefix(m.Version, "v0")
		}
	}
	return ""
}
