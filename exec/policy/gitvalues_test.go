package policy_test

import (
	"os/exec"
	"testing"

	"github.com/orchard9/rdev/exec/policy"
)

func TestGitValues(t *testing.T) {
	for kind, values := range map[string]struct{ good, bad []string }{
		"rev": {
			[]string{"HEAD", "main", "HEAD~2^", "feature/x-1", "v1.0", "main..feature", "main...feature", "..main", "main..", "^main", "main@{upstream}", "HEAD@{2 days ago}", "@{u}", "HEAD^{tree}", "HEAD:a/b.c", "HEAD:file with space", "a1b2c3d", "refs/heads/main", "é", "@", "stash@{0}", "HEAD:", "HEAD^{/fix..me}"},
			[]string{"", "-x", "--output=x", "..", "...", "^", "^-x", "a..-x", "/etc/passwd", "../x", ".", "./x", "a//b", "a/", "a b", "a\tb", "a\nb", "HEAD:../x", "HEAD:a/../../b", "HEAD:\x01", "a*", "a?", "a[b", `a\b`, "a{b}", "HEAD@{", "}", ":x", ":/x", "a..b..c", "a/../b", "\x7f"},
		},
		"refs":    {[]string{"v*", "refs/heads/*", "main", "v1.?"}, []string{"", "-x", "../*", "/x*"}},
		"branch":  {[]string{"main", "feature/x-1", "v1.0", "é", "a.b", "a@b"}, []string{"", "-x", "@", "a..b", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[", `a\`, "a//b", "/a", "a/", ".a", "a/.b", "a.lock", "a.lock/b", "a.", "a@{b", "a\x01"}},
		"path":    {[]string{"a", "a/b c", "-x", ".", "a/..b", "*.go", ":(top)x", "a..b"}, []string{"", "/a", "..", "../a", "a/../b", "a/.."}},
		"number":  {[]string{"0", "42"}, []string{"", "-1", "1x", "1 ", "1234567890"}},
		"word":    {[]string{"x", "a.b:c", "50%"[:2]}, []string{"", "a b", "a;b"}},
		"text":    {[]string{"", "-x", "a; b"}, nil},
		"key":     {[]string{"user.name", "remote.origin.url"}, []string{"", "edit", "-l", "alias.x y", ".x"}},
		"stash":   {[]string{"0", "stash@{1}"}, []string{"", "-x"}},
		"a|b":     {[]string{"a", "b"}, []string{"", "c", "a|b", "A"}},
		"pattern": {[]string{"x", "a;b", "*"}, []string{"", "-x"}},
		"remote":  {[]string{"origin", "up/stream", "a.b"}, []string{"", "-x", "ext::x", "a b", "/x", "../x", "./x", "é"}},
		"source":  {[]string{"origin", "https://example.com/a.git", "git@example.com:a/b.git"}, []string{"", "-x", "/x", "../x", "http://a/b"}},
		"url": {
			[]string{"https://example.com/a/b.git", "https://user:pw@example.com:8443/a", "ssh://git@example.com:22/a/b", "git@example.com:a/b.git", "https://example.com"},
			[]string{"", "example.com", "http://a/b", "git://a/b", "file:///a", "/a", "../a", "ext::sh -c x", "fd::3", "ssh://-oProxyCommand=x/y", "ssh://a@-oX/y", "ssh:///x", "https://", "-a@b:c", "a@-b:c", "a@b:-c", "a@b:/-c", "a@b:", "@b:c", "a/b@c:d", "ssh://host/-x", "https://a b/c", "https://a/b;c", "https://a/b\n", "HTTPS://a/b", "ssh://:22/x", "ssh://a@/x", "https://.x/y"},
		},
		"refspec": {[]string{"main", "+main", "main:main", "refs/heads/*:refs/remotes/o/*", ":old", "HEAD:refs/heads/x", "tag"}, []string{"", ":", "+", "-x", "a:-x", "a:", "a b", "a:b:../c", "**", "../x", "a:/x"}},
	} {
		for _, value := range values.good {
			if problem := policy.CheckValue(kind, value); problem != "" {
				t.Errorf("%s %q: %s", kind, value, problem)
			}
		}
		for _, value := range values.bad {
			if policy.CheckValue(kind, value) == "" {
				t.Errorf("%s %q is accepted", kind, value)
			}
		}
	}
}

// TestBranchNamesAreThoseOfGit compares with git check-ref-format. That takes @
// for HEAD, which no branch should be named.
func TestBranchNamesAreThoseOfGit(t *testing.T) {
	for _, name := range []string{"a", "a/b", "a.b", "a..b", ".a", "a.", "a.lock", "a.lock/b", "a b", "a~b", "a^b", "a:b", "a?b", "a*b", "a[b", `a\b`, "a@b", "a@{b", "a{b", "-a", "a-", "a//b", "/a", "a/", "é", "a\x01b", "a\x7f", "", "a;b", "a$b", "a(b", "a'b", "a/@", "@/a", "a%b", "a!b", "a|b", "a&b", "a<b"} {
		theirs := exec.Command("git", "check-ref-format", "--branch", name).Run() == nil
		ours := policy.CheckValue("branch", name) == ""
		if ours != theirs {
			t.Errorf("%q: git says %v, the policy %v", name, theirs, ours)
		}
	}
}
