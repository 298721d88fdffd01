package server_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/server"
)

func prefixes(t *testing.T, texts ...string) []netip.Prefix {
	t.Helper()
	list, err := auth.ParsePrefixes(texts)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestClientAddress is where a request comes from, for what the peer and the
// headers say. Trusted are 10.0.0.0/8 and 2001:db8::/32.
func TestClientAddress(t *testing.T) {
	const proxy, proxy6, stranger = "10.0.0.1:4711", "[2001:db8::1]:4711", "192.0.2.1:4711"
	st := newStand(t, func(up *setup) { up.config.TrustedProxies = prefixes(t, "10.0.0.0/8", "2001:db8::/32") })
	for _, row := range []struct {
		peer    string
		headers []string
		want    string
	}{
		// Nobody speaks for the peer.
		{stranger, nil, "192.0.2.1"},
		{"[2001:db9::1]:1", nil, "2001:db9::1"},
		{"[::ffff:192.0.2.1]:1", nil, "192.0.2.1"},
		{"[fe80::1%eth0]:1", nil, "fe80::1"},
		{proxy, nil, "10.0.0.1"},
		{"@", nil, "invalid IP"}, // a unix socket
		{"", nil, "invalid IP"},
		{"not an address", []string{"203.0.113.9"}, "invalid IP"},
		// A stranger's word counts for nothing.
		{stranger, []string{"203.0.113.9"}, "192.0.2.1"},
		{stranger, []string{"10.0.0.9"}, "192.0.2.1"},
		{stranger, []string{"127.0.0.1", "10.0.0.9"}, "192.0.2.1"},
		// A proxy's does, from the right.
		{proxy, []string{"203.0.113.9"}, "203.0.113.9"},
		{proxy6, []string{"203.0.113.9"}, "203.0.113.9"},
		{"[::ffff:10.0.0.1]:1", []string{"203.0.113.9"}, "203.0.113.9"},
		{proxy, []string{"198.51.100.7, 203.0.113.9"}, "203.0.113.9"},
		{proxy, []string{"198.51.100.7", "203.0.113.9"}, "203.0.113.9"},
		{proxy, []string{"127.0.0.1, 203.0.113.9"}, "203.0.113.9"},
		{proxy, []string{"203.0.113.9, 10.0.0.2"}, "203.0.113.9"},
		{proxy, []string{"203.0.113.9", "10.0.0.2, 10.0.0.3"}, "203.0.113.9"},
		{proxy, []string{"1.1.1.1, 203.0.113.9, 10.0.0.2,10.0.0.3"}, "203.0.113.9"},
		{proxy, []string{"203.0.113.9, 2001:db8::2"}, "203.0.113.9"},
		{proxy, []string{"10.0.0.9, 10.0.0.2"}, "10.0.0.9"}, // a caller among the proxies
		// In every spelling.
		{proxy, []string{"203.0.113.9:5555"}, "203.0.113.9"},
		{proxy, []string{"[2001:db9::9]:5555"}, "2001:db9::9"},
		{proxy, []string{"[2001:db9::9]"}, "2001:db9::9"},
		{proxy, []string{"2001:db9::9"}, "2001:db9::9"},
		{proxy, []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
		{proxy, []string{"fe80::9%eth1"}, "fe80::9"},
		{proxy, []string{" \t203.0.113.9\t "}, "203.0.113.9"},
		// What cannot be read hides what is left of it.
		{proxy, []string{"203.0.113.9, unknown"}, "10.0.0.1"},
		{proxy, []string{"203.0.113.9, unknown, 10.0.0.2"}, "10.0.0.2"},
		{proxy, []string{"203.0.113.9,"}, "10.0.0.1"},
		{proxy, []string{"203.0.113.9", ""}, "10.0.0.1"},
		{proxy, []string{""}, "10.0.0.1"},
		{proxy, []string{"203.0.113.9;"}, "10.0.0.1"},
		{proxy, []string{`"203.0.113.9"`}, "10.0.0.1"},
		{proxy, []string{"203.0.113.9]"}, "10.0.0.1"},
		{proxy, []string{"[203.0.113.9"}, "10.0.0.1"},
		{proxy, []string{"for=203.0.113.9"}, "10.0.0.1"},
		{proxy, []string{"_hidden"}, "10.0.0.1"},
		{proxy, []string{"203.0.113.9 198.51.100.7"}, "10.0.0.1"},
		{proxy, []string{"0x7f.1"}, "10.0.0.1"},
		{proxy, []string{"2130706433"}, "10.0.0.1"},
		{proxy, []string{strings.Repeat("10.0.0.2,", 10_000) + "203.0.113.9"}, "203.0.113.9"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/projects", nil)
		r.RemoteAddr = row.peer
		r.Header["X-Forwarded-For"] = row.headers
		// Other headers of that kind say nothing here.
		r.Header.Set("X-Real-Ip", "198.51.100.1")
		r.Header.Set("True-Client-Ip", "198.51.100.2")
		r.Header.Set("Forwarded", "for=198.51.100.3")
		if got := server.ClientAddr(st.srv, r).String(); got != row.want {
			t.Errorf("from %s with %.60q: got %s, want %s", row.peer, row.headers, got, row.want)
		}
	}
}

func TestNobodyTrustsTheWholeWorld(t *testing.T) {
	st := newStand(t, nil)
	for _, bad := range []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0"), netip.MustParsePrefix("10.0.0.1/8"),
		netip.MustParsePrefix("::ffff:0.0.0.0/96"), {},
	} {
		_, err := server.New(st.svc, st.authn, server.Config{TrustedProxies: []netip.Prefix{bad}})
		if err == nil || !strings.Contains(err.Error(), "TrustedProxies") {
			t.Errorf("%v: got %v, want it refused", bad, err)
		}
	}
}

// TestTheLogSaysFromWhere: the address that counts is in the log.
func TestTheLogSaysFromWhere(t *testing.T) {
	is := is.New(t)
	st := newStand(t, func(up *setup) { up.config.TrustedProxies = prefixes(t, "127.0.0.0/8") })
	is.Equal(st.do("GET", "/projects", "", "X-Forwarded-For", "6.6.6.6, 203.0.113.9").status, http.StatusOK)
	eventually(t, "the request is in the log", func() bool { return strings.Contains(st.log.String(), `"from":"203.0.113.9"`) })
	is.True(!strings.Contains(st.log.String(), "6.6.6.6"))
}
