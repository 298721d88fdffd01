package mask_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/internal/mask"
)

const header = "-----BEGIN RSA " + "PRIVATE KEY-----"

// keyLines are lines as a key has them, of random bytes.
func keyLines(dice *rand.Rand, n int) []string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	lines := make([]string, n)
	for i := range lines {
		b := make([]byte, 64)
		for j := range b {
			b[j] = digits[dice.IntN(len(digits))]
		}
		lines[i] = string(b)
	}
	return lines
}

// cutsAnEscape reports whether one of `\/` and `\u002B` lies in two pieces of a
// line.
func cutsAnEscape(text string, piece int) bool {
	for line := range strings.SplitSeq(text, "\n") {
		for _, escape := range []string{`\/`, `\u002B`} {
			for at, from := 0, 0; ; from = at + 1 {
				next := strings.Index(line[from:], escape)
				if next < 0 {
					break
				}
				at = from + next
				if at/piece != (at+len(escape)-1)/piece {
					return true
				}
			}
		}
	}
	return false
}

// leaks reports whether eight bytes in a row of a line are shown.
func leaks(shown, line string) bool {
	for i := range len(line) - 7 {
		if strings.Contains(shown, line[i:i+8]) {
			return true
		}
	}
	return false
}

// TestTheQuoteEndsAMention: who only mentions how a key begins hides nothing
// that is outside of the string, and JSON stays JSON.
func TestTheQuoteEndsAMention(t *testing.T) {
	set := mask.New("correct horse battery")
	for text, want := range map[string]string{
		`{"result":"it looks for ` + header + ` in the file","session_id":"x"}`:  `{"result":"it looks for [masked]","session_id":"x"}`,
		`{"a":"` + header + `\n","b":["` + header + `",{"c":1}],"d":null}`:       `{"a":"[masked]","b":["[masked]",{"c":1}],"d":null}`,
		`{"a":"` + header + ` is \"quoted\" \\","b":1}`:                          `{"a":"[masked]","b":1}`,
		`{"a":"{\"b\":\"` + header + `\\n\",\"c\":2}","d":3}`:                    `{"a":"{\"b\":\"[masked]","d":3}`,
		`{"a":"` + header + `","b":"correct horse battery ` + github + `"}`:      `{"a":"[masked]","b":"[masked] [masked]"}`,
		`{"a":"` + header + `","path":"/home/user/projects/service/internal/x"}`: `{"a":"[masked]","path":"/home/user/projects/service/internal/x"}`,
		`{"a":"` + header + `","b":{"c":"-----END RSA PRIVATE KEY-----"}}`:       `{"a":"[masked]","b":{"c":"-----END RSA PRIVATE KEY-----"}}`,
		`{"a":"` + header + ` -----END RSA","b":"-----"}`:                        `{"a":"[masked]","b":"-----"}`,
		`{"a":"-----BEGIN ","b":"PRIVATE KEY-----"}`:                             `{"a":"-----BEGIN ","b":"PRIVATE KEY-----"}`,
		`grep: "` + header + `": no such file`:                                   `grep: "[masked]": no such file`,
		header + " and no quote":                                                 "[masked]",
	} {
		t.Run(fmt.Sprintf("%.30q", text), func(t *testing.T) {
			is := is.New(t)
			is.Equal(set.String(text), want)
			for i := range len(text) + 1 {
				for j := i; j <= len(text); j++ {
					if got, _ := show(set, text, []int{i, j}, false); strings.HasPrefix(text, "{") && !json.Valid([]byte(got)) {
						t.Fatalf("cut at %d and %d: %q", i, j, got)
					}
				}
			}
		})
	}
}

// TestAMentionHidesNoLineAfterIt, as long as that holds nothing like a key.
func TestAMentionHidesNoLineAfterIt(t *testing.T) {
	is := is.New(t)
	s := mask.NewStream(mask.New())
	s.Add(0, []byte(`{"text":"grep for `+header+` first"}`), false)
	for _, line := range []string{
		`{"text":"see /home/user/projects/service/internal/secrets/loader"}`,
		`{"id":"6e57a40c-ddd5-4d35-a23b-5453186726bb","sha":"` + strings.Repeat("0af1", 16) + `"}`,
		`0af1` + strings.Repeat("0af1", 16),
	} {
		is.Equal(string(s.Add(0, []byte(line), false).Masked()), line)
	}
}

func TestALogStaysALog(t *testing.T) {
	is := is.New(t)
	var log strings.Builder
	line := `{"level":"error","error":"unexpected ` + header + ` in input","n":1}` + "\n"
	_, err := mask.NewWriter(&log, mask.New()).Write([]byte(line))
	is.NoErr(err)
	is.Equal(log.String(), `{"level":"error","error":"unexpected [masked]","n":1}`+"\n")
}

// TestAKeyInStringsIsHidden: what stands behind the quote can be more of the key,
// in whatever form it comes.
func TestAKeyInStringsIsHidden(t *testing.T) {
	set := mask.New()
	dice := rand.New(rand.NewPCG(1, 2))
	for name, form := range map[string]func(lines []string) string{
		"Go": func(lines []string) string {
			return "key := \"" + header + "\\n\" +\n\t\"" + strings.Join(lines, "\\n\" +\n\t\"") + "\\n\" +\n\t\"-----END RSA PRIVATE KEY-----\\n\""
		},
		"C": func(lines []string) string {
			return "char *key = \"" + header + "\\n\"\n\"" + strings.Join(lines, "\\n\"\n\"") + "\\n\""
		},
		"on one line": func(lines []string) string {
			return "x(\"" + header + "\\n\" + \"" + strings.Join(lines, "\\n\" + \"") + "\")"
		},
		"an array": func(lines []string) string {
			return "[\"" + header + "\",\"" + strings.Join(lines, "\",\"") + "\",\"-----END RSA PRIVATE KEY-----\"]"
		},
		"an array without its end": func(lines []string) string {
			return "[\"" + header + "\",\"" + strings.Join(lines, "\",\"") + "\",{\"more\":true}]"
		},
		"a log of containers": func(lines []string) string {
			return "{\"log\":\"" + header + "\\n\",\"stream\":\"stdout\"}\n{\"log\":\"" + strings.Join(lines, "\\n\",\"stream\":\"stdout\"}\n{\"log\":\"") + "\\n\",\"stream\":\"stdout\"}"
		},
		"JSON with escapes": func(lines []string) string {
			text := strings.NewReplacer("/", "\\/", "+", "\\u002B").Replace(strings.Join(lines, "\"}\n{\"log\":\""))
			return "{\"log\":\"" + header + "\"}\n{\"log\":\"" + text + "\"}"
		},
		"echoed before": func(lines []string) string {
			return "+ echo \"" + header + "\"\n" + strings.Join(lines, "\n") + "\nQyNTUxOQ==\n-----END RSA PRIVATE KEY-----"
		},
		"in one string, cut off": func(lines []string) string {
			return "{\"content\":\"1\\t" + header + "\\n2\\t" + strings.Join(lines, "\\n3\\t") + "\\n4\\tQyNTUxOQ==\",\"n\":1}"
		},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range 10 {
				lines := keyLines(dice, 5)
				if i == 0 {
					lines[2] = "+/" + lines[2][2:] // what some escape, at its beginning
				}
				text := form(lines)
				for _, piece := range []int{0, 7, 40, 100, 1000} { // no cut, or one each so many bytes
					if piece > 0 && cutsAnEscape(text, piece) {
						continue // that ends a run
					}
					s := mask.NewStream(set)
					var shown strings.Builder
					for line := range strings.SplitSeq(text, "\n") {
						var whole strings.Builder
						var pieces []*mask.Piece
						for from := 0; ; from += piece {
							last := piece == 0 || from+piece >= len(line)
							part := line[from:]
							if !last {
								part = part[:piece]
							}
							pieces = append(pieces, s.Add(0, []byte(part), !last))
							if last {
								break
							}
						}
						for _, p := range pieces {
							whole.Write(p.Masked())
						}
						if json.Valid([]byte(line)) && !json.Valid([]byte(whole.String())) {
							t.Fatalf("in pieces of %d, %s becomes %s", piece, line, whole.String())
						}
						shown.WriteString(whole.String() + "\n")
					}
					for _, line := range append(lines, "QyNTUxOQ==") {
						line = strings.NewReplacer("/", "\\/", "+", "\\u002B").Replace(line)
						if leaks(shown.String(), line) {
							t.Fatalf("in pieces of %d, of\n%s\n%s is shown:\n%s", piece, text, line, shown.String())
						}
					}
					for _, line := range lines {
						if leaks(shown.String(), line) {
							t.Fatalf("in pieces of %d, of\n%s\n%s is shown:\n%s", piece, text, line, shown.String())
						}
					}
				}
			}
		})
	}
}

// FuzzMentions holds that JSON stays JSON, whole and in three pieces, wherever a
// key seems to begin in it. Only an end in another string may change that.
func FuzzMentions(f *testing.F) {
	f.Add("it looks for ", `"quoted" \ text`, "and/So/On/And/So/On/And/So/On/And/So/On", uint16(40), uint16(90))
	f.Add("", "\n\\", "\u2028<b>\x00", uint16(3), uint16(30))
	set := mask.New("correct horse battery")
	f.Fuzz(func(t *testing.T, a, b, c string, i, j uint16) {
		if strings.Contains(a+b+c, "-----") {
			return
		}
		doc, err := json.Marshal(map[string]any{"a": a + header + b, "b": []any{c, header, 1.5e30, nil, map[string]any{b + header: c}}, "c": c})
		if err != nil {
			t.Fatal(err)
		}
		if got := set.Bytes(doc); !json.Valid(got) {
			t.Fatalf("%s becomes %s", doc, got)
		}
		x, y := int(i)%(len(doc)+1), int(j)%(len(doc)+1)
		if got, _ := show(set, string(doc), []int{min(x, y), max(x, y)}, false); !json.Valid([]byte(got)) {
			t.Fatalf("%s cut at %d and %d becomes %s", doc, x, y, got)
		}
	})
}
