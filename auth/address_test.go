package auth_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
)

func TestParsePrefix(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.0/8":            "10.0.0.0/8",
		"192.0.2.7":             "192.0.2.7/32",
		"192.0.2.7/32":          "192.0.2.7/32",
		"0.0.0.0/0":             "0.0.0.0/0",
		"2001:db8::/32":         "2001:db8::/32",
		"2001:DB8::1":           "2001:db8::1/128",
		"::/0":                  "::/0",
		"::ffff:192.0.2.7":      "192.0.2.7/32",
		"::ffff:192.0.2.0/120":  "192.0.2.0/24",
		"::ffff:0.0.0.0/96":     "0.0.0.0/0",
		"::ffff:0.0.0.0/95":     "",
		"10.0.0.1/8":            "", // the prefix, or the address?
		"2001:db8::1/32":        "",
		"fe80::1%eth0":          "",
		"fe80::%eth0/64":        "",
		"10.0.0.0/33":           "",
		"10.0.0.0/-1":           "",
		"10.0.0/8":              "",
		"010.0.0.0/8":           "",
		"":                      "",
		" 10.0.0.0/8":           "",
		"10.0.0.0/8,10.1.0.0/8": "",
		"localhost":             "",
		"*":                     "",
	} {
		prefix, err := auth.ParsePrefix(text)
		got := ""
		if err == nil {
			got = prefix.String()
		}
		if got != want {
			t.Errorf("ParsePrefix(%q) = %q (%v), want %q", text, got, err, want)
		}
	}
	_, err := auth.ParsePrefixes([]string{"10.0.0.0/8", "home"})
	if err == nil || !strings.Contains(err.Error(), `"home"`) {
		t.Errorf("ParsePrefixes: %v, want the one that is wrong named", err)
	}
}

func TestTheAdminKeyWorksFromItsAddressesAlone(t *testing.T) {
	is := is.New(t)
	from, err := auth.ParsePrefixes([]string{"10.0.0.0/8", "2001:db8::/32"})
	is.NoErr(err)
	a, err := auth.NewAuthenticator(auth.AuthenticatorConfig{
		Keys: auth.NewMemory(), AdminKey: auth.NewSecret(adminKey), AdminAddresses: from,
	})
	is.NoErr(err)
	defer func() { _ = a.Close(context.Background()) }()
	for text, works := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "2001:db8::9": true,
		"11.0.0.1": false, "2001:db9::1": false, "127.0.0.1": false,
	} {
		p, err := a.Authenticate(t.Context(), adminKey, netip.MustParseAddr(text))
		if works {
			is.NoErr(err)
			is.Equal(p.Addr, netip.MustParseAddr(text).Unmap())
			continue
		}
		is.Equal(auth.ReasonOf(err), auth.ReasonAddress)
		is.Equal(err.Error(), auth.ErrUnauthenticated.Error())
	}
	_, err = a.Authenticate(t.Context(), adminKey, netip.Addr{}) // nobody knows from where
	is.Equal(auth.ReasonOf(err), auth.ReasonAddress)
}
