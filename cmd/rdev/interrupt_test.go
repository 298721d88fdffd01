package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/server/client"
)

// keys are the signals that the user sends to a program.
type keys struct {
	mu sync.Mutex
	to []chan<- os.Signal
}

func (k *keys) notify(c chan<- os.Signal, signals ...os.Signal) (stop func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if signals[0] != syscall.SIGPIPE {
		k.to = append(k.to, c)
	}
	return func() {}
}

// interrupt is Ctrl-C.
func (k *keys) interrupt() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range k.to {
		c <- os.Interrupt
	}
}

// TestInterruptsWhileTheServerDoesNotAnswer has the server of a folder behind one
// that keeps requests for a command to itself until it is told.
func TestInterruptsWhileTheServerDoesNotAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		detach  bool
		answers bool
		says    []string
	}{
		"the second one leaves":          {false, false, []string{"once more to leave", "left; the server may have taken the command: rdev ps"}},
		"what is taken is cancelled":     {false, true, []string{"once more to leave", "cancelling cmd-", "rdev: cancelled"}},
		"what is detached is too":        {true, true, []string{"once more to leave", "cancelling cmd-"}},
		"the second one leaves detached": {true, false, []string{"once more to leave", "left; the server may have taken the command: rdev ps"}},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			p := serving(t)
			target, err := url.Parse(endpoint(p.dir))
			is.NoErr(err)
			gate, came := make(chan struct{}), make(chan struct{})
			open := sync.OnceFunc(func() { close(gate) })
			come := sync.OnceFunc(func() { close(came) })
			through := httputil.NewSingleHostReverseProxy(target)
			through.FlushInterval = -1
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/shell") {
					come()
					<-gate
				}
				through.ServeHTTP(w, r)
			}))
			defer front.Close()
			defer open()

			var stdout, stderr buffer
			user := &keys{}
			a := &app{
				getenv: vars("HOME", p.dir, "RDEV_DATA_DIR", p.dir, "RDEV_SERVER", front.URL, "RDEV_API_KEY_FILE", localKeyPath(p.dir)),
				stdin:  strings.NewReader(""), stdout: &stdout, stderr: &stderr, notify: user.notify,
			}
			args := []string{"run", "--", "sleep", "300"}
			if c.detach {
				args = []string{"run", "--detach", "--", "sleep", "300"}
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			code := make(chan int, 1)
			go func() { code <- a.run(ctx, args) }()
			<-came
			user.interrupt()
			for deadline := time.Now().Add(patience); !strings.Contains(stderr.String(), c.says[0]); time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("it says nothing but %q", stderr.String())
				}
			}
			if c.answers {
				open()
			} else {
				user.interrupt()
			}
			is.Equal(<-code, exitInterrupted)
			said := stderr.String()
			for _, part := range c.says {
				before, after, found := strings.Cut(said, part)
				if !found {
					t.Fatalf("%q does not come in %q, behind %q", part, stderr.String(), before)
				}
				said = after
			}
			if c.answers {
				_, running, _ := p.call(p.getenv, "ps")
				for strings.Contains(string(running), "running") { // a detached one is not waited for
					_, running, _ = p.call(p.getenv, "ps")
				}
				is.True(strings.Contains(string(running), "canceled"))
			}
		})
	}
}

// TestAStartThatReachedNobodyEndsAtTheFirstInterrupt: nothing can have been taken.
func TestAStartThatReachedNobodyEndsAtTheFirstInterrupt(t *testing.T) {
	is := is.New(t)
	var stderr buffer
	user := &keys{}
	a := &app{getenv: vars(), stdout: &stderr, stderr: &stderr, notify: user.notify}
	trying := make(chan struct{})
	code := make(chan error, 1)
	go func() {
		code <- a.runAndFollow(t.Context(), &remote{}, func(ctx context.Context) (client.Command, error) {
			close(trying)
			<-ctx.Done()
			return client.Command{}, ctx.Err()
		}, false)
	}()
	<-trying
	user.interrupt()
	var exit *exitError
	is.True(errors.As(<-code, &exit))
	is.Equal(exit.code, exitInterrupted)
	is.Equal(stderr.String(), "rdev: left; the command was not started\n")
}
