package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/server/client"
	"github.com/orchard9/rdev/stream"
	"github.com/orchard9/rdev/stream/sse"
)

// denial reads the event that says why a stream ends, and returns its code.
func denial(t *testing.T, events *sse.Decoder) string {
	t.Helper()
	event := next(t, events, "denied")
	var data struct{ Code, Message string }
	if err := json.Unmarshal(event.Data, &data); err != nil || data.Message == "" {
		t.Fatalf("%s: %v", event.Data, err)
	}
	return data.Code
}

// TestAChangedKeyEndsItsStreams: by every change that takes the stream from the
// key, on a connection that was taken over and on a response; the heartbeat has
// nothing to do with it.
func TestAChangedKeyEndsItsStreams(t *testing.T) {
	for name, change := range map[string]func(*setup){"OnAConnection": func(*setup) {}, "OnAResponse": wrapped} {
		t.Run(name, func(t *testing.T) {
			st := newStand(t, func(up *setup) { up.config.Heartbeat = time.Hour; change(up) })
			st.command("cut", rdev.StateRunning)
			head := uint64(1)
			st.publish("cut", 1, head)
			for _, c := range []struct {
				name   string
				change func(*auth.Key)
				want   string // the code, empty if the stream goes on
			}{
				{"Revoked", func(k *auth.Key) { k.RevokedAt = time.Now() }, "UNAUTHENTICATED"},
				{"Expired", func(k *auth.Key) { k.ExpiresAt = time.Now() }, "UNAUTHENTICATED"},
				{"OtherAddresses", func(k *auth.Key) { k.AllowedAddresses = prefixes(t, "192.0.2.0/24") }, "UNAUTHENTICATED"},
				{"OwnAddress", func(k *auth.Key) { k.AllowedAddresses = prefixes(t, "127.0.0.0/8") }, ""},
				{"ScopeGone", func(k *auth.Key) { k.Scopes = []auth.Scope{auth.ScopeCommandsRead} }, "FORBIDDEN"},
				{"OtherScopeGone", func(k *auth.Key) { k.Scopes = []auth.Scope{auth.ScopeStreamsRead} }, ""},
				{"ProjectGone", func(k *auth.Key) { k.Projects = []auth.Pattern{"secret"} }, "PROJECT_NOT_FOUND"},
				{"Renamed", func(k *auth.Key) { k.Name = "another" }, ""},
			} {
				t.Run(c.name, func(t *testing.T) {
					is := is.New(t)
					st := st.in(t)
					spec := rdev.KeySpec{Name: "cut", Scopes: []auth.Scope{auth.ScopeStreamsRead, auth.ScopeCommandsRead}, Projects: []auth.Pattern{"*"}}
					key, secret, err := st.svc.CreateKey(t.Context(), auth.Admin(), spec)
					is.NoErr(err)
					bystander, other, err := st.svc.CreateKey(t.Context(), auth.Admin(), spec)
					is.NoErr(err)
					is.True(bystander.ID != key.ID)
					var streams []*sse.Decoder
					for _, shown := range []string{secret.Reveal(), secret.Reveal(), other.Reveal(), adminKey} {
						_, events := openStream(t, st, "cut", "Authorization", "Bearer "+shown)
						next(t, events, "connected")
						for range head {
							next(t, events, "output")
						}
						streams = append(streams, events)
					}
					_, err = st.keys.Update(t.Context(), key.ID, func(k *auth.Key) error { c.change(k); return nil })
					is.NoErr(err)
					left := streams
					if c.want != "" {
						for _, events := range streams[:2] {
							is.Equal(denial(t, events), c.want)
							_, err := events.Next()
							is.Equal(err, io.EOF)
						}
						left = streams[2:]
					}
					head++
					st.publish("cut", head, head)
					for _, events := range left {
						for last := fmt.Sprint("cut:", head); next(t, events, "output").ID != last; {
						}
					}
				})
			}
		})
	}
}

// TestADeniedReaderIsNotLetReadOn: what was sent and not taken yet does not
// reach it much later.
func TestADeniedReaderIsNotLetReadOn(t *testing.T) {
	for name, change := range map[string]func(*setup){"OnAConnection": func(*setup) {}, "OnAResponse": wrapped} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			memory := stream.NewMemory(stream.MemoryConfig{StreamBytes: 64 << 20, TotalBytes: 64 << 20})
			t.Cleanup(memory.Shutdown)
			st := newStand(t, func(up *setup) { up.broker = memory; up.config.WriteTimeout = time.Hour; change(up) })
			st.command("slow", rdev.StateRunning)
			key, secret, err := st.svc.CreateKey(t.Context(), auth.Admin(), rdev.KeySpec{
				Name: "slow", Scopes: []auth.Scope{auth.ScopeStreamsRead}, Projects: []auth.Pattern{"web"},
			})
			is.NoErr(err)
			conn, err := net.Dial("tcp", st.addr)
			is.NoErr(err)
			defer conn.Close()
			_, err = io.WriteString(conn, "GET /projects/web/events?stream_id=slow HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+secret.Reveal()+"\r\n\r\n")
			is.NoErr(err)
			eventually(t, "it reads", func() bool { return memory.Stats().Subscribers == 1 })
			data := []byte(`{"line":"` + strings.Repeat("x", 1000) + `","stream":"stdout"}`)
			for seq := uint64(1); seq <= 20_000; seq += 1000 { // more than the buffers hold
				var events []stream.Event
				for i := range uint64(1000) {
					events = append(events, stream.Event{Seq: seq + i, Kind: stream.Output, Data: data})
				}
				is.NoErr(memory.Publish(t.Context(), "slow", events))
			}
			_, err = st.svc.RevokeKey(t.Context(), auth.Admin(), key.ID)
			is.NoErr(err)
			eventually(t, "it is cut though it may take an hour", func() bool { return memory.Stats().Subscribers == 0 })
		})
	}
}

// TestStreamsEndWhenNobodyKnows: a store that does not answer for 30 s ends
// them; the admin key is in no store.
func TestStreamsEndWhenNobodyKnows(t *testing.T) {
	is := is.New(t)
	st := newStand(t, nil)
	st.command("cut", rdev.StateRunning)
	_, events := openStream(t, st, "cut", "Authorization", "Bearer "+st.key([]auth.Scope{auth.ScopeStreamsRead}, "web"))
	next(t, events, "connected")
	_, admins := openStream(t, st, "cut")
	next(t, admins, "connected")
	st.srv.TellKeysUnknown()
	_, err := events.Next()
	is.Equal(err, io.EOF) // and no denial: it may come back
	retry, _ := events.Retry()
	is.True(retry >= 2*time.Second)
	st.publish("cut", 1, 1)
	next(t, admins, "output")
}

// TestAClientIsToldOfItsDenial: it does not come back, and its error is that of
// the answer that it would get.
func TestAClientIsToldOfItsDenial(t *testing.T) {
	is := is.New(t)
	st := newStand(t, nil)
	st.command("cut", rdev.StateRunning)
	st.publish("cut", 1, 1)
	key, secret, err := st.svc.CreateKey(t.Context(), auth.Admin(), rdev.KeySpec{
		Name: "cut", Scopes: []auth.Scope{auth.ScopeStreamsRead}, Projects: []auth.Pattern{"web"},
	})
	is.NoErr(err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := st.client(secret.Reveal(), &client.Options{OnReconnect: func(err error) { t.Error("it came back: ", err) }})
	seen := 0
	_, err = c.Follow(ctx, "web", "cut", 0, func(events []client.Event) error {
		seen += len(events)
		_, err := st.svc.RevokeKey(ctx, auth.Admin(), key.ID)
		return err
	})
	is.Equal(seen, 1)
	is.True(errors.Is(err, client.Unauthenticated))
}

// TestAKeyOfAnotherAddressGetsNoStream: the address counts that the proxy names.
func TestAKeyOfAnotherAddressGetsNoStream(t *testing.T) {
	is := is.New(t)
	st := newStand(t, func(up *setup) { up.config.TrustedProxies = prefixes(t, "127.0.0.0/8") })
	st.command("cut", rdev.StateRunning)
	shown := st.key([]auth.Scope{auth.ScopeStreamsRead}, "web")
	id, _, err := auth.ParseKey(shown)
	is.NoErr(err)
	_, err = st.keys.Update(t.Context(), id, func(k *auth.Key) error {
		k.AllowedAddresses = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		return nil
	})
	is.NoErr(err)
	_, inside := openStream(t, st, "cut", "Authorization", "Bearer "+shown, "X-Forwarded-For", "192.0.2.9")
	next(t, inside, "connected")
	is.Equal(st.do("GET", "/projects/web/events?stream_id=cut", "", "Authorization", "Bearer "+shown, "X-Forwarded-For", "192.0.3.9").status, 401)
	is.Equal(st.do("GET", "/projects/web/events?stream_id=cut", "", "Authorization", "Bearer "+shown).status, 401)
	// A smaller list ends the one that is open.
	_, err = st.keys.Update(t.Context(), id, func(k *auth.Key) error {
		k.AllowedAddresses = []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32")}
		return nil
	})
	is.NoErr(err)
	is.Equal(denial(t, inside), "UNAUTHENTICATED")
}
