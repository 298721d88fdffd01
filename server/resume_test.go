package server_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/stream"
	"github.com/orchard9/rdev/stream/sse"
)

// TestResume has one row for each row of the decision table.
func TestResume(t *testing.T) {
	type want struct {
		status int
		resume string
		gap    string // data of the gap event
		first  string // id of the first stored event
		field  string
	}
	memory := stream.NewMemory(stream.MemoryConfig{})
	t.Cleanup(memory.Shutdown)
	st := newStand(t, func(up *setup) { up.broker = memory })
	// Six kinds of streams: five lines, some with a terminal event behind.
	for _, id := range []string{"open", "done", "trimmed", "trimmed-done", "empty", "closed", "gone"} {
		state := rdev.StateRunning
		if strings.Contains(id, "done") || id == "gone" {
			state = rdev.StateSucceeded
		}
		st.command(id, state)
		if id != "empty" {
			st.publish(id, 1, 5)
		}
		if state.Terminal() {
			st.complete(id, 6)
		}
	}
	memory.Trim("trimmed", 3)
	memory.Trim("trimmed-done", 3)
	memory.Trim("gone", 6)
	st.command("forgotten", rdev.StateSucceeded) // a record whose stream is not there at all
	if err := memory.Close(t.Context(), "closed"); err != nil {
		t.Fatal(err)
	}

	retention := func(from, to int) string { return fmt.Sprintf(`{"from":%d,"to":%d,"reason":"retention"}`, from, to) }
	for _, row := range []struct {
		name, stream string
		header       []string
		query        string
		want         want
	}{
		{"None", "done", nil, "", want{200, "fresh", "", "done:1", ""}},
		{"NoneOfALiveStream", "open", nil, "", want{200, "fresh", "", "open:1", ""}},
		{"NoneOfAnEmptyStream", "empty", nil, "", want{200, "fresh", "", "", ""}},
		{"EmptyHeaderIsNone", "done", []string{""}, "", want{200, "fresh", "", "done:1", ""}},
		{"NonePastRetention", "trimmed", nil, "", want{200, "gap", retention(1, 3), "trimmed:4", ""}},
		{"Zero", "done", []string{"done:0"}, "", want{200, "exact", "", "done:1", ""}},
		{"Within", "done", []string{"done:3"}, "", want{200, "exact", "", "done:4", ""}},
		{"LastLine", "done", []string{"done:5"}, "", want{200, "exact", "", "done:final", ""}},
		{"HeadOfALiveStream", "open", []string{"open:5"}, "", want{200, "exact", "", "", ""}},
		{"EdgeOfRetention", "trimmed", []string{"trimmed:3"}, "", want{200, "exact", "", "trimmed:4", ""}},
		{"PastRetention", "trimmed-done", []string{"trimmed-done:1"}, "", want{200, "gap", retention(2, 3), "trimmed-done:4", ""}},
		{"AheadOfALiveStream", "open", []string{"open:9"}, "", want{200, "gap", `{"from":6,"to":9,"reason":"log_truncated"}`, "", ""}},
		{"AheadOfAnEmptyStream", "empty", []string{"empty:2"}, "", want{200, "gap", `{"from":1,"to":2,"reason":"log_truncated"}`, "", ""}},
		{"Final", "done", []string{"done:final"}, "", want{204, "", "", "", ""}},
		{"NumberOfTheTerminalEvent", "done", []string{"done:6"}, "", want{204, "", "", "", ""}},
		{"EndOfAClosedStream", "closed", []string{"closed:5"}, "", want{204, "", "", "", ""}},
		{"FinalOfWhatIsGone", "gone", []string{"gone:final"}, "", want{204, "", "", "", ""}},
		{"Gone", "gone", nil, "", want{410, "", "", "", ""}},
		{"GoneForAReaderWithHalfOfIt", "gone", []string{"gone:2"}, "", want{410, "", "", "", ""}},
		{"ForgottenByTheBroker", "forgotten", nil, "", want{410, "", "", "", ""}},
		{"UnknownCommand", "nobody", nil, "", want{404, "", "", "", ""}},
		{"UnknownCommandWithItsOwnID", "nobody", []string{"nobody:3"}, "", want{404, "", "", "", ""}},
		{"OtherStream", "done", []string{"open:3"}, "", want{400, "", "", "", "Last-Event-ID"}},
		{"PrefixOfAnotherStream", "trimmed", []string{"trimmed-done:3"}, "", want{400, "", "", "", "Last-Event-ID"}},
		{"NoColon", "done", []string{"3"}, "", want{400, "", "", "", "Last-Event-ID"}},
		{"NoNumber", "done", []string{"done:"}, "", want{400, "", "", "", "Last-Event-ID"}},
		{"Negative", "done", []string{"done:-1"}, "", want{400, "", "", "", "Last-Event-ID"}},
		{"LeadingZero", "done", []string{"done:03"}, "", want{400, "", "", "", "Last-Event-ID"}},
		{"NotANumber", "done", []string{"done:3x"}, "", want{400, "", "", "", "Last-Event-ID"}},
		{"AboveInt64", "done", []string{"done:9223372036854775808"}, "", want{400, "", "", "", "Last-Event-ID"}},
		{"TooLong", "done", []string{"done:" + strings.Repeat("1", 300)}, "", want{400, "", "", "", "Last-Event-ID"}},
		{"TwoHeaders", "done", []string{"done:1", "done:1"}, "", want{400, "", "", "", "Last-Event-ID"}},
		{"Query", "done", nil, "&last_event_id=done:4", want{200, "exact", "", "done:5", ""}},
		{"HeaderOverQuery", "done", []string{"done:5"}, "&last_event_id=done:1", want{200, "exact", "", "done:final", ""}},
		{"EmptyHeaderLeavesTheQuery", "done", []string{""}, "&last_event_id=done:4", want{200, "exact", "", "done:5", ""}},
		{"BadQuery", "done", nil, "&last_event_id=x", want{400, "", "", "", "last_event_id"}},
		{"EmptyQueryIsNone", "done", nil, "&last_event_id=", want{200, "fresh", "", "done:1", ""}},
		{"TwoQueries", "done", nil, "&last_event_id=done:1&last_event_id=done:2", want{400, "", "", "", "last_event_id"}},
		{"OtherParameter", "done", nil, "&from=now", want{400, "", "", "", "from"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			is := is.New(t)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, st.url+"/projects/web/events?stream_id="+row.stream+row.query, nil)
			is.NoErr(err)
			req.Header.Set("Authorization", "Bearer "+adminKey)
			if row.header != nil {
				req.Header["Last-Event-ID"] = row.header
			}
			resp, err := st.http.Do(req)
			is.NoErr(err)
			defer resp.Body.Close()
			is.Equal(resp.StatusCode, row.want.status)
			if row.want.status != http.StatusOK {
				b, _ := io.ReadAll(resp.Body)
				is.Equal(answer{body: string(b)}.field(), row.want.field)
				is.Equal(len(b) == 0, row.want.status == http.StatusNoContent)
				return
			}
			is.Equal(resp.Header.Get("Rdev-Resume"), row.want.resume)
			events := sse.NewDecoder(resp.Body, nil)
			connected, err := events.Next()
			is.NoErr(err)
			is.Equal(connected.Name, "connected")
			is.True(strings.Contains(string(connected.Data), `"resume":"`+row.want.resume+`"`))
			if row.want.gap != "" {
				gap, err := events.Next()
				is.NoErr(err)
				is.Equal(gap.Name, "gap")
				is.Equal(string(gap.Data), row.want.gap)
				// The id of a gap leads a reader that is cut right here to
				// behind it.
				at, err := sse.ParseCursor(gap.ID)
				is.NoErr(err)
				if strings.Contains(row.want.gap, "retention") {
					is.Equal(fmt.Sprintf("%s:%d", row.stream, at.Seq+1), row.want.first)
				} else {
					is.True(at.Seq <= 5)
				}
			}
			if row.want.first != "" {
				event, err := events.Next()
				is.NoErr(err)
				is.Equal(event.ID, row.want.first)
			}
			if row.stream == "done" { // and then all the rest
				last := ""
				for event, err := events.Next(); err == nil; event, err = events.Next() {
					last = event.ID
				}
				is.True(last == "done:final" || row.want.first == "done:final")
			}
		})
	}
}
