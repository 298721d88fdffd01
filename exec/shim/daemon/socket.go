package daemon

import (
	"fmt"
	"os"
	"path/filepath"
)

// maxSocketPath is the longest path that fits into a socket address on all
// systems.
const maxSocketPath = 100

// withSocketPath calls use with a path of the socket in dir that is short
// enough to bind or connect to.
func withSocketPath[T any](dir string, use func(path string) (T, error)) (T, error) {
	path := filepath.Join(dir, socketName)
	if len(path) <= maxSocketPath {
		return use(path)
	}
	file, err := os.Open(dir)
	if err != nil {
		var none T
		return none, err
	}
	defer file.Close()
	return use(fmt.Sprintf("/proc/self/fd/%d/%s", file.Fd(), socketName))
}
