package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/matryer/is"
)

func TestRun(t *testing.T) {
	t.Run("MediansStandWithTheirRange", func(t *testing.T) {
		is := is.New(t)
		in := `goos: linux
pkg: example.org/x/bench
BenchmarkEcho-2   	     100	         0 ns/op	      3.5 ratio
BenchmarkEcho-2   	     100	         0 ns/op	      1.5 ratio
BenchmarkEcho-2   	     100	         0 ns/op	      2.25 ratio
BenchmarkLines/64-byte-2	       1	   1234567 ns/op	    300123 lines/s
BenchmarkLines/64-byte-2	       1	   2234567 ns/op	    300125 lines/s
PASS
ok  	example.org/x/bench	1.2s
`
		var out, stderr bytes.Buffer
		is.Equal(run(strings.NewReader(in), &out, &stderr), 0)
		is.Equal(stderr.String(), in)
		is.Equal(out.String(), strings.TrimPrefix(`
| benchmark           | median  | lowest  | highest | unit    | runs |
|---                  |---      |---      |---      |---      |---   |
| bench.Echo          | 2.25    | 1.5     | 3.5     | ratio   | 3    |
| bench.Lines/64-byte | 1734567 | 1234567 | 2234567 | ns/op   | 2    |
| bench.Lines/64-byte | 300124  | 300123  | 300125  | lines/s | 2    |
`, "\n"))
	})
	t.Run("AFailedRunHasNoMedians", func(t *testing.T) {
		is := is.New(t)
		var out, stderr bytes.Buffer
		is.Equal(run(strings.NewReader("BenchmarkX 1 2 ns/op\n--- FAIL: BenchmarkY\n"), &out, &stderr), 1)
		is.Equal(out.String(), "")
	})
	t.Run("NothingMeasuredIsAFailure", func(t *testing.T) {
		is := is.New(t)
		var out, stderr bytes.Buffer
		is.Equal(run(strings.NewReader("PASS\n"), &out, &stderr), 1)
	})
}
