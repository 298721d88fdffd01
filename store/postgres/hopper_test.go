//go:build unix

package postgres_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/stream/sse"
)

// request asks some replica for the command until one has answered.
func request(ctx context.Context, t *testing.T, replicas []*process, lines int, key string) (id string) {
	body := fmt.Sprintf(`{"argv": ["sh", "print.sh", "%d"]}`, lines)
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, "POST", "http://"+replicas[rand.IntN(len(replicas))].addr+"/projects/app/shell", strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return ""
		}
		req.Header.Set("Authorization", "Bearer "+replicaKey)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", strings.ReplaceAll(key, "/", "-"))
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			var answer struct {
				Data struct {
					ID string `json:"stream_id"`
				} `json:"data"`
			}
			err = json.NewDecoder(resp.Body).Decode(&answer)
			_ = resp.Body.Close() // it was read
			if resp.StatusCode == http.StatusCreated || resp.StatusCode == http.StatusOK {
				return answer.Data.ID
			}
			if resp.StatusCode < 500 {
				t.Errorf("POST: %s: %v", resp.Status, err)
				return ""
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Error("no replica took the command")
	return ""
}

// A hopper reads a stream and goes to another replica every so many events, and
// whenever its own dies.
type hopper struct {
	t        *testing.T
	replicas []*process
	id       string

	last, ends int
	sum        hash.Hash64
}

func (h *hopper) read(ctx context.Context) {
	for h.ends == 0 && ctx.Err() == nil && !h.t.Failed() {
		if !h.hop(ctx, 1+rand.IntN(3000)) {
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// hop reads up to limit events from a random replica.
func (h *hopper) hop(ctx context.Context, limit int) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+h.replicas[rand.IntN(len(h.replicas))].addr+"/projects/app/events?stream_id="+h.id, nil)
	if err != nil {
		h.t.Error(err)
		return false
	}
	req.Header.Set("Authorization", "Bearer "+replicaKey)
	if h.last > 0 {
		req.Header.Set("Last-Event-ID", h.id+":"+strconv.Itoa(h.last))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return false
	}
	decoder := sse.NewDecoder(resp.Body, nil)
	for n := 0; n < limit; n++ {
		e, err := decoder.Next()
		if err != nil {
			return n > 0
		}
		switch string(e.Name) {
		case "output":
			h.last++
			var line struct {
				Line string `json:"line"`
			}
			if err := json.Unmarshal(e.Data, &line); err != nil || string(e.ID) != h.id+":"+strconv.Itoa(h.last) {
				h.t.Errorf("got %s after line %d (%v)", e.ID, h.last-1, err)
				return false
			}
			fmt.Fprintf(h.sum, "%s\n", line.Line)
		case "complete":
			h.ends++
			if !bytes.Contains(e.Data, []byte(`"exit_code":0`)) {
				h.t.Errorf("%s ended with %s", h.id, e.Data)
			}
		case "error", "gap":
			h.t.Errorf("%s: %s %s", h.id, e.Name, e.Data)
			return false
		}
	}
	return true
}
