package main

import (
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/orchard9/rdev/auth"
)

// printConfig writes the settings as a file that --config would take. Secrets
// are left out; that one is set is said.
func printConfig(w io.Writer, c Config) error {
	var b strings.Builder
	values := reflect.ValueOf(c)
	for i, s := range settings() {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "# %s.\n# %s\n", strings.TrimSuffix(s.help, "."), strings.Join(s.sources(), ", "))
		if s.secret {
			state := "not set"
			if !values.Field(s.index).Interface().(auth.Secret).IsZero() {
				state = "set"
			}
			fmt.Fprintf(&b, "# %s: %s\n", s.key, state)
			continue
		}
		fmt.Fprintf(&b, "%s: %s\n", s.key, yamlValue(values.Field(s.index).Interface()))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// sources names where the setting can be made besides the file.
func (s setting) sources() []string {
	sources := []string{s.env()}
	if s.flag != "" {
		sources = append(sources, "--"+s.flag)
	}
	return sources
}

// yamlValue writes a value as YAML. Strings are quoted always: a double-quoted
// scalar of YAML is a superset of what strconv.Quote gives for text.
func yamlValue(value any) string {
	switch v := value.(type) {
	case string:
		return strconv.Quote(v)
	case time.Duration:
		return v.String()
	case []string:
		quoted := make([]string, len(v))
		for i, s := range v {
			quoted[i] = strconv.Quote(s)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	}
	return fmt.Sprint(value)
}
