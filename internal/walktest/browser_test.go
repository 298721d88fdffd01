package walktest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// A page is what a browser made of an address.
type page struct {
	text       string   // what a reader sees
	dead       []string // links to places of the page that are not there
	complaints []string // what a developer sees in the console, and failed requests
	requests   []string // every address that was asked for
}

// open opens an address in chromium, with a profile of its own.
func open(t *testing.T, address string) page {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program(t, "chromium", "chromium")),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.WSURLReadTimeout(3*time.Minute))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()

	var mu sync.Mutex
	var p page
	must(t, chromedp.Listen(ctx, func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			p.complaints = append(p.complaints, "exception: "+(&chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails}).Error())
		case *runtime.EventConsoleAPICalled:
			switch e.Type {
			case runtime.ConsoleAPICalledTypeError, runtime.ConsoleAPICalledTypeWarning, runtime.ConsoleAPICalledTypeAssert:
				p.complaints = append(p.complaints, fmt.Sprintf("console: %s %s", e.Type, e.Args[0].Value))
			}
		case *log.EventEntryAdded: // the browser's own: policies, failed requests
			if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
				p.complaints = append(p.complaints, fmt.Sprintf("%s: %s", e.Entry.Source, e.Entry.Text))
			}
		case *network.EventRequestWillBeSent:
			p.requests = append(p.requests, e.Request.URL)
		case *network.EventLoadingFailed:
			p.complaints = append(p.complaints, "failed: "+e.ErrorText)
		case *network.EventResponseReceived:
			if e.Response.Status >= 400 {
				p.complaints = append(p.complaints, fmt.Sprintf("%d: %s", e.Response.Status, e.Response.URL))
			}
		}
	}))
	const deadLinks = `[...document.querySelectorAll('a[href^="#"]')].map(a => a.getAttribute("href")).filter(h => !document.getElementById(h.slice(1)))`
	must(t, chromedp.Do(ctx, chromedp.Navigate(address),
		chromedp.Sleep(500*time.Millisecond))) // for what is fetched late: there is to be nothing
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
	must(t, err)
	dead, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](deadLinks))
	must(t, err)
	mu.Lock()
	defer mu.Unlock()
	p.text, p.dead = text, dead
	return p
}

// checkDocs holds the page of the API to what is promised of it: all is there,
// nothing comes from elsewhere, and nothing is wrong.
func checkDocs(t *testing.T, server string) {
	t.Helper()
	p := open(t, server+"/docs")
	for _, want := range []string{"rdev: the API", "/projects/{project}/shell", "Last-Event-ID", "PROJECT_NOT_FOUND"} {
		if !strings.Contains(p.text, want) {
			t.Errorf("a reader of the page does not see %q", want)
		}
	}
	if len(p.complaints) > 0 {
		t.Errorf("the browser complains: %q", p.complaints)
	}
	if len(p.dead) > 0 {
		t.Errorf("links that lead nowhere: %q", p.dead)
	}
	for _, request := range p.requests {
		if !strings.HasPrefix(request, server+"/") && !strings.HasPrefix(request, "data:") {
			t.Errorf("the page asks elsewhere: %s", request)
		}
	}
	if len(p.requests) == 0 {
		t.Error("no request was seen, not even that for the page")
	}
}

// TestTheBrowserComplains shows that checkDocs could fail: what it looks for is
// seen on pages that have it.
func TestTheBrowserComplains(t *testing.T) {
	for _, broken := range []struct{ name, policy, html, want string }{
		{"AnError", "", `<script>console.error("on purpose")</script>`, "on purpose"},
		{"AnException", "", `<script>missing()</script>`, "missing is not defined"},
		{"AForbiddenScript", "default-src 'none'", `<script>1</script>`, "Content Security Policy"},
		{"AMissingFile", "", `<img src="/missing.png">`, "404"},
		{"ARequestElsewhere", "", `<img src="http://elsewhere.invalid/x.png">`, "ERR_NAME_NOT_RESOLVED"},
	} {
		t.Run(broken.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/" {
					http.NotFound(w, r)
					return
				}
				w.Header().Set("Content-Type", "text/html")
				if broken.policy != "" {
					w.Header().Set("Content-Security-Policy", broken.policy)
				}
				fmt.Fprintf(w, `<!DOCTYPE html><html lang="en"><link rel="icon" href="data:,"><body>%s<a href="#gone">a link</a>`, broken.html)
			}))
			t.Cleanup(server.Close)
			p := open(t, server.URL+"/")
			if !strings.Contains(strings.Join(p.complaints, "\n"), broken.want) {
				t.Errorf("the browser says %q, and nothing of %q", p.complaints, broken.want)
			}
			if len(p.dead) != 1 {
				t.Errorf("dead links: %q", p.dead)
			}
			if broken.name == "ARequestElsewhere" && !strings.Contains(strings.Join(p.requests, "\n"), "http://elsewhere.invalid/") {
				t.Errorf("the request elsewhere was not seen: %q", p.requests)
			}
		})
	}
}
