package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// A table is a list for people; the same list for programs is its rows.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) write(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{t.head}, t.rows...) {
		cells := make([]string, len(row))
		for i, c := range row {
			cells[i] = cell(c)
		}
		fmt.Fprintln(tw, strings.TrimRight(strings.Join(cells, "\t"), "\t "))
	}
	return tw.Flush()
}

// cell makes text fit for one line of a table.
func cell(s string) string {
	return strings.ReplaceAll(printable(s), "\n", `\n`)
}

// printList writes a list as --output says: a table, one JSON object that holds
// all under its name, or one JSON object per line.
func printList[T any](a *app, name string, list []T, t *table) error {
	switch a.config.Output {
	case "json":
		if list == nil {
			list = []T{}
		}
		return writeJSON(a.stdout, map[string][]T{name: list})
	case "jsonl":
		for _, item := range list {
			if err := writeJSON(a.stdout, item); err != nil {
				return err
			}
		}
		return nil
	}
	return t.write(a.stdout)
}

// printOne writes one thing: as JSON, or as text says it.
func printOne(a *app, item any, text func(io.Writer) error) error {
	if a.config.Output != "text" {
		return writeJSON(a.stdout, item)
	}
	return text(a.stdout)
}

// writeJSON writes one value on one line.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// ago is how long ago something was, roughly; "-" for never.
func ago(now, then time.Time) string {
	if then.IsZero() {
		return "-"
	}
	return span(now.Sub(then)) + " ago"
}

// span is a duration to about two digits.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0fs", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}
