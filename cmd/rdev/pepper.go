package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/orchard9/rdev/auth"
)

// maxPepperFile is the longest file of peppers that is read.
const maxPepperFile = 64 << 10

// keyHasher hashes keys with the configured peppers, the first of which is the
// newest.
func keyHasher(c Config) (*auth.Hasher, error) {
	text, source := c.Peppers.Reveal(), "RDEV_PEPPERS"
	if c.PepperFile != "" {
		if text != "" {
			return nil, usagef("both RDEV_PEPPERS and RDEV_PEPPER_FILE are set; keep one")
		}
		source = c.PepperFile
		info, err := os.Stat(c.PepperFile)
		if err != nil {
			return nil, fmt.Errorf("cannot read the peppers in %s: %w", c.PepperFile, cause(err))
		}
		if info.Size() > maxPepperFile {
			return nil, fmt.Errorf("the file of peppers %s is too large for one", c.PepperFile)
		}
		b, err := os.ReadFile(c.PepperFile)
		if err != nil {
			return nil, fmt.Errorf("cannot read the peppers in %s: %w", c.PepperFile, cause(err))
		}
		text = string(b)
		if strings.TrimSpace(text) == "" {
			return nil, fmt.Errorf("the file of peppers %s is empty", c.PepperFile)
		}
	}
	peppers, err := parsePeppers(text)
	if err != nil {
		return nil, usagef("%s: %w", source, err)
	}
	hasher, err := auth.NewHasher(peppers...)
	if err != nil {
		return nil, usagef("%s: %w", source, err)
	}
	return hasher, nil
}

// parsePeppers reads id:secret, or sha256 for none, one a line or with commas between. Lines that
// begin with # are for people. Nothing of a secret is in its errors.
func parsePeppers(text string) ([]auth.Pepper, error) {
	var peppers []auth.Pepper
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		for entry := range strings.SplitSeq(line, ",") {
			entry = strings.TrimSpace(entry)
			if entry == "" {
				continue
			}
			id, secret, found := strings.Cut(entry, ":")
			if !found && id != auth.AlgorithmSHA256 {
				return nil, fmt.Errorf("pepper %d is not id:secret", len(peppers)+1)
			}
			peppers = append(peppers, auth.Pepper{ID: id, Secret: auth.NewSecret(secret)})
		}
	}
	return peppers, nil
}
