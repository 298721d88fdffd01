package main

import (
	"net/netip"

	"github.com/orchard9/rdev/auth"
)

// prefixes reads a setting that lists addresses and prefixes.
func prefixes(key string, texts []string) ([]netip.Prefix, error) {
	list, err := auth.ParsePrefixes(texts)
	if err != nil {
		return nil, usagef("%s: %w", key, err)
	}
	if key == "trusted_proxies" {
		for _, p := range list {
			if p.Bits() == 0 {
				return nil, usagef("%s: %v trusts everybody to say where they come from; name the proxies alone", key, p)
			}
		}
	}
	return list, nil
}
