package mask

// A shape is what keys of one kind look like: a prefix, and then bytes of one
// set, at least min and at most max of them if that is not zero.
type shape struct {
	prefix   string
	body     *[256]bool
	min, max int
	// word says that no letter or digit comes before it.
	word bool
	// find, if set, tells where the secret ends instead.
	find func(text []byte, i int, more bool) match
}

// shapes are kinds whose prefix makes a mistake unlikely.
var shapes = []shape{
	{prefix: "rdev_sk_", body: &wordly, min: 62},                  // a key of rdev
	{prefix: "sk-ant-", body: &dashed, min: 20},                   // Anthropic
	{prefix: "ghp_", body: &alnum, min: 30},                       // GitHub
	{prefix: "gho_", body: &alnum, min: 30},                       //
	{prefix: "ghu_", body: &alnum, min: 30},                       //
	{prefix: "ghs_", body: &alnum, min: 30},                       //
	{prefix: "ghr_", body: &alnum, min: 30},                       //
	{prefix: "github_pat_", body: &wordly, min: 40},               //
	{prefix: "glpat-", body: &dashed, min: 20},                    // GitLab
	{prefix: "xoxb-", body: &dashed, min: 20},                     // Slack
	{prefix: "xoxp-", body: &dashed, min: 20},                     //
	{prefix: "npm_", body: &alnum, min: 36, word: true},           // npm
	{prefix: "AKIA", body: &upper, min: 16, max: 16, word: true},  // AWS
	{prefix: "ASIA", body: &upper, min: 16, max: 16, word: true},  //
	{prefix: "AIza", body: &dashed, min: 35, max: 35, word: true}, // Google
	{prefix: "eyJ", find: findToken, word: true},                  // JSON web token
	{prefix: blockBegin, find: findBlock},                         // private key
}

var (
	alnum  = set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
	upper  = set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	wordly = set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
	dashed = set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-")
	dotted = set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-.")
	base64 = set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+/=")
)

func set(bytes string) (s [256]bool) {
	for i := range len(bytes) {
		s[bytes[i]] = true
	}
	return s
}

// run returns how many bytes of the set the text begins with, at most that many
// if it is above zero.
func run(text []byte, of *[256]bool, most int) int {
	n := 0
	for n < len(text) && of[text[n]] && (most == 0 || n < most) {
		n++
	}
	return n
}

func (s *shape) match(text []byte, i int, more bool) match {
	if s.word && i > 0 && alnum[text[i-1]] {
		return match{}
	}
	rest := text[i:]
	if n := min(len(rest), len(s.prefix)); string(rest[:n]) != s.prefix[:n] {
		return match{}
	} else if n < len(s.prefix) {
		return match{undecided: more}
	}
	if s.find != nil {
		return s.find(text, i, more)
	}
	body := rest[len(s.prefix):]
	n := run(body, s.body, s.max)
	switch whole := n == len(body); {
	case n < s.min:
		return match{undecided: whole && more}
	case s.max > 0 && whole && more:
		return match{undecided: true} // what follows may show that it is something else
	case s.max > 0 && !whole && alnum[body[n]]:
		return match{}
	case whole && s.max == 0:
		return match{end: len(text), rest: s.body}
	}
	return match{end: i + len(s.prefix) + n}
}

// Parts of a token that are at least, and of its first one that are at most,
// taken for one.
const (
	minTokenPart = 8
	maxTokenHead = 1024
)

// findToken finds a JSON web token: three parts with dots between, of which two
// begin like an object in base64.
func findToken(text []byte, i int, more bool) match {
	head := text[i:]
	n := run(head, &dashed, maxTokenHead+1)
	switch {
	case n > maxTokenHead:
		return match{}
	case n == len(head):
		return match{undecided: more}
	case head[n] != '.' || n < minTokenPart:
		return match{}
	}
	rest := head[n+1:]
	const begin = "eyJ"
	if k := min(len(rest), len(begin)); string(rest[:k]) != begin[:k] {
		return match{}
	} else if k < len(begin) {
		return match{undecided: more}
	}
	n = run(rest, &dotted, 0)
	if i+len(head)-len(rest)+n == len(text) {
		// Enough of it is there to be sure; the dot at the end of a sentence
		// goes with it.
		return match{end: len(text), rest: &dotted}
	}
	return match{end: len(text) - len(rest) + n}
}
