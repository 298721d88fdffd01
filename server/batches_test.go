package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/stream"
	"github.com/orchard9/rdev/stream/sse"
)

// TestBatches: with output=batches, lines that are there together share an event.
func TestBatches(t *testing.T) {
	memory := stream.NewMemory(stream.MemoryConfig{})
	t.Cleanup(memory.Shutdown)
	st := newStand(t, func(up *setup) { up.broker = memory })
	st.command("done", rdev.StateSucceeded)
	st.publish("done", 1, 1000)
	st.complete("done", 1001)
	const path = "/projects/web/events?stream_id=done"
	single := events(t, st.do("GET", path, "").body)

	t.Run("TheyHoldWhatSingleEventsDo", func(t *testing.T) {
		is := is.New(t)
		batched := events(t, st.in(t).do("GET", path+"&output=batches", "").body)
		is.True(len(batched) < 20)
		is.Equal(apart(t, batched), single)
		for _, e := range batched {
			is.True(len(e) < 5000) // what a reader who is cut within one gets again
		}
	})
	t.Run("LinesAreTheDefault", func(t *testing.T) {
		is := is.New(t)
		is.Equal(events(t, st.in(t).do("GET", path+"&output=lines", "").body), single)
		is.Equal(len(single), 1001)
	})
	t.Run("AReaderResumesBehindABatchAndWithinOne", func(t *testing.T) {
		is := is.New(t)
		batched := events(t, st.in(t).do("GET", path+"&output=batches", "").body)
		id, _, _ := strings.Cut(batched[0], " ")
		at, err := sse.ParseCursor(id)
		is.NoErr(err)
		for _, from := range []uint64{at.Seq, at.Seq - 1, 999} {
			a := st.in(t).do("GET", path+"&output=batches", "", "Last-Event-ID", fmt.Sprintf("done:%d", from))
			is.Equal(a.header.Get("Rdev-Resume"), "exact")
			is.Equal(apart(t, events(t, a.body)), single[from:])
		}
	})
	t.Run("ALineThatIsAloneIsNotHeldBack", func(t *testing.T) {
		is := is.New(t)
		st.command("live", rdev.StateRunning)
		body := st.in(t).open("GET", "/projects/web/events?stream_id=live&output=batches", "").Body
		defer body.Close()
		decoder := sse.NewDecoder(body, nil)
		_, err := decoder.Next() // connected
		is.NoErr(err)
		for seq := uint64(1); seq <= 3; seq++ {
			st.publish("live", seq, seq)
			e, err := decoder.Next()
			is.NoErr(err)
			is.Equal(e.ID, fmt.Sprintf("live:%d", seq))
		}
	})
	t.Run("APostTakesItToo", func(t *testing.T) {
		is := is.New(t)
		a := st.in(t).do("POST", "/projects/web/shell?output=batches", `{"argv":["both"]}`, "Accept", "text/event-stream")
		is.Equal(a.status, http.StatusCreated)
		got := events(t, a.body)
		again := st.in(t).do("GET", "/projects/web/events?stream_id="+strings.SplitN(got[0], ":", 2)[0], "")
		is.Equal(apart(t, got), events(t, again.body))
	})
	t.Run("OtherValuesAreRefused", func(t *testing.T) {
		for _, value := range []string{"", "batch", "Batches", "lines&output=batches"} {
			for _, request := range [][3]string{{"GET", path + "&output=" + value, ""}, {"POST", "/projects/web/shell?output=" + value, `{"argv":["true"]}`}} {
				is := is.New(t)
				a := st.in(t).do(request[0], request[1], request[2])
				is.Equal(a.status, http.StatusBadRequest)
				is.Equal(a.field(), "output")
			}
		}
	})
}

// apart returns batched events as they are without batches.
func apart(t *testing.T, batched []string) (single []string) {
	t.Helper()
	for _, e := range batched {
		id, rest, _ := strings.Cut(e, " ")
		name, text, _ := strings.Cut(rest, " ")
		lines := strings.Split(text, "\n")
		at, err := sse.ParseCursor(id)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range lines {
			if !at.Final {
				id = sse.Cursor{Stream: at.Stream, Seq: at.Seq - uint64(len(lines)-1-i)}.String()
			}
			single = append(single, id+" "+name+" "+line)
		}
	}
	return single
}
