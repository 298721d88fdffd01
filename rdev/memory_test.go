package rdev_test

import (
	"testing"

	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/rdev/rdevtest"
)

func TestMemoryCommands(t *testing.T) {
	rdevtest.Commands(t, func(*testing.T) rdev.Commands { return rdev.NewMemoryCommands() })
}
