package kube_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matryer/is"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/kube"
	"github.com/orchard9/rdev/internal/kubetest"
)

// A past is a proxy to the API server that, while it is held, tells of pods as
// they were: nothing comes of a watch, and a pod that is asked for is that of the
// last answer. Execs lead to where they lead.
type past struct {
	config *rest.Config

	mu   sync.Mutex
	held chan struct{}     // closed when it is not; nil: never was
	last map[string][]byte // answers by path
}

func newPast(t *testing.T) *past {
	t.Helper()
	cfg := kubetest.Shared(t).RESTConfig()
	cfg.NextProtos = []string{"http/1.1"} // exec upgrades its connection
	transport, err := rest.TransportFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(cfg.Host)
	if err != nil {
		t.Fatal(err)
	}
	p := &past{last: make(map[string][]byte)}
	pass := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:      transport,
		FlushInterval:  -1,
		ModifyResponse: p.modify,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer := p.old(r); answer != nil {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(answer)
			return
		}
		if isPod(r) {
			r.Header.Set("Accept", "application/json")
			r.Header.Del("Accept-Encoding")
		}
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	p.config = &rest.Config{Host: server.URL}
	return p
}

func isPod(r *http.Request) bool {
	_, name, found := strings.Cut(r.URL.Path, "/pods/")
	return found && r.Method == http.MethodGet && !strings.Contains(name, "/")
}

func (p *past) old(r *http.Request) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held == nil || !isPod(r) {
		return nil
	}
	return p.last[r.URL.Path]
}

func (p *past) modify(r *http.Response) error {
	switch {
	case r.Request.URL.Query().Get("watch") != "":
		r.Body = &holding{ReadCloser: r.Body, past: p, done: r.Request.Context().Done()}
	case isPod(r.Request) && r.StatusCode == http.StatusOK:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		p.mu.Lock()
		p.last[r.Request.URL.Path] = body
		p.mu.Unlock()
	}
	return nil
}

func (p *past) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = make(chan struct{})
}

func (p *past) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held != nil {
		close(p.held)
		p.held = nil
	}
}

// holding is the body of a watch.
type holding struct {
	io.ReadCloser
	past *past
	done <-chan struct{}
}

func (h *holding) Read(b []byte) (int, error) {
	n, err := h.ReadCloser.Read(b)
	h.past.mu.Lock()
	held := h.past.held
	h.past.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-h.done:
		}
	}
	return n, err
}

// TestARestartThatIsNotKnownYet: the container has restarted, and the API server
// has not told of it. What ran is lost then, and nothing is started in the new run
// in the name of the old one, whose state is in the volume.
func TestARestartThatIsNotKnownYet(t *testing.T) {
	c := kubetest.Shared(t)
	for name, change := range map[string]func(*kubetest.Pod){
		"WithAVolume": func(p *kubetest.Pod) { p.EmptyDirs = []string{"/scratch"} },
		"WithoutOne":  func(*kubetest.Pod) {},
		"WithSharedProcesses": func(p *kubetest.Pod) {
			p.EmptyDirs = []string{"/scratch"}
			p.Mutate = func(pod *corev1.Pod) {
				yes := true
				pod.Spec.ShareProcessNamespace = &yes
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			namespace := c.Namespace(t)
			pod := runPod(t, namespace, "web", func(p *kubetest.Pod) {
				change(p)
				p.Command = []string{"sh", "-c", "while [ ! -e /tmp/end ]; do sleep 0.1; done"}
			})
			p := newPast(t)
			x := newExecutorAt(t, p.config, namespace, func(o *kube.Options) { o.Patience = patience })
			// Another one, which looks into the container only then.
			other := newExecutorAt(t, p.config, namespace, func(o *kube.Options) { o.Patience = patience })
			awaitRunning(t, other, "web")
			old := start(limited(t), x, awaitRunning(t, x, "web"), "sh", "-c", "echo up; sleep 600")
			eventually(t, "the first one runs", func() bool { return old.text() == "up\n" })
			p.hold()
			t.Cleanup(p.release)
			_, err := c.Exec(limited(t), pod, "touch", "/tmp/end")
			is.NoErr(err)
			eventually(t, "the container runs again", func() bool {
				now, err := c.Client().CoreV1().Pods(namespace).Get(t.Context(), pod.Name, metav1.GetOptions{})
				return err == nil && now.Status.ContainerStatuses[0].RestartCount == 1 && now.Status.ContainerStatuses[0].State.Running != nil
			})
			script := []string{"sh", "-c", "echo ran >>/tmp/ran; exit 4"}
			r := start(limited(t), x, exec.Target{Name: "web"}, script...)
			second := r
			if name != "WithoutOne" {
				second = start(limited(t), other, exec.Target{Name: "web"}, script...)
			} else { // the last run has left nothing to be known by: this one starts
				stray := start(limited(t), other, exec.Target{Name: "web"}, "sh", "-c", "echo stray; sleep 600")
				eventually(t, "it runs", func() bool { return stray.text() == "stray\n" })
			}
			select {
			case <-r.done:
				t.Fatal("it was answered: ", r.result, r.err)
			case <-second.done:
				t.Fatal("it was answered: ", second.result, second.err)
			case <-old.done:
				t.Fatal("its end is known: ", old.result, old.err)
			case <-time.After(3 * time.Second):
			}
			out, err := c.Exec(limited(t), pod, "ls", "/tmp/ran")
			is.NoErr(err)
			is.True(out.Code != 0) // it did not run
			p.release()
			for _, r := range []*running{r, second} {
				r.wait(t)
				is.NoErr(r.err)
				is.Equal(r.result.ExitCode, 4)
			}
			old.wait(t)
			is.True(errors.Is(old.err, exec.ErrLost))
			eventually(t, "there is one shim, and nothing runs", func() bool {
				out, err = c.Exec(limited(t), pod, "sh", "-c", `uniq </tmp/ran; for p in /proc/[0-9]*; do
					case "$(tr '\0' ' ' <$p/cmdline)" in /*/rdev-shim-*" serve "*) echo one shim;; "sleep 600 ") echo stray;; esac; done`)
				return err == nil && string(out.Stdout) == "ran\none shim\n"
			})
		})
	}
}
