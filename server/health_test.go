package server_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/matryer/is"
)

func TestReadiness(t *testing.T) {
	well := func(context.Context) error { return nil }
	ill := func(context.Context) error { return errors.New("password of the store is wrong") }
	type parts map[string]func(context.Context) error
	type answered struct {
		Status  string
		Version string
		Parts   map[string]string
	}

	t.Run("VerboseNamesTheParts", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, func(up *setup) { up.config.Parts, up.config.Version = parts{"store": well, "broker": well}, "v1.2.3" })
		a := st.do(http.MethodGet, "/readyz?verbose", "", "Authorization", "")
		is.Equal(a.status, http.StatusOK)
		is.Equal(data[answered](t, a), answered{"ready", "v1.2.3", map[string]string{"store": "ok", "broker": "ok", "draining": "no"}})
		is.Equal(data[answered](t, st.do(http.MethodGet, "/readyz", "")), answered{Status: "ready"})
	})
	t.Run("OneFailedPartIsEnoughAndItsErrorIsForTheLog", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, func(up *setup) { up.config.Parts = parts{"store": ill, "broker": well} })
		a := st.do(http.MethodGet, "/readyz?verbose", "", "Authorization", "")
		is.Equal(a.status, http.StatusServiceUnavailable)
		is.Equal(a.code(), "UNAVAILABLE")
		is.True(strings.Contains(a.body, `"parts":{"broker":"ok","draining":"no","store":"failed"}`))
		is.True(!strings.Contains(a.body, "password"))
		eventually(t, "the log has the reason", func() bool { return strings.Contains(st.log.String(), "password of the store is wrong") })
		is.Equal(st.do(http.MethodGet, "/healthz", "").status, http.StatusOK)
	})
	t.Run("PartsAreNotAskedForEveryRequest", func(t *testing.T) {
		is := is.New(t)
		var asked atomic.Int32
		st := newStand(t, func(up *setup) {
			up.config.Parts = parts{"store": func(context.Context) error { asked.Add(1); return nil }}
		})
		for range 50 {
			is.Equal(st.do(http.MethodGet, "/readyz", "").status, http.StatusOK)
		}
		is.True(asked.Load() < 25)
	})
	t.Run("LeaveTurnsNothingButReadinessAway", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, nil)
		st.srv.Leave()
		a := st.do(http.MethodGet, "/readyz?verbose", "")
		is.Equal(a.status, http.StatusServiceUnavailable)
		is.True(strings.Contains(a.body, `"draining":"yes"`))
		is.Equal(st.do(http.MethodGet, "/projects", "").status, http.StatusOK)
	})
}
