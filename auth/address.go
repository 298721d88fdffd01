package auth

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// MaxAddresses is how many prefixes a list of addresses may have.
const MaxAddresses = 100

// ParsePrefix reads one entry of a list of addresses: a prefix ("10.0.0.0/8",
// "2001:db8::/32") or one address ("192.0.2.7"), which is a prefix of its full
// length. A prefix whose address goes on behind its length is refused, because
// it is not clear which of the two was meant; so is a zone. IPv4 in IPv6
// ("::ffff:192.0.2.0/120") is read as the IPv4 that it is.
func ParsePrefix(text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		addr, addrErr := netip.ParseAddr(text)
		if addrErr != nil || addr.Zone() != "" {
			return netip.Prefix{}, errors.New("is no address and no prefix such as 10.0.0.0/8 or 2001:db8::/32")
		}
		prefix = netip.PrefixFrom(addr, addr.BitLen())
	}
	if prefix.Addr().Is4In6() {
		if prefix.Bits() < 96 {
			return netip.Prefix{}, errors.New("begins as IPv4 in IPv6 and covers more than that: write it as one or the other")
		}
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	if masked := prefix.Masked(); masked != prefix {
		return netip.Prefix{}, fmt.Errorf("goes on behind its length: write %v, or the address alone", masked)
	}
	return prefix, nil
}

// ValidPrefix reports whether p is as ParsePrefix returns it.
func ValidPrefix(p netip.Prefix) bool { return p.IsValid() && p == p.Masked() && !p.Addr().Is4In6() }

// ParsePrefixes is ParsePrefix for each of the texts; its error names the one
// that is wrong.
func ParsePrefixes(texts []string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for _, text := range texts {
		prefix, err := ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q %w", text, err)
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}

// plainAddr returns the address as lists compare it: IPv4 as such, and no zone,
// which names an interface of this machine and not the caller.
func plainAddr(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

// allowsAddress reports whether a list lets the address in. An empty one lets
// everybody in; any other nobody whose address is not known.
func allowsAddress(list []netip.Prefix, addr netip.Addr) bool {
	if len(list) == 0 {
		return true
	}
	addr = plainAddr(addr)
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// coversAddresses reports whether the list own lets in everybody whom other
// does.
func coversAddresses(own, other []netip.Prefix) bool {
	if len(own) == 0 {
		return true
	}
	if len(other) == 0 {
		return false
	}
	for _, p := range other {
		if !slices.ContainsFunc(own, func(o netip.Prefix) bool { return o.Bits() <= p.Bits() && o.Contains(p.Addr()) }) {
			return false
		}
	}
	return true
}
