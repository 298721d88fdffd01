package mask_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/internal/mask"
)

// Keys that look like real ones and are none. They are put together here so that
// no scanner takes this file for a leak.
var (
	github = "ghp" + "_" + strings.Repeat("aB3", 12)
	claude = "sk-" + "ant-api03-" + strings.Repeat("x-Y_9", 12)
	own    = "rdev" + "_sk_" + strings.Repeat("k", 12) + "_" + strings.Repeat("S", 49)
	aws    = "AK" + "IA" + strings.Repeat("Q7", 8)
	token  = "ey" + "JhbGciOiJIUzI1NiJ9.ey" + "JzdWIiOiIxMjM0In0.dBjftJeZ4CVP_mB92K27uhbUJU1p1r"
)

func TestWholeTexts(t *testing.T) {
	set := mask.New("correct horse battery", "short", "line one!\nline two!!", "hunter2hunter2", "hunter2hunter2hunter")
	for text, want := range map[string]string{
		"":                                 "",
		"nothing here":                     "nothing here",
		"short":                            "short", // too short to be looked for
		"a correct horse battery staple":   "a [masked] staple",
		"hunter2hunter2":                   "[masked]",
		"hunter2hunter2hunter2":            "[masked]2",
		"hunter2hunter2hunte":              "[masked]hunte",
		"x line one! y line two!! z":       "x [masked] y [masked] z",
		"key=" + github + ";":              "key=[masked];",
		"ghp_short":                        "ghp_short",
		claude:                             "[masked]",
		"<" + own + ">":                    "<[masked]>",
		aws + " " + aws + "A x" + aws:      "[masked] " + aws + "A x" + aws,
		"Bearer " + token + "\n":           "Bearer [masked]\n",
		"eyJ.not a token eyJhbGciOiJIUzI1": "eyJ.not a token eyJhbGciOiJIUzI1",
		"a sk-ant-hill, ghp_ and AKIA":     "a sk-ant-hill, ghp_ and AKIA",
		"-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n-----END RSA PRIVATE KEY-----\nx": "[masked]\nx",
		"-----BEGIN CERTIFICATE-----\nMIIabc\n-----END CERTIFICATE-----":            "-----BEGIN CERTIFICATE-----\nMIIabc\n-----END CERTIFICATE-----",
	} {
		t.Run(fmt.Sprintf("%.20q", text), func(t *testing.T) {
			is.New(t).Equal(set.String(text), want)
		})
	}
	is := is.New(t)
	is.Equal((*mask.Set)(nil).String("ghp_"), "ghp_")
	is.Equal(set.With("more than before").String("more than before hunter2hunter2"), "[masked] [masked]")
}

// show puts a line together as a reader does, from pieces that end at the cuts.
func show(set *mask.Set, line string, cuts []int, force bool) (string, []*mask.Piece) {
	s := mask.NewStream(set)
	var pieces []*mask.Piece
	from := 0
	for _, cut := range append(cuts, len(line)) {
		last := cut == len(line) && len(pieces) == len(cuts)
		pieces = append(pieces, s.Add(0, []byte(line[from:cut]), !last))
		if force && !last {
			s.Force(true)
		}
		from = cut
	}
	var shown strings.Builder
	for _, p := range pieces {
		if !p.Settled() {
			panic("a line is over, and a piece of it is not settled")
		}
		shown.Write(p.Masked())
	}
	return shown.String(), pieces
}

// TestASecretIsFoundAcrossPieces cuts lines at every place, and at every two.
func TestASecretIsFoundAcrossPieces(t *testing.T) {
	set := mask.New("correct horse battery", "correct horse", "batteryacid")
	for _, line := range []string{
		"a correct horse battery staple",
		"correct horse batter correct horse batteryacid",
		"correct hcorrect horse",
		"x " + token + " y",
		"key " + aws + " " + github,
		claude,
	} {
		want := set.String(line)
		for i := range len(line) + 1 {
			for j := i; j <= len(line); j++ {
				if got, _ := show(set, line, []int{i, j}, false); got != want {
					t.Fatalf("cut at %d and %d: %q, want %q", i, j, got, want)
				}
			}
		}
	}
}

// TestABlockOnOneLineIsHidden: where its end is cut, the rest of the line is
// hidden with it.
func TestABlockOnOneLineIsHidden(t *testing.T) {
	set := mask.New()
	const line = "x -----BEGIN PRIVATE KEY-----MIIabcdefgh-----END PRIVATE KEY-----after"
	for i := range len(line) + 1 {
		for j := i; j <= len(line); j++ {
			if got, _ := show(set, line, []int{i, j}, false); !strings.HasPrefix(got, "x [masked]") || strings.Contains(got, "MII") || strings.Contains(got, "efgh") {
				t.Fatalf("cut at %d and %d: %q", i, j, got)
			}
		}
	}
}

// TestOfAForcedSecretThreeBytesAreShownAtMost has no time to wait at any cut.
func TestOfAForcedSecretThreeBytesAreShownAtMost(t *testing.T) {
	const secret = "correct horse battery"
	set := mask.New(secret)
	line := "a " + secret + " staple"
	leaks := func(shown string) bool {
		for i := range len(secret) - 3 {
			if strings.Contains(shown, secret[i:i+4]) {
				return true
			}
		}
		return false
	}
	every := make([]int, len(line)-1)
	for i := range every {
		every[i] = i + 1
	}
	if shown, _ := show(set, line, every, true); leaks(shown) {
		t.Fatalf("byte for byte: %q", shown)
	}
	for i := range len(line) + 1 {
		for j := i; j <= len(line); j++ {
			if shown, _ := show(set, line, []int{i, j}, true); leaks(shown) || !strings.HasSuffix(shown, " staple") {
				t.Fatalf("cut at %d and %d: %q", i, j, shown)
			}
		}
	}
}

func TestAPieceIsHeldOnlyWhileItMatters(t *testing.T) {
	is := is.New(t)
	s := mask.NewStream(mask.New("correct horse"))
	is.True(s.Add(0, []byte("password: "), true).Settled())
	held := s.Add(0, []byte("is it corr"), true)
	is.True(!held.Settled())
	is.True(s.Add(1, []byte("another side"), false).Settled())
	next := s.Add(0, []byte("ugated?"), true)
	is.True(held.Settled() && next.Settled())
	is.Equal(string(held.Masked())+string(next.Masked()), "is it corrugated?")
	held = s.Add(0, []byte("corr"), true)
	s.Force(false) // the end of the output
	is.True(held.Settled())
	is.Equal(string(held.Masked()), "corr")
}

func TestABlockIsMaskedLineByLine(t *testing.T) {
	is := is.New(t)
	lines := []string{
		"before", "-----BEGIN OPENSSH PRIVATE KEY-----", strings.Repeat("b3BlbnNz", 8), "QyNTUxOQ==",
		"-----END OPENSSH PRIVATE KEY----- after", "then this",
	}
	want := []string{"before", "[masked]", "[masked]", "[masked]", "[masked] after", "then this"}
	s := mask.NewStream(mask.New())
	for i, line := range lines {
		is.Equal(string(s.Add(0, []byte(line), false).Masked()), want[i])
	}
	s.Add(0, []byte("-----BEGIN PRIVATE KEY-----"), false)
	is.Equal(string(s.Add(1, []byte("the other side goes on"), false).Masked()), "the other side goes on")
	is.Equal(string(s.Add(0, []byte("and this is no key"), false).Masked()), "and this is no key")
}

func TestPlainAgreesWithAdd(t *testing.T) {
	set := mask.New("correct horse")
	for _, line := range []string{"", "c", "co", "correct", "a correct horse", github, "plain " + strings.Repeat("x", 200)} {
		s := mask.NewStream(set)
		if plain := s.Plain(0, []byte(line), false); plain != (set.String(line) == line) {
			t.Fatalf("%q: plain %t", line, plain)
		}
	}
}

func TestWriterMasksWhatALogHolds(t *testing.T) {
	is := is.New(t)
	var log bytes.Buffer
	w := mask.NewWriter(&log, mask.New(`with "quotes" and \`))
	line := `{"message":"with \"quotes\" and \\","key":"` + github + `"}`
	n, err := w.Write([]byte(line))
	is.NoErr(err)
	is.Equal(n, len(line))
	is.Equal(log.String(), `{"message":"[masked]","key":"[masked]"}`)
}

func FuzzPieces(f *testing.F) {
	f.Add("a correct horse battery staple "+github, uint16(5), uint16(12))
	f.Add("-----BEGIN PRIVATE KEY-----abc", uint16(3), uint16(30))
	set := mask.New("correct horse battery", "correct horse", "ababababab")
	f.Fuzz(func(t *testing.T, line string, i, j uint16) {
		if len(line) == 0 || strings.Contains(line, "-----BEGIN") {
			return // of a block that does not end, more is masked
		}
		a, b := int(i)%(len(line)+1), int(j)%(len(line)+1)
		if got, _ := show(set, line, []int{min(a, b), max(a, b)}, false); got != set.String(line) {
			t.Fatalf("%q cut at %d and %d: %q, want %q", line, a, b, got, set.String(line))
		}
	})
}

func BenchmarkPlain(b *testing.B) {
	line := []byte("2026-11-23T20:00:15.1Z INFO server: request handled in 12.3ms, status 200, 1234 bytes sent to the client")
	s := mask.NewStream(mask.New("correct horse battery", "hunter2hunter2", "another value"))
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		if !s.Plain(0, line, false) {
			b.Fatal()
		}
	}
}
