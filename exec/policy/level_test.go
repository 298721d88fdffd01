package policy_test

import (
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec/policy"
)

func TestLevelsHaveAnOrder(t *testing.T) {
	is := is.New(t)
	order := []policy.Level{"lax", policy.Strict, policy.Restricted, policy.Permissive}
	for i, a := range order {
		is.Equal(a.Valid(), a != "lax")
		for j, b := range order {
			is.Equal(a.Min(b), order[min(i, j)]) // the narrower one, an unknown one before all
		}
	}
	is.True(policy.Level("").Valid())
	is.Equal(policy.Level("").Min(policy.Permissive), policy.Level("")) // stands for Restricted
	is.Equal(policy.Level("").Min(policy.Strict), policy.Strict)
}
