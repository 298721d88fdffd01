package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/server"
)

func TestPaths(t *testing.T) {
	st := newStand(t, nil)
	for path, want := range map[string]int{
		"/projects":                              200,
		"/projects/web":                          200,
		"/projects/":                             404,
		"/projects/web/":                         404,
		"/Projects":                              404,
		"/":                                      404,
		"/nothing":                               404,
		"/projects/web/commands/x/y/z":           404,
		"/projects//web":                         400,
		"//projects":                             400,
		"/projects/./web":                        400,
		"/projects/x/../web":                     400,
		"/..":                                    400,
		"/projects/%77eb":                        400,
		"/projects%2Fweb":                        400,
		"/projects/web%2F":                       400,
		"/projects/%2e%2e/web":                   400,
		"/projects/%00":                          400,
		"/projects/web%0a":                       400,
		"/projects/web%5c":                       400,
		"/projects/web%20x":                      404,
		"/projects/w%C3%A9b":                     404,
		"/projects/" + strings.Repeat("a", 5000): 404,
	} {
		t.Run(path[:min(len(path), 40)], func(t *testing.T) {
			is := is.New(t)
			a := st.raw(t, "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer "+adminKey+"\r\n\r\n")
			is.Equal(a.status, want)
			is.Equal(a.header.Get("Location"), "")
			if want >= 400 {
				is.True(a.code() != "")
			}
		})
	}
}

func TestMethods(t *testing.T) {
	st := newStand(t, nil)
	for _, row := range []struct{ method, path, allow string }{
		{"HEAD", "/projects", "GET"},
		{"HEAD", "/projects/web/events?stream_id=x", "GET"},
		{"OPTIONS", "/projects", "GET"},
		{"POST", "/projects/web", "GET"},
		{"GET", "/projects/web/shell", "POST"},
		{"PUT", "/keys", "GET, POST"},
		{"PUT", "/keys/000000000000", "DELETE, GET, PATCH"},
		{"TRACE", "/projects", "GET"},
		{"BREW", "/healthz", "GET"},
	} {
		t.Run(row.method+row.path, func(t *testing.T) {
			is := is.New(t)
			a := st.do(row.method, row.path, "")
			is.Equal(a.status, http.StatusMethodNotAllowed)
			is.Equal(a.header.Get("Allow"), row.allow)
			if row.method != "HEAD" {
				is.Equal(a.code(), "METHOD_NOT_ALLOWED")
			}
		})
	}
}

// raw sends bytes over a connection of its own and reads the first response.
func (st *stand) raw(t *testing.T, request string) answer {
	t.Helper()
	conn, err := net.Dial("tcp", st.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no response: %v", err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(b)}
}

// TestMalformedHTTP: what no client sends is refused, and the connection
// closed, so that nothing behind it is taken for another request.
func TestMalformedHTTP(t *testing.T) {
	st := newStand(t, nil)
	auth := "Authorization: Bearer " + adminKey + "\r\n"
	smuggled := "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, row := range []struct {
		name, request string
		want          []int
	}{
		{"NoHost", "GET /projects HTTP/1.1\r\n" + auth + "\r\n", []int{400}},
		{"TwoHosts", "GET /projects HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", []int{400}},
		{"SpaceBeforeColon", "GET /projects HTTP/1.1\r\nHost: x\r\nContent-Length : 5\r\n\r\n", []int{400}},
		{"TwoLengths", "POST /projects/web/shell HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", []int{400}},
		{"NegativeLength", "POST /projects/web/shell HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", []int{400}},
		{"UnknownTransferEncoding", "POST /projects/web/shell HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n", []int{400, 501}},
		{"HugeHeader", "GET /projects HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", []int{431}},
		{"BadRequestLine", "GET\r\n\r\n", []int{400}},
		{"BadVersion", "GET / HTTP/3.7\r\nHost: x\r\n\r\n", []int{400, 505}},
		{"FoldedHeader", "GET /projects HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer\r\n " + adminKey + "\r\n\r\n", []int{400, 401, 200}},
		{"AuthorityForm", "CONNECT x:80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", []int{400}},
		{"Asterisk", "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", []int{400}},
		{"BodyOfAGet", "GET /projects HTTP/1.1\r\nHost: x\r\n" + auth + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(smuggled)) + smuggled, []int{400}},
		{"ChunkedBodyOfAGet", "GET /projects HTTP/1.1\r\nHost: x\r\n" + auth + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + smuggled, []int{400}},
		{"UnauthenticatedBody", "POST /projects/web/shell HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 900000\r\n\r\n", []int{401}},
		{"BadChunk", "POST /projects/web/shell HTTP/1.1\r\nHost: x\r\n" + auth + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", []int{400}},
		{"BodyCutShort", "POST /projects/web/shell HTTP/1.1\r\nHost: x\r\n" + auth + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"arg\n", []int{400}},
	} {
		t.Run(row.name, func(t *testing.T) {
			is := is.New(t)
			conn, err := net.Dial("tcp", st.addr)
			is.NoErr(err)
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			_, err = io.WriteString(conn, row.request)
			is.NoErr(err)
			if row.name == "BadChunk" || row.name == "BodyCutShort" {
				_ = conn.(*net.TCPConn).CloseWrite()
			}
			all, _ := io.ReadAll(conn) // the server closes
			text := string(all)
			found := false
			for _, status := range row.want {
				found = found || strings.HasPrefix(text, fmt.Sprintf("HTTP/1.1 %d ", status)) || strings.HasPrefix(text, fmt.Sprintf("HTTP/1.0 %d ", status))
			}
			if !found {
				t.Errorf("want %v, got %.300q", row.want, text)
			}
			is.Equal(strings.Count(text, "HTTP/1."), 1) // what was smuggled is not answered
		})
	}
}

func TestOtherOrigins(t *testing.T) {
	const friend = "https://app.example.com"
	st := newStand(t, func(up *setup) { up.config.AllowedOrigins = []string{friend} })
	st.command("done", "succeeded")
	st.complete("done", 1)
	events := "/projects/web/events?stream_id=done"

	t.Run("ThePreflightOfAReconnectIsAnswered", func(t *testing.T) {
		is := is.New(t)
		a := st.do("OPTIONS", events, "", "Authorization", "", "Origin", friend,
			"Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "last-event-id,authorization,cache-control")
		is.Equal(a.status, http.StatusNoContent)
		is.Equal(a.header.Get("Access-Control-Allow-Origin"), friend)
		is.Equal(a.header.Get("Access-Control-Allow-Methods"), "GET")
		is.Equal(a.header.Get("Access-Control-Max-Age"), "7200")
		is.Equal(a.header.Get("Access-Control-Allow-Credentials"), "")
		for _, name := range []string{"Last-Event-ID", "Authorization", "Cache-Control"} {
			is.True(strings.Contains(a.header.Get("Access-Control-Allow-Headers"), name))
		}
	})
	t.Run("TheResponseMayBeRead", func(t *testing.T) {
		is := is.New(t)
		a := st.do("GET", events, "", "Origin", friend)
		is.Equal(a.header.Get("Access-Control-Allow-Origin"), friend)
		is.True(strings.Contains(a.header.Get("Access-Control-Expose-Headers"), "X-Request-Id"))
		is.Equal(a.header.Get("Vary"), "Origin")
		// An error may be read, too.
		is.Equal(st.do("GET", "/projects", "", "Origin", friend, "Authorization", "").header.Get("Access-Control-Allow-Origin"), friend)
	})
	t.Run("OtherOriginsGetNothing", func(t *testing.T) {
		for _, origin := range []string{"https://evil.example.com", "null", "https://app.example.com.evil.com", "http://app.example.com", "https://app.example.com:444"} {
			is := is.New(t)
			a := st.do("OPTIONS", events, "", "Origin", origin, "Access-Control-Request-Method", "GET")
			is.Equal(a.status, http.StatusMethodNotAllowed)
			is.Equal(a.header.Get("Access-Control-Allow-Origin"), "")
			is.Equal(a.header.Get("Vary"), "Origin")
			is.Equal(st.do("GET", "/projects", "", "Origin", origin).header.Get("Access-Control-Allow-Origin"), "")
		}
	})
	t.Run("PostsOfOtherPagesAreRefused", func(t *testing.T) {
		is := is.New(t)
		body := `{"argv":["echo"]}`
		is.Equal(st.do("POST", "/projects/web/shell", body, "Origin", friend, "Sec-Fetch-Site", "cross-site").status, http.StatusCreated)
		a := st.do("POST", "/projects/web/shell", body, "Origin", "https://evil.example.com", "Sec-Fetch-Site", "cross-site")
		is.Equal(a.status, http.StatusForbidden)
		is.Equal(a.code(), "FORBIDDEN")
	})
	t.Run("NoneIsAllowedUnlessConfigured", func(t *testing.T) {
		is := is.New(t)
		a := newStand(t, nil).do("GET", "/projects", "", "Origin", friend)
		is.Equal(a.header.Get("Access-Control-Allow-Origin"), "")
	})
}

func TestHosts(t *testing.T) {
	st := newStand(t, func(up *setup) { up.config.AllowedHosts = server.LoopbackHosts() })
	for host, want := range map[string]int{
		"localhost": 200, "localhost:8080": 200, "LOCALHOST:1": 200, "127.0.0.1:99": 200, "[::1]:8080": 200, "[::1]": 200,
		"evil.example.com": 403, "127.0.0.1.evil.com:8080": 403, "localhost.evil.com": 403, "127.0.0.2": 403,
	} {
		is := is.New(t)
		is.Equal(st.do("GET", "/projects", "", "Host", host).status, want)
	}
}

func TestBasePath(t *testing.T) {
	is := is.New(t)
	st := newStand(t, func(up *setup) { up.config.BasePath = "/rdev/v1/" })
	st.url = "http://" + st.addr
	a := st.do("POST", "/rdev/v1/projects/web/shell", `{"argv":["echo"]}`)
	is.Equal(a.status, http.StatusCreated)
	is.True(strings.HasPrefix(a.header.Get("Location"), "/rdev/v1/projects/web/commands/cmd-"))
	is.Equal(st.do("GET", a.header.Get("Location"), "").status, http.StatusOK)
	is.Equal(st.do("GET", "/projects", "").status, http.StatusNotFound)
	is.Equal(st.do("GET", "/rdev/v1projects", "").status, http.StatusNotFound)
}

func TestConfigIsChecked(t *testing.T) {
	st := newStand(t, nil)
	for name, config := range map[string]server.Config{
		"BasePath":       {BasePath: "rdev"},
		"AllowedOrigins": {AllowedOrigins: []string{"*"}},
		"Heartbeat":      {Heartbeat: -1},
		"WriteTimeout":   {WriteTimeout: -1},
		"MaxStreamAge":   {MaxStreamAge: -1},
	} {
		is := is.New(t)
		_, err := server.New(st.svc, st.authn, config)
		is.True(err != nil && strings.Contains(err.Error(), name))
	}
	is := is.New(t)
	_, err := server.New(nil, st.authn, server.Config{})
	is.True(err != nil)
	_, err = server.New(st.svc, nil, server.Config{})
	is.True(err != nil)
}
