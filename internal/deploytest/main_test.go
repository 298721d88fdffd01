package deploytest

import (
	"os"
	"testing"

	"github.com/orchard9/rdev/internal/kubetest"
)

func TestMain(m *testing.M) { os.Exit(kubetest.Run(m)) }
