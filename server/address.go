package server

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/orchard9/rdev/auth"
)

// clientAddr returns where the request comes from: the peer of the connection,
// or, if that is one of Config.TrustedProxies, the address that it and the
// proxies before it name in X-Forwarded-For. The zero Addr if the peer has none,
// as on a unix socket. IPv4 is never in IPv6, and there is no zone.
//
// Everybody can send the header; each proxy adds the address that it was
// reached from at the right end. So it is read from there, for as long as the
// proxies are trusted: the first address that is none of theirs is the caller.
// An entry that cannot be read ends that at the last proxy that is known, and
// never lets what stands left of it count.
func (s *Server) clientAddr(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := plainAddr(at.Addr())
	if !s.trusts(addr) {
		return addr
	}
	headers := r.Header.Values("X-Forwarded-For")
	for _, header := range slices.Backward(headers) {
		for more := true; more; {
			entry := header
			i := strings.LastIndexByte(header, ',')
			if more = i >= 0; more {
				header, entry = header[:i], header[i+1:]
			}
			before, ok := forwardedAddr(entry)
			if !ok {
				return addr
			}
			if addr = before; !s.trusts(addr) {
				return addr
			}
		}
	}
	return addr
}

func (s *Server) trusts(addr netip.Addr) bool {
	return slices.ContainsFunc(s.cfg.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// forwardedAddr reads one entry of X-Forwarded-For: an address, and perhaps the
// port, which some proxies add.
func forwardedAddr(entry string) (netip.Addr, bool) {
	entry = strings.Trim(entry, " \t")
	bare := entry
	if inside, ok := strings.CutPrefix(entry, "["); ok {
		if inside, ok := strings.CutSuffix(inside, "]"); ok {
			bare = inside
		}
	}
	if addr, err := netip.ParseAddr(bare); err == nil {
		return plainAddr(addr), true
	}
	at, err := netip.ParseAddrPort(entry)
	return plainAddr(at.Addr()), err == nil
}

func plainAddr(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

// checkProxies refuses prefixes that trust the whole world: then every caller
// could name any address as its own.
func checkProxies(proxies []netip.Prefix) error {
	for _, p := range proxies {
		switch {
		case !auth.ValidPrefix(p):
			return fmt.Errorf("server: Config.TrustedProxies: %v is not a prefix in its plain form (see auth.ParsePrefix)", p)
		case p.Bits() == 0:
			return fmt.Errorf("server: Config.TrustedProxies: %v trusts everybody to say where they come from; name the proxies alone", p)
		}
	}
	return nil
}
