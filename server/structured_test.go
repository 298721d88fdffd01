package server_test

import (
	"fmt"
	"strconv"
	"strings"
)

// An sfItem is a String with parameters whose values are Integers, of a
// structured field (RFC 9651).
type sfItem struct {
	name   string
	params map[string]int64
}

// parseSFList parses a List of such Items, strictly: section 4.2 without the
// types that this API does not send.
func parseSFList(field string) ([]sfItem, error) {
	var items []sfItem
	rest := strings.Trim(field, " ")
	for {
		item := sfItem{params: map[string]int64{}}
		if !strings.HasPrefix(rest, `"`) {
			return nil, fmt.Errorf("no String at %q", rest)
		}
		name, tail, closed := strings.Cut(rest[1:], `"`)
		if !closed || strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r > 0x7e || r == '\\' }) {
			return nil, fmt.Errorf("no String at %q", rest)
		}
		item.name, rest = name, tail
		for strings.HasPrefix(rest, ";") {
			rest = strings.TrimLeft(rest[1:], " ")
			end := strings.IndexFunc(rest, func(r rune) bool {
				return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune("_-.*", r))
			})
			if end < 1 || rest[end] != '=' || rest[0] != '*' && (rest[0] < 'a' || rest[0] > 'z') {
				return nil, fmt.Errorf("no parameter at %q", rest)
			}
			key := rest[:end]
			rest = rest[end+1:]
			digits := len(rest) - len(strings.TrimLeft(strings.TrimPrefix(rest, "-"), "0123456789"))
			if digits > 15 {
				return nil, fmt.Errorf("an Integer that is too long at %q", rest)
			}
			value, err := strconv.ParseInt(rest[:digits], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("no Integer at %q", rest)
			}
			item.params[key] = value
			rest = rest[digits:]
		}
		items = append(items, item)
		rest = strings.TrimLeft(rest, " \t")
		if rest == "" {
			return items, nil
		}
		if rest[0] != ',' {
			return nil, fmt.Errorf("no comma at %q", rest)
		}
		if rest = strings.TrimLeft(rest[1:], " \t"); rest == "" {
			return nil, fmt.Errorf("a comma at the end of %q", field)
		}
	}
}
