package deploytest

import (
	"context"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/orchard9/rdev/server/client"
)

// service is the Service rdev as a node would serve it: an address on which each
// connection goes to the next of the endpoints that the cluster says are ready.
func (in *installation) service() string {
	in.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(in.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	in.t.Cleanup(func() {
		cancel()
		_ = listener.Close()
		work.Wait()
	})
	work.Go(func() {
		for n := 0; ; n++ {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			work.Go(func() { in.relay(ctx, from, n) })
		}
	})
	return "http://" + listener.Addr().String()
}

func (in *installation) relay(ctx context.Context, from net.Conn, n int) {
	defer from.Close()
	endpoints, err := in.endpoints(ctx)
	if err != nil || len(endpoints) == 0 {
		return
	}
	dialer := net.Dialer{Timeout: 5 * time.Second}
	to, err := dialer.DialContext(ctx, "tcp", endpoints[n%len(endpoints)])
	if err != nil {
		return
	}
	defer to.Close()
	defer context.AfterFunc(ctx, func() { _, _ = from.Close(), to.Close() })()
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(from, to)
		_ = from.Close()
	})
	_, _ = io.Copy(to, from)
	_ = to.Close()
	back.Wait()
}

// endpoints are the addresses behind the port http of the Service.
func (in *installation) endpoints(ctx context.Context) ([]string, error) {
	slices, err := in.cluster.Client().DiscoveryV1().EndpointSlices(in.namespace).List(ctx,
		metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=rdev"})
	if err != nil {
		return nil, err
	}
	var all []string
	for _, slice := range slices.Items {
		for _, port := range slice.Ports {
			for _, endpoint := range slice.Endpoints {
				if *port.Name == "http" && *endpoint.Conditions.Ready {
					all = append(all, net.JoinHostPort(endpoint.Addresses[0], strconv.Itoa(int(*port.Port))))
				}
			}
		}
	}
	return all, nil
}

// client is a client with the admin key of the rdev at url.
func (in *installation) client(url string) *client.Client {
	in.t.Helper()
	c, err := client.New(url, in.admin, nil)
	must(in.t, err)
	in.t.Cleanup(c.Close)
	return c
}

// A reader follows a command in the background.
type reader struct {
	t     *testing.T
	ended chan struct{}

	mu    sync.Mutex
	lines []string
	end   client.End
	err   error
}

func follow(t *testing.T, c *client.Client, id string) *reader {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	r := &reader{t: t, ended: make(chan struct{})}
	go func() {
		defer cancel()
		defer close(r.ended)
		end, err := c.Follow(ctx, "claudebox", id, 0, func(events []client.Event) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, e := range events {
				if e.Gap != nil {
					r.lines = append(r.lines, "a gap: "+e.Gap.Reason)
					continue
				}
				r.lines = append(r.lines, string(e.Data))
			}
			return nil
		})
		r.mu.Lock()
		defer r.mu.Unlock()
		r.end, r.err = end, err
	}()
	return r
}

func (r *reader) read() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.lines)
}

// wait returns all lines and the end.
func (r *reader) wait() ([]string, client.End) {
	r.t.Helper()
	<-r.ended
	if r.err != nil {
		r.t.Fatalf("follow: %v, after %q", r.err, r.lines)
	}
	return r.lines, r.end
}
