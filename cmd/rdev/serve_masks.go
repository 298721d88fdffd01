package main

import (
	"io"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/internal/mask"
)

// maxMaskFile is the longest file of secrets that is read.
const maxMaskFile = 1 << 20

// maskedValues are the values that are masked in output, records, the audit log
// and the server's own log: the server's secrets, and those in the files of the
// setting mask_files.
func maskedValues(c Config) ([]auth.Secret, error) {
	values := []auth.Secret{c.AdminKey}
	if c.AdminKeyFile != "" {
		if key, err := readKey(c.AdminKeyFile); err == nil { // adminKey tells what is wrong
			values = append(values, key)
		}
	}
	peppers := c.Peppers.Reveal()
	if c.PepperFile != "" {
		if b, err := os.ReadFile(c.PepperFile); err == nil { // keyHasher tells what is wrong
			peppers = string(b)
		}
	}
	if parsed, err := parsePeppers(peppers); err == nil {
		for _, pepper := range parsed {
			values = append(values, pepper.Secret)
		}
	}
	for _, dsn := range []auth.Secret{c.DatabaseURL, c.DatabaseListenURL} {
		values = append(values, dsn)
		for _, password := range dsnPasswords(dsn.Reveal()) {
			values = append(values, auth.NewSecret(password))
		}
	}
	for _, path := range c.MaskFiles {
		lines, err := readMaskFile(path)
		if err != nil {
			return nil, err
		}
		values = append(values, lines...)
	}
	return values, nil
}

var dsnPassword = regexp.MustCompile(`(?:^|\s)password\s*=\s*(?:'((?:[^'\\]|\\.)*)'|(\S+))`)

// dsnPasswords returns the password of a DSN, as it stands there and as it is.
func dsnPasswords(dsn string) []string {
	if u, err := url.Parse(dsn); err == nil && u.User != nil {
		password, _ := u.User.Password()
		_, raw, _ := strings.Cut(u.User.String(), ":")
		return []string{password, raw}
	}
	if m := dsnPassword.FindStringSubmatch(dsn); m != nil {
		return []string{m[1] + m[2]}
	}
	return nil
}

// readMaskFile returns the lines of a file; empty ones are left out.
func readMaskFile(path string) ([]auth.Secret, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, usagef("cannot read %s of mask_files: %w", path, cause(err))
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxMaskFile+1))
	if err != nil {
		return nil, usagef("cannot read %s of mask_files: %w", path, cause(err))
	}
	if len(text) > maxMaskFile {
		return nil, usagef("%s of mask_files has more than %d bytes", path, maxMaskFile)
	}
	var values []auth.Secret
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
		case len(line) < mask.MinValue:
			return nil, usagef("%s, line %d: a value of mask_files has at least %d bytes; a shorter one would be found in much that is no secret", path, i+1, mask.MinValue)
		default:
			values = append(values, auth.NewSecret(line))
		}
	}
	return values, nil
}

// maskSet is what the server's own log is masked with.
func maskSet(values []auth.Secret) *mask.Set {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = value.Reveal()
	}
	return mask.New(texts...)
}

// A maskedError takes secrets out of the text of an error, which keeps its kind.
type maskedError struct {
	error
	text string
}

func (e *maskedError) Error() string { return e.text }
func (e *maskedError) Unwrap() error { return e.error }

func maskError(set *mask.Set, err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if shown := set.String(text); shown != text {
		return &maskedError{err, shown}
	}
	return err
}
