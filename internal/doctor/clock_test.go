package doctor

import (
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"
)

func TestSkew(t *testing.T) {
	asked := time.Date(2026, 1, 2, 3, 4, 5, 900e6, time.UTC)
	answered := asked.Add(300 * time.Millisecond) // 3:04:06.2
	at := func(clock string) time.Time {
		at, err := time.Parse(time.DateTime, "2026-01-02 "+clock)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for clock, want := range map[string]time.Duration{
		"03:04:05": 0, // it may have been 5.9
		"03:04:06": 0,
		"03:04:07": 800 * time.Millisecond,
		"03:04:04": -900 * time.Millisecond,
		"04:04:06": time.Hour - 200*time.Millisecond,
		"02:04:05": -time.Hour + 100*time.Millisecond,
	} {
		if got := skew(asked, answered, at(clock), time.Second); got != want {
			t.Errorf("%s: %v, want %v", clock, got, want)
		}
	}
}

func TestClock(t *testing.T) {
	is := is.New(t)
	var r Report
	now := time.Now()
	r.clock("c", "the database", now, now, now, time.Microsecond)
	r.clock("c", "the database", now, now, now.Add(5*time.Second), time.Microsecond)
	r.clock("c", "the database", now, now, now.Add(-time.Hour), time.Microsecond)
	r.clock("c", "the database", now, now, time.Time{}, time.Microsecond)
	found := r.Findings()
	is.Equal([]State{found[0].State, found[1].State, found[2].State, found[3].State}, []State{OK, Warn, Fail, Warn})
	is.True(strings.Contains(found[1].Detail, "5s ahead of"))
	is.True(strings.Contains(found[2].Detail, "1h0m0s behind"))
	is.True(r.Failed())
}

func TestKubernetes(t *testing.T) {
	for _, c := range []struct {
		server, client string
		want           State
		text           string
	}{
		{"v1.34.4", "v1.37.2", OK, "v1.34.4"},
		{"v1.34.2-gke.1", "v1.37.2", OK, "made for 1.30 to 1.37"},
		{"v1.38.0", "v1.37.2", OK, ""},
		{"v1.39.0", "v1.37.2", Warn, "newer"},
		{"v1.39.0", "", OK, ""}, // nothing to compare with
		{"v1.29.9", "v1.37.2", Warn, "SPDY"},
		{"", "v1.37.2", Warn, "does not tell"},
		{"v2.0.0", "v1.37.2", Warn, ""},
	} {
		var r Report
		r.kubernetes(c.server, c.client)
		if f := r.Findings()[0]; f.State != c.want || !strings.Contains(f.Detail, c.text) {
			t.Errorf("%s with %s: %+v, want %s with %q", c.server, c.client, f, c.want, c.text)
		}
	}
}
