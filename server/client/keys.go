package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// A Key is an API key without its secret.
type Key struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Scopes     []string  `json:"scopes"`
	Projects   []string  `json:"projects"`
	Policy     string    `json:"policy,omitempty"` // the widest level of its commands, empty for no bound
	CreatedAt  time.Time `json:"created_at"`
	CreatedBy  string    `json:"created_by"`
	ExpiresAt  time.Time `json:"expires_at,omitzero"`
	RevokedAt  time.Time `json:"revoked_at,omitzero"`
	LastUsedAt time.Time `json:"last_used_at,omitzero"`
	Replaces   string    `json:"replaces,omitempty"`
	ReplacedBy string    `json:"replaced_by,omitempty"`
	// AllowedAddresses are where it works from, empty for anywhere.
	AllowedAddresses []string `json:"allowed_addresses,omitempty"`
}

// A NewKey is a key with its secret, which the server shows this once.
type NewKey struct {
	Key
	Secret string `json:"secret"`
}

// A KeySpec asks for a key.
type KeySpec struct {
	Name      string    `json:"name"`
	Scopes    []string  `json:"scopes"`
	Projects  []string  `json:"projects"`         // names, prefixes with a *, or "*"
	Policy    string    `json:"policy,omitempty"` // strict, restricted or permissive; empty for no bound but the maker's
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// AllowedAddresses are where it works from: addresses and prefixes such as
	// 10.0.0.0/8. Empty for where the maker's works.
	AllowedAddresses []string `json:"allowed_addresses,omitempty"`
}

// A KeyChange says what of a key becomes another; what is nil, empty or zero
// stays. All but AllowedAddresses can only allow less than before.
type KeyChange struct {
	Scopes    []string  `json:"scopes,omitempty"`
	Projects  []string  `json:"projects,omitempty"`
	Policy    string    `json:"policy,omitempty"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// AllowedAddresses that are empty and not nil mean anywhere.
	AllowedAddresses []string `json:"allowed_addresses,omitzero"`
}

// A KeyPage is a part of a list, newest first.
type KeyPage struct {
	Keys       []Key  `json:"keys"`
	NextCursor string `json:"next_cursor,omitempty"` // empty on the last page
}

// CreateKey makes a key that allows no more than the Client's own.
func (c *Client) CreateKey(ctx context.Context, spec KeySpec) (NewKey, error) {
	var key NewKey
	err := c.do(ctx, call{method: http.MethodPost, path: "/keys", body: spec}, &key)
	return key, err
}

// Keys returns a page of the keys that allow no more than the Client's own. A
// limit of zero is the server's choice.
func (c *Client) Keys(ctx context.Context, cursor string, limit int) (KeyPage, error) {
	var page KeyPage
	err := c.do(ctx, call{method: http.MethodGet, path: "/keys" + encodeQuery(pageQuery(cursor, limit)), again: true}, &page)
	return page, err
}

// Key returns one key.
func (c *Client) Key(ctx context.Context, id string) (Key, error) {
	var key Key
	err := c.do(ctx, call{method: http.MethodGet, path: keyPath(id), again: true}, &key)
	return key, err
}

// NarrowKey changes a key at once, also for what depends on it.
func (c *Client) NarrowKey(ctx context.Context, id string, change KeyChange) (Key, error) {
	var key Key
	err := c.do(ctx, call{method: http.MethodPatch, path: keyPath(id), body: change, again: true}, &key)
	return key, err
}

// RevokeKey ends a key at once. It is idempotent.
func (c *Client) RevokeKey(ctx context.Context, id string) (Key, error) {
	var key Key
	err := c.do(ctx, call{method: http.MethodDelete, path: keyPath(id), again: true}, &key)
	return key, err
}

// RotateKey makes a successor of a key, which itself works on for grace. A
// grace of zero is the server's default, a negative one ends the key at once.
func (c *Client) RotateKey(ctx context.Context, id string, grace time.Duration) (NewKey, error) {
	body := struct {
		Grace string `json:"grace,omitempty"`
	}{}
	if grace != 0 {
		body.Grace = max(grace, 0).String()
	}
	var key NewKey
	err := c.do(ctx, call{method: http.MethodPost, path: keyPath(id) + "/rotate", body: body}, &key)
	return key, err
}

func keyPath(id string) string { return "/keys/" + url.PathEscape(id) }
