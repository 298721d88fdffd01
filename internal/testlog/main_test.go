package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/matryer/is"
)

const passing = `{"Action":"start","Package":"x"}
{"Action":"run","Package":"x","Test":"TestA"}
{"Action":"output","Package":"x","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"x","Test":"TestA","Output":"noise\n"}
{"Action":"pass","Package":"x","Test":"TestA"}
{"Action":"output","Package":"x","Output":"PASS\n"}
{"Action":"output","Package":"x","Output":"ok  \tx\t0.1s\n"}
{"Action":"pass","Package":"x"}
{"Action":"output","Package":"y","Output":"?   \ty\t[no test files]\n"}
{"Action":"skip","Package":"y"}
`

const skipping = `{"Action":"output","Package":"x","Test":"TestB","Output":"    b_test.go:1: no browser\n"}
{"Action":"skip","Package":"x","Test":"TestB"}
`

const failing = `{"Action":"output","Package":"x","Test":"TestC","Output":"    c_test.go:1: 1 != 2\n"}
{"Action":"output","Package":"x","Test":"TestC","Output":"--- FAIL: TestC (0.00s)\n"}
{"Action":"fail","Package":"x","Test":"TestC"}
{"Action":"output","Package":"x","Test":"TestD","Output":"panic: oh\n"}
{"Action":"output","Package":"x","Output":"FAIL\tx\t0.1s\n"}
{"Action":"fail","Package":"x"}
`

const notBuilding = `{"ImportPath":"z","Action":"build-output","Output":"z.go:1:1: syntax error\n"}
{"ImportPath":"z","Action":"build-fail"}
{"Action":"output","Package":"z","Output":"FAIL\tz [build failed]\n"}
{"Action":"fail","Package":"z"}
`

func TestRun(t *testing.T) {
	for _, test := range []struct {
		name, in, args, out string
		code                int
	}{
		{"PassedTestsAreOneLine", passing, "", "ok  \tx\t0.1s\n1 tests passed, 0 failed, 0 skipped\n", 0},
		{"SkipsAreTold", skipping, "", "skipped: x TestB\n    b_test.go:1: no browser\n0 tests passed, 0 failed, 1 skipped\n", 0},
		{"SkipsMayBeForbidden", skipping, "-forbid-skips", "skipped: x TestB\n    b_test.go:1: no browser\n0 tests passed, 0 failed, 1 skipped\n", 1},
		{"FailuresAndPanicsAreTold", failing, "", "    c_test.go:1: 1 != 2\n--- FAIL: TestC (0.00s)\nFAIL\tx\t0.1s\n--- unfinished: x TestD\npanic: oh\nfailed: x TestC\n0 tests passed, 1 failed, 0 skipped\n", 1},
		{"BuildErrorsAreTold", notBuilding, "", "z.go:1:1: syntax error\nFAIL\tz [build failed]\n0 tests passed, 0 failed, 0 skipped\n", 1},
		{"OtherLinesPass", "go: oh\n", "", "go: oh\n0 tests passed, 0 failed, 0 skipped\n", 0},
		{"VerboseTellsAll", passing[:strings.Index(passing, `{"Action":"pass"`)], "-v", "=== RUN   TestA\nnoise\n0 tests passed, 0 failed, 0 skipped\n", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			is := is.New(t)
			var out, stderr bytes.Buffer
			is.Equal(run(strings.Fields(test.args), strings.NewReader(test.in), &out, &stderr), test.code)
			is.Equal(out.String(), test.out)
			is.Equal(stderr.String(), "")
		})
	}
}
