package auth_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestSecretsAreComparedInConstantTime reads the code of this package: ==, !=
// and the comparing functions of the standard library stop at the first
// difference, so none of them may see a secret or a hash of one.
func TestSecretsAreComparedInConstantTime(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files++
		for _, found := range careless(t, name, source) {
			t.Error(found)
		}
	}
	if files < 8 {
		t.Fatalf("only %d files were read", files)
	}
}

// TestCarelessComparisonsAreFound makes sure that the test above can fail.
func TestCarelessComparisonsAreFound(t *testing.T) {
	for _, line := range []string{
		`presentedHash == "x"`, `key.Hash[0] != other.Hash[0]`, `bytes.Equal(k.Hash, other)`,
		`strings.EqualFold(a, secret.Reveal())`, `slices.Compare(HashSecret(s), b) == 0`,
		`reflect.DeepEqual(digest, b)`, `s.Reveal() == presented`, `strings.HasPrefix(adminKey, x)`,
	} {
		if len(careless(t, "x.go", []byte("package x\nvar _ = "+line))) == 0 {
			t.Errorf("%s was not found", line)
		}
	}
	for _, line := range []string{`len(secret.Reveal()) == 4`, `a.adminHash != nil`, `key.ID == id`} {
		if found := careless(t, "x.go", []byte("package x\nvar _ = "+line)); len(found) != 0 {
			t.Errorf("%s: %v", line, found)
		}
	}
}

func careless(t *testing.T, name string, source []byte) []string {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, source, 0)
	if err != nil {
		t.Fatal(err)
	}
	comparing := regexp.MustCompile(`^(bytes|strings|slices|reflect|maps|cmp)\.(Equal|EqualFunc|EqualFold|Compare|DeepEqual|Contains|HasPrefix|HasSuffix|Index)$`)
	var found []string
	report := func(n ast.Node, operands ...ast.Expr) {
		for _, operand := range operands {
			if word := sensitive(operand); word != "" {
				found = append(found, files.Position(n.Pos()).String()+": "+word+" is compared")
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			if n.Op == token.EQL || n.Op == token.NEQ {
				if !isNil(n.X) && !isNil(n.Y) {
					report(n, n.X, n.Y)
				}
			}
		case *ast.CallExpr:
			if selector, ok := n.Fun.(*ast.SelectorExpr); ok {
				if pkg, ok := selector.X.(*ast.Ident); ok && comparing.MatchString(pkg.Name+"."+selector.Sel.Name) {
					report(n, n.Args...)
				}
			}
		}
		return true
	})
	return found
}

// sensitive returns the first name in the expression that stands for a secret
// or a hash; lengths do not count.
func sensitive(e ast.Expr) string {
	words := regexp.MustCompile(`(?i)(secret|hash|digest|adminkey|reveal)`)
	found := ""
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if name, ok := n.Fun.(*ast.Ident); ok && (name.Name == "len" || name.Name == "sameHash") {
				return false
			}
			if selector, ok := n.Fun.(*ast.SelectorExpr); ok {
				if selector.Sel.Name == "IsZero" || selector.Sel.Name == "ConstantTimeCompare" || selector.Sel.Name == "RuneCountInString" {
					return false
				}
			}
		case *ast.Ident:
			if found == "" && words.MatchString(n.Name) && !strings.HasSuffix(n.Name, "Length") {
				found = n.Name
			}
		}
		return true
	})
	return found
}

func isNil(e ast.Expr) bool {
	name, ok := e.(*ast.Ident)
	return ok && name.Name == "nil"
}
