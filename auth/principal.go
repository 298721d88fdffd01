package auth

import (
	"net/netip"
	"slices"
	"time"
)

// AdminID is the KeyID of the admin key, which no store holds.
const AdminID = "admin"

// A Principal is who makes a request: what a key allows, at the moment when it
// was presented. It is a plain value, so programs that authenticate their users
// in another way make their own.
type Principal struct {
	// KeyID identifies the key, AdminID for the admin key.
	KeyID string
	// Name is the key's name, for people.
	Name     string
	Scopes   []Scope
	Projects []Pattern
	// Policy is the widest level of exec/policy for its commands, empty for
	// no bound.
	Policy string
	// AllowedAddresses are where the key works from; empty: anywhere.
	AllowedAddresses []netip.Prefix
	// ExpiresAt is when the key stops working, zero for never.
	ExpiresAt time.Time
	// Addr is where the request comes from, as far as that is known, else the
	// zero Addr. IPv4 is never in IPv6, and there is no zone.
	Addr netip.Addr
	// Admin allows everything.
	Admin bool
}

// Admin returns the principal of the admin key.
func Admin() Principal {
	return Principal{
		KeyID:    AdminID,
		Name:     AdminID,
		Scopes:   AllScopes(),
		Projects: []Pattern{AllProjects},
		Admin:    true,
	}
}

// Can reports whether the principal has the scope.
func (p Principal) Can(scope Scope) bool {
	return p.Admin || slices.Contains(p.Scopes, scope)
}

// Sees reports whether the principal may know of the project.
func (p Principal) Sees(project string) bool {
	return p.Admin || slices.ContainsFunc(p.Projects, func(own Pattern) bool { return own.Match(project) })
}

// Covers reports whether a key with these scopes and projects would allow
// nothing that the principal itself may not do.
func (p Principal) Covers(scopes []Scope, projects []Pattern) bool {
	if p.Admin {
		return true
	}
	for _, scope := range scopes {
		if !p.Can(scope) {
			return false
		}
	}
	for _, project := range projects {
		if !slices.ContainsFunc(p.Projects, func(own Pattern) bool { return own.Covers(project) }) {
			return false
		}
	}
	return true
}

// CoversKey reports whether the key allows nothing that the principal itself
// may not do, and from nowhere where the principal's own key does not work.
// When either ends does not count.
func (p Principal) CoversKey(k Key) bool {
	return p.Covers(k.Scopes, k.Projects) && p.CoversAddresses(k.AllowedAddresses)
}

// CoversAddresses reports whether a key with this list of addresses would work
// from nowhere where the principal's own key does not.
func (p Principal) CoversAddresses(list []netip.Prefix) bool {
	return p.Admin || coversAddresses(p.AllowedAddresses, list)
}

// Principal returns who presents the key at now from the address (the zero Addr
// if that is not known), or, as an ErrUnauthenticated, why it does not work: it
// was revoked, has expired, or does not work from there.
func (k Key) Principal(now time.Time, from netip.Addr) (Principal, error) {
	switch {
	case !k.RevokedAt.IsZero():
		return Principal{}, &refusal{ReasonRevoked}
	case k.expiredAt(now):
		return Principal{}, &refusal{ReasonExpired}
	case !allowsAddress(k.AllowedAddresses, from):
		return Principal{}, &refusal{ReasonAddress}
	}
	return Principal{
		KeyID:            k.ID,
		Name:             k.Name,
		Scopes:           slices.Clone(k.Scopes),
		Projects:         slices.Clone(k.Projects),
		AllowedAddresses: slices.Clone(k.AllowedAddresses),
		Policy:           k.Policy,
		ExpiresAt:        k.ExpiresAt,
		Addr:             plainAddr(from),
	}, nil
}
