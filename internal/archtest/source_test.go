package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSources: every package says what it is, and nothing happens before main.
// All files are read, those for other systems too.
func TestSources(t *testing.T) {
	for _, p := range packages(t) {
		files, err := filepath.Glob(filepath.Join(p.dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		documented := false
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") && !p.testsOnly {
				continue
			}
			documented = checkSource(t, p.name, file) || documented
		}
		if !documented {
			t.Errorf("%s has no package comment", name(p.name))
		}
	}
}

// checkSource reports whether the file has a package comment.
func checkSource(t *testing.T, pkg, path string) bool {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, filepath.Base(path), src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Error(err)
		return true
	}
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" && !ast.IsGenerated(file) {
			t.Errorf("%s: %v: func init: wire it in cmd instead", name(pkg), fset.Position(f.Pos()))
		}
	}
	return file.Doc != nil
}
