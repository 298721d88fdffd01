// Command benchmedian reads what "go test -bench . -count N" prints and writes
// the median of each figure, with the lowest and the highest, as one table:
//
//	go test -run '^$' -bench . -count 6 ./bench | go run ./internal/benchmedian
//
// Lines that are no figures go to standard error as they come, so that a person
// sees the progress and a failure. It exits with 1 if the run failed or there
// was nothing to measure. benchstat compares two runs; this is for the figures
// of one.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

func main() {
	os.Exit(run(os.Stdin, os.Stdout, os.Stderr))
}

func run(stdin io.Reader, stdout, stderr io.Writer) int {
	t := table{values: make(map[row][]float64)}
	failed := false
	lines := bufio.NewScanner(stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		fmt.Fprintln(stderr, line)
		failed = failed || strings.HasPrefix(line, "FAIL") || strings.HasPrefix(line, "--- FAIL")
		t.add(line)
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(stderr, "benchmedian:", err)
		return 1
	}
	if failed {
		fmt.Fprintln(stderr, "benchmedian: the run failed")
		return 1
	}
	if len(t.rows) == 0 {
		fmt.Fprintln(stderr, "benchmedian: no figures")
		return 1
	}
	t.print(stdout)
	return 0
}

// A row is one figure of one benchmark.
type row struct{ pkg, name, unit string }

type table struct {
	pkg    string // that the lines now belong to
	rows   []row  // in the order of their first appearance
	values map[row][]float64
}

// add takes a line such as
//
//	BenchmarkEcho-2   100   5012 ns/op   2.1 ratio
func (t *table) add(line string) {
	if pkg, ok := strings.CutPrefix(line, "pkg: "); ok {
		t.pkg = pkg
		return
	}
	fields := strings.Fields(line)
	if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
		return
	}
	if _, err := strconv.Atoi(fields[1]); err != nil {
		return
	}
	name := strings.TrimPrefix(fields[0], "Benchmark")
	if base, procs, ok := cutLast(name, "-"); ok {
		if _, err := strconv.Atoi(procs); err == nil {
			name = base
		}
	}
	for i := 2; i+1 < len(fields); i += 2 {
		value, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return
		}
		r := row{t.pkg, name, fields[i+1]}
		if r.unit == "ns/op" && value == 0 {
			continue // a benchmark that reports figures of its own instead
		}
		if t.values[r] == nil {
			t.rows = append(t.rows, r)
		}
		t.values[r] = append(t.values[r], value)
	}
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func (t *table) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	fmt.Fprintln(w, "| benchmark\t| median\t| lowest\t| highest\t| unit\t| runs\t|")
	fmt.Fprintln(w, "|---\t|---\t|---\t|---\t|---\t|---\t|")
	for _, r := range t.rows {
		v := slices.Sorted(slices.Values(t.values[r]))
		name := r.name
		if r.pkg != "" {
			name = r.pkg[strings.LastIndex(r.pkg, "/")+1:] + "." + name
		}
		fmt.Fprintf(w, "| %s\t| %s\t| %s\t| %s\t| %s\t| %d\t|\n",
			name, format(median(v)), format(v[0]), format(v[len(v)-1]), r.unit, len(v))
	}
	_ = w.Flush()
}

// median takes sorted values, at least one.
func median(v []float64) float64 {
	middle := len(v) / 2
	if len(v)%2 == 1 {
		return v[middle]
	}
	return (v[middle-1] + v[middle]) / 2
}

// format gives three digits, which is more than a benchmark knows.
func format(f float64) string {
	if f >= 100 || f <= -100 {
		return strconv.FormatFloat(f, 'f', 0, 64)
	}
	return strconv.FormatFloat(f, 'g', 3, 64)
}
