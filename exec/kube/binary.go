package kube

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
)

//go:generate ./generate.sh

// binaries are the shims, built from exec/shim/cmd/rdev-shim.
//
//go:embed binaries/rdev-shim-linux-amd64.gz binaries/rdev-shim-linux-arm64.gz
var binaries embed.FS

// A shimBinary is a shim as it is placed in a container.
type shimBinary struct {
	data   []byte
	digest string // SHA-256, in hexadecimal
}

// shimFor returns the shim for what uname -m says, or an error that says that
// there is none.
func shimFor(machine string) (shimBinary, error) {
	arch := map[string]string{"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}[machine]
	if arch == "" {
		return shimBinary{}, fmt.Errorf("there is no shim for the architecture %q", machine)
	}
	packed, err := binaries.ReadFile("binaries/rdev-shim-linux-" + arch + ".gz")
	if err != nil {
		return shimBinary{}, err
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return shimBinary{}, err
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return shimBinary{}, err
	}
	sum := sha256.Sum256(data)
	return shimBinary{data: data, digest: hex.EncodeToString(sum[:])}, nil
}

// fileName names the shim by what is in it, so that another version is another
// file, and nobody's running program is overwritten.
func (b shimBinary) fileName() string { return "rdev-shim-" + b.digest[:16] }
