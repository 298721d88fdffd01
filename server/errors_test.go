package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/server"
)

func readSource(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestErrors(t *testing.T) {
	for _, row := range []struct {
		err     error
		status  int
		code    rdev.Code
		message string // part of it
	}{
		{errors.New("dial tcp 10.0.0.1: password hunter2"), 500, rdev.CodeInternal, "something went wrong"},
		{fmt.Errorf("store: %w", context.DeadlineExceeded), 504, rdev.CodeDeadlineExceeded, "took too long"},
		{fmt.Errorf("rdev: project %q: %w", "hunter2", rdev.ErrProjectNotFound), 404, rdev.CodeProjectNotFound, "no such project"},
		{fmt.Errorf("x: %w", &rdev.ArgumentError{Field: "timeout", Problem: "is negative"}), 400, rdev.CodeInvalidArgument, "timeout is negative"},
		{&exec.FieldError{Field: "argv[1]", Problem: "holds a NUL byte"}, 400, rdev.CodeInvalidArgument, "argv[1] holds a NUL byte"},
		{&policy.Refusal{Code: "shell.operator", Field: "command", Token: ";", Column: 7, Reason: "is an operator"}, 422, rdev.CodeCommandRejected, "column 7"},
		{fmt.Errorf("%w: the key lacks the scope commands:git", rdev.ErrForbidden), 403, rdev.CodeForbidden, "the key lacks the scope commands:git"},
		{auth.ErrUnauthenticated, 401, rdev.CodeUnauthenticated, "a valid key is needed"},
		{rdev.ErrIdempotencyConflict, 409, rdev.CodeConflict, "Idempotency-Key"},
		{rdev.ErrShuttingDown, 503, rdev.CodeUnavailable, "try again"},
	} {
		t.Run(string(row.code), func(t *testing.T) {
			is := is.New(t)
			code, message, _, status := server.Describe(row.err)
			is.Equal(code, row.code)
			is.Equal(status, row.status)
			is.True(strings.Contains(message, row.message))
			is.True(!strings.Contains(message, "hunter2"))
		})
	}
}

func TestPanicsAndLogs(t *testing.T) {
	t.Run("APanicIsInternalWithItsStackInTheLog", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, func(up *setup) {
			up.config.Ready = func(context.Context) error { panic("secret of the panic") }
		})
		a := st.do("GET", "/readyz", "", "X-Request-Id", "req-12345678")
		is.Equal(a.status, http.StatusInternalServerError)
		is.Equal(a.code(), "INTERNAL")
		is.Equal(a.header.Get("X-Request-Id"), "req-12345678")
		is.True(!strings.Contains(a.body, "secret"))
		log := st.log.String()
		is.True(strings.Contains(log, "secret of the panic") && strings.Contains(log, "stack") && strings.Contains(log, "req-12345678"))
	})

	t.Run("ReadyDoesNotTellWhy", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, func(up *setup) {
			up.config.Ready = func(context.Context) error { return errors.New("password hunter2") }
		})
		a := st.do("GET", "/readyz", "")
		is.Equal(a.status, http.StatusServiceUnavailable)
		is.True(!strings.Contains(a.body, "hunter2"))
	})

	t.Run("RequestsAreLoggedWithoutSecrets", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, nil)
		key := st.key([]auth.Scope{auth.ScopeProjectsRead}, "web")
		st.do("GET", "/projects/web", "", "Authorization", "Bearer "+key)
		st.do("GET", "/projects/"+key, "")
		st.do("GET", "/keys/"+key, "")
		st.do("GET", "/"+key, "")
		st.do("GET", "/projects?key="+key, "")
		st.do("GET", "/projects", "", "Authorization", "Bearer "+key[:len(key)-1])
		st.do("POST", "/keys", `{"name":"x","scopes":["projects:read"],"projects":["web"]}`)
		log := st.log.String()
		is.Equal(strings.Count(log, `"message":"request"`), 7)
		is.True(!strings.Contains(log, key[:len(key)-2]))
		is.True(!strings.Contains(log, adminKey))
		is.True(!strings.Contains(log, "rdev_sk_"))
		is.True(strings.Contains(log, `"route":"/projects/:project","project":"web"`))
		is.True(strings.Contains(log, `"refused":"malformed"`))
	})

	t.Run("ABadRequestIDIsReplaced", func(t *testing.T) {
		st := newStand(t, nil)
		for _, id := range []string{"short", strings.Repeat("x", 65), "has space in it", `quote"quote"`, "newline%0aheader"} {
			is := is.New(t)
			a := st.do("GET", "/healthz", "", "X-Request-Id", id)
			is.True(a.header.Get("X-Request-Id") != id)
			is.True(strings.Contains(a.body, a.header.Get("X-Request-Id")))
		}
	})

	t.Run("ResponsesHaveTheSecurityHeaders", func(t *testing.T) {
		is := is.New(t)
		h := newStand(t, nil).do("GET", "/nothing", "").header
		is.Equal(h.Get("Cache-Control"), "no-store")
		is.Equal(h.Get("X-Content-Type-Options"), "nosniff")
		is.Equal(h.Get("Content-Security-Policy"), "default-src 'none'; frame-ancestors 'none'")
		is.Equal(h.Get("Referrer-Policy"), "no-referrer")
	})
}
