package server

import (
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
)

// keyData is a key in an answer.
type keyData struct {
	ID       string         `json:"id"`
	Name     string         `json:"name"`
	Scopes   []auth.Scope   `json:"scopes"`
	Projects []auth.Pattern `json:"projects"`
	Policy   string         `json:"policy,omitzero"`

	// AllowedAddresses are where the key works from; absent: anywhere.
	AllowedAddresses []netip.Prefix `json:"allowed_addresses,omitzero"`

	CreatedAt  time.Time `json:"created_at"`
	CreatedBy  string    `json:"created_by"`
	ExpiresAt  time.Time `json:"expires_at,omitzero"`
	RevokedAt  time.Time `json:"revoked_at,omitzero"`
	LastUsedAt time.Time `json:"last_used_at,omitzero"`
	Replaces   string    `json:"replaces,omitzero"`
	ReplacedBy string    `json:"replaced_by,omitzero"`

	// Secret is the key as its holder presents it. It is in the answer that
	// makes the key, and never again.
	Secret string `json:"secret,omitzero"`
}

type keysData struct {
	Keys       []keyData `json:"keys"`
	NextCursor string    `json:"next_cursor,omitzero"`
}

func keyDataOf(k auth.Key) keyData {
	return keyData{
		ID: k.ID, Name: k.Name, Scopes: k.Scopes, Projects: k.Projects, Policy: k.Policy,
		CreatedAt: k.CreatedAt, CreatedBy: k.CreatedBy,
		ExpiresAt: k.ExpiresAt, RevokedAt: k.RevokedAt, LastUsedAt: k.LastUsedAt, Replaces: k.Replaces, ReplacedBy: k.ReplacedBy,
		AllowedAddresses: append([]netip.Prefix(nil), k.AllowedAddresses...),
	}
}

// newKey answers with a key and its secret.
func (s *Server) newKey(x *exchange, k auth.Key, secret auth.Secret) error {
	data := keyDataOf(k)
	data.Secret = secret.Reveal()
	x.Header().Set("Location", s.cfg.BasePath+"/keys/"+k.ID)
	return x.reply(http.StatusCreated, data)
}

type createKeyBody struct {
	Name      string         `json:"name"`
	Scopes    []auth.Scope   `json:"scopes"`
	Projects  []auth.Pattern `json:"projects"`
	Policy    policy.Level   `json:"policy"`
	ExpiresAt time.Time      `json:"expires_at"`

	AllowedAddresses []string `json:"allowed_addresses"`
}

func (s *Server) createKey(x *exchange) error {
	if _, err := x.query(); err != nil {
		return err
	}
	var body createKeyBody
	if err := x.decode(&body); err != nil {
		return err
	}
	addresses, err := addressList(body.AllowedAddresses)
	if err != nil {
		return err
	}
	key, secret, err := s.svc.CreateKey(x.r.Context(), x.caller, rdev.KeySpec{
		Name: body.Name, Scopes: body.Scopes, Projects: body.Projects, Policy: body.Policy, ExpiresAt: body.ExpiresAt,
		AllowedAddresses: addresses,
	})
	if err != nil {
		return err
	}
	return s.newKey(x, key, secret)
}

// addressList reads a list of prefixes and addresses; nil stays nil.
func addressList(texts []string) ([]netip.Prefix, error) {
	if texts == nil {
		return nil, nil
	}
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		prefix, err := auth.ParsePrefix(text)
		if err != nil {
			return nil, invalid(fmt.Sprintf("allowed_addresses[%d]", i), err.Error())
		}
		list[i] = prefix
	}
	return list, nil
}

type narrowKeyBody struct {
	Scopes    []auth.Scope   `json:"scopes"`
	Projects  []auth.Pattern `json:"projects"`
	Policy    policy.Level   `json:"policy"`
	ExpiresAt time.Time      `json:"expires_at"`

	AllowedAddresses []string `json:"allowed_addresses"`
}

func (s *Server) narrowKey(x *exchange) error {
	if _, err := x.query(); err != nil {
		return err
	}
	var body narrowKeyBody
	if err := x.decode(&body); err != nil {
		return err
	}
	addresses, err := addressList(body.AllowedAddresses)
	if err != nil {
		return err
	}
	key, err := s.svc.NarrowKey(x.r.Context(), x.caller, x.keyID(), rdev.KeyChange{
		Scopes: body.Scopes, Projects: body.Projects, Policy: body.Policy, ExpiresAt: body.ExpiresAt, AllowedAddresses: addresses,
	})
	if err != nil {
		return err
	}
	return x.reply(http.StatusOK, keyDataOf(key))
}

func (s *Server) listKeys(x *exchange) error {
	values, err := x.query("limit", "cursor")
	if err != nil {
		return err
	}
	cursor, limit, err := page(values)
	if err != nil {
		return err
	}
	found, err := s.svc.Keys(x.r.Context(), x.caller, cursor, limit)
	if err != nil {
		return err
	}
	data := keysData{Keys: make([]keyData, len(found.Keys)), NextCursor: formatCursor(found.Next)}
	for i, k := range found.Keys {
		data.Keys[i] = keyDataOf(k)
	}
	return x.reply(http.StatusOK, data)
}

func (s *Server) getKey(x *exchange) error {
	if _, err := x.query(); err != nil {
		return err
	}
	key, err := s.svc.Key(x.r.Context(), x.caller, x.keyID())
	if err != nil {
		return err
	}
	return x.reply(http.StatusOK, keyDataOf(key))
}

func (s *Server) revokeKey(x *exchange) error {
	if _, err := x.query(); err != nil {
		return err
	}
	key, err := s.svc.RevokeKey(x.r.Context(), x.caller, x.keyID())
	if err != nil {
		return err
	}
	return x.reply(http.StatusOK, keyDataOf(key))
}

type rotateKeyBody struct {
	Grace *duration `json:"grace"`
}

func (s *Server) rotateKey(x *exchange) error {
	if _, err := x.query(); err != nil {
		return err
	}
	var body rotateKeyBody
	if err := x.decode(&body); err != nil {
		return err
	}
	var grace time.Duration // the Service takes zero for its default
	if body.Grace != nil {
		if grace = time.Duration(*body.Grace); grace == 0 {
			grace = -1 // at once
		}
	}
	key, secret, err := s.svc.RotateKey(x.r.Context(), x.caller, x.keyID(), grace)
	if err != nil {
		return err
	}
	return s.newKey(x, key, secret)
}
