package auth_test

import (
	"testing"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/auth/authtest"
)

func TestMemory(t *testing.T) {
	authtest.Run(t, func(*testing.T) auth.KeyStore { return auth.NewMemory() })
}

func TestMemoryLimits(t *testing.T) {
	authtest.Limits(t, func(*testing.T) auth.LimitStore { return new(auth.MemoryLimits) })
}
