package rdev

import (
	"regexp"
	"slices"
	"strings"
)

// forProgrammers matches the parts of an error's text that say which package it
// is from and which command it is of, which whoever reads it has asked about.
var forProgrammers = regexp.MustCompile(`(^|: )(?:` +
	`(?:exec|rdev|stream|store)(?:/[a-z]+)*: (?:(?:execute|start|wait for|locate) [^ :"]+: )?|` +
	`(?:execute |start )?cmd-[0-9a-z]{26}: )+`)

// plain is the text of an error as it is told to users. The error itself keeps
// all of it, for the log.
func plain(err error) string {
	text := forProgrammers.ReplaceAllString(err.Error(), "$1")
	// Two layers may have said the same.
	return strings.Join(slices.Compact(strings.Split(text, ": ")), ": ")
}
