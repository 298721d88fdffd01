package archtest

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/orchard9/rdev"

// A pkg is a package of this module with its direct imports: paths of this
// module are relative to it. Following direct imports is enough, because every
// package between has its own row.
type pkg struct {
	name           string // relative; "" is the root
	dir            string
	own, foreign   []string // outside of tests
	ownInTests     []string
	foreignInTests []string
	importsTesting bool
	testsOnly      bool
}

// packages lists the module as "go list" sees it on the systems that it
// supports, because files for another system have imports too. Packages that do
// not build are listed as well: imports are all that matters here.
func packages(t *testing.T) []pkg {
	t.Helper()
	all, err := list()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var list = sync.OnceValues(func() ([]pkg, error) {
	byName := make(map[string]*pkg)
	for _, system := range []string{"linux", "darwin", "windows"} {
		cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,GoFiles,IgnoredGoFiles,Imports,TestImports,XTestImports", module+"/...")
		cmd.Env = append(os.Environ(), "GOOS="+system)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, err
		}
		decoder := json.NewDecoder(bytes.NewReader(out))
		for {
			var listed struct {
				ImportPath, Dir                    string
				GoFiles, IgnoredGoFiles            []string
				Imports, TestImports, XTestImports []string
			}
			if err := decoder.Decode(&listed); err == io.EOF {
				break
			} else if err != nil {
				return nil, err
			}
			p := byName[listed.ImportPath]
			if p == nil {
				p = &pkg{name: relative(listed.ImportPath), dir: listed.Dir}
				byName[listed.ImportPath] = p
			}
			p.importsTesting = p.importsTesting || slices.Contains(listed.Imports, "testing")
			// The ignored are for other systems.
			p.testsOnly = !slices.ContainsFunc(append(listed.GoFiles, listed.IgnoredGoFiles...), func(file string) bool {
				return !strings.HasSuffix(file, "_test.go")
			})
			split(listed.Imports, &p.own, &p.foreign)
			split(listed.TestImports, &p.ownInTests, &p.foreignInTests)
			split(listed.XTestImports, &p.ownInTests, &p.foreignInTests)
		}
	}
	var all []pkg
	for _, path := range slices.Sorted(maps.Keys(byName)) {
		all = append(all, *byName[path])
	}
	return all, nil
})

func relative(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
}

// split adds imports to this module's or to those of other modules, each once.
// The standard library's have no dot in their first element.
func split(imports []string, own, foreign *[]string) {
	for _, path := range imports {
		first, _, _ := strings.Cut(path, "/")
		switch {
		case path == module || strings.HasPrefix(path, module+"/"):
			add(own, relative(path))
		case strings.Contains(first, "."):
			add(foreign, path)
		}
	}
}

func add(list *[]string, path string) {
	if !slices.Contains(*list, path) {
		*list = append(*list, path)
	}
}
