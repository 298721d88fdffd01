package server_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"regexp"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/server"
)

// codes are all codes that rdev declares, from its source.
func codes(t *testing.T) []rdev.Code {
	t.Helper()
	file := readSource(t, "../rdev/errors.go")
	var all []rdev.Code
	for _, m := range regexp.MustCompile(`(?m)^\s+Code\w+\s+Code = "(\w+)"`).FindAllStringSubmatch(file, -1) {
		all = append(all, rdev.Code(m[1]))
	}
	if len(all) < 20 {
		t.Fatalf("found only %d codes", len(all))
	}
	return all
}

func TestEveryCodeHasAStatus(t *testing.T) {
	doc := packageDoc(t)
	for _, code := range codes(t) {
		is := is.New(t)
		status := server.StatusOf(code)
		is.True(status >= 400) // and has a row
		if !strings.Contains(doc, fmt.Sprintf("\t%d %s", status, code)) {
			t.Errorf("doc.go does not list %d %s", status, code)
		}
	}
}

// TestDocNamesEverything holds the wire reference against the code.
func TestDocNamesEverything(t *testing.T) {
	doc := packageDoc(t)
	inDoc := map[string]string{} // "METHOD /path" to scope
	for _, m := range regexp.MustCompile(`(?m)^\t(GET|POST|PATCH|DELETE) (/\S+)[ ]+(no key|[a-z]+:[a-z]+)`).FindAllStringSubmatch(doc, -1) {
		inDoc[m[1]+" "+m[2]] = m[3]
	}
	for _, route := range server.Routes() {
		is := is.New(t)
		scope := string(route.Scope)
		if scope == "" {
			scope = "no key"
		}
		row := route.Method + " " + regexp.MustCompile(`:(\w+)`).ReplaceAllString(route.Path, "{$1}")
		is.Equal(inDoc[row], scope) // is in doc.go with its scope
		delete(inDoc, row)
		for _, field := range route.Body {
			is.True(strings.Contains(doc, `"`+field+`"`)) // is in doc.go
		}
	}
	is.New(t).Equal(len(inDoc), 0) // doc.go has no route that is not there
	for name, fields := range server.Answers() {
		for _, field := range fields {
			if !strings.Contains(doc, `"`+field+`"`) {
				t.Errorf("doc.go does not name %q of %s", field, name)
			}
		}
	}
}

func packageDoc(t *testing.T) string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return file.Doc.Text()
}
