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

// principal returns what the key allows.
func (k Key) principal() Principal {
	return Principal{
		KeyID:     k.ID,
		Name:      k.Name,
		Scopes:    slices.Clone(k.Scopes),
		Projects:  slices.Clone(k.Projects),
		Policy:    k.Policy,
		ExpiresAt: k.ExpiresAt,
	}
}
