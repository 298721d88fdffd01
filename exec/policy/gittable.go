package policy

import "strings"

// A gitCommand is the entry of a subcommand.
type gitCommand struct {
	known    bool
	forced   []string // come before what the caller gives
	options  []gitOption
	operands []string // kinds of values, by position; the last may end in "..."
	paths    bool     // paths may follow a --
	verbs    map[string]gitCommand
}

// A gitOption is one option in exactly one form.
type gitOption struct {
	name string
	form optionForm
	kind string // of its value
}

type optionForm uint8

const (
	noValue       optionForm = iota // --all
	joinedValue                     // --max-count=<number>
	optionalValue                   // --color[=<always|never>]
	separateValue                   // -n <number>
)

// git makes an entry. The options are written one a line or with commas between
// them, as in git's own manual; -<number> stands for -1, -2, ….
func git(options string, operands ...string) gitCommand {
	c := gitCommand{known: true, operands: operands, paths: false}
	for text := range strings.FieldsFuncSeq(options, func(r rune) bool { return r == ',' || r == '\n' }) {
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		option := gitOption{name: text}
		if open := strings.IndexByte(text, '<'); open > 0 && text != "-<number>" {
			option.kind = strings.TrimRight(text[open+1:], ">]")
			switch name := text[:open]; {
			case strings.HasSuffix(name, "[="):
				option.name, option.form = name[:open-2], optionalValue
			case strings.HasSuffix(name, "="):
				option.name, option.form = name[:open-1], joinedValue
			default:
				option.name, option.form = strings.TrimSpace(name), separateValue
			}
		}
		c.options = append(c.options, option)
	}
	return c
}

// withPaths lets paths follow a --.
func (c gitCommand) withPaths() gitCommand {
	c.paths = true
	return c
}

// asDiff turns off the programs that a repository configures for diffs.
func (c gitCommand) asDiff() gitCommand {
	c.forced = []string{"--no-ext-diff", "--no-textconv"}
	return c
}

func (c gitCommand) withVerbs(verbs map[string]gitCommand) gitCommand {
	c.verbs = verbs
	return c
}

const diffOptions = `
	-p, -u, --patch, -s, --no-patch, --raw, --stat, --stat=<word>, --numstat, --shortstat, --dirstat, --summary
	--name-only, --name-status, --compact-summary, --patch-with-stat, --check, -z
	-w, -b, --ignore-all-space, --ignore-space-change, --ignore-space-at-eol, --ignore-blank-lines
	--color[=<always|never|auto>], --no-color, --word-diff[=<color|plain|porcelain|none>], --color-words
	--unified=<number>, --function-context, --minimal, --patience, --histogram, --diff-algorithm=<patience|minimal|histogram|myers|default>
	--find-renames[=<word>], --find-copies[=<word>], -M, -C, --no-renames, --diff-filter=<word>, -R
	--binary, --full-index, --abbrev[=<number>], --exit-code, --relative, --no-prefix, --text
	-S <text>, -G <text>, --pickaxe-regex, --no-ext-diff, --no-textconv, --cc, --submodule=<short|log>`

const revisionOptions = `
	-<number>, -n <number>, --max-count=<number>, --skip=<number>, --all, --branches, --tags, --remotes
	--since=<text>, --after=<text>, --until=<text>, --before=<text>, --author=<text>, --committer=<text>
	--grep=<text>, --invert-grep, --all-match, -i, --regexp-ignore-case, -E, --extended-regexp, -F, --fixed-strings
	--merges, --no-merges, --first-parent, --reverse, --topo-order, --date-order, --author-date-order
	--ancestry-path, --simplify-by-decoration, --full-history, --boundary, --left-right, --cherry-pick, --cherry-mark
	--left-only, --right-only, --not, --no-walk, --walk-reflogs, -g, --abbrev-commit, --no-abbrev-commit, --parents, --children`

const logOptions = revisionOptions + diffOptions + `
	--oneline, --graph, --decorate[=<short|full|auto|no>], --no-decorate, --pretty[=<text>], --format=<text>
	--date=<text>, --relative-date, --follow, --source, --show-notes, --no-notes, -m, -c, --no-mailmap, --use-mailmap, --encoding=<word>`

const mergeOptions = `
	-q, --quiet, -v, --verbose, --ff, --no-ff, --ff-only, --squash, --no-squash, --commit, --no-commit, --no-edit
	--stat, --no-stat, -n, --allow-unrelated-histories, --autostash, --no-autostash
	--strategy=<ort|recursive|resolve|ours|subtree>, --strategy-option=<ours|theirs|patience>, -X <ours|theirs|patience>`

// gitCommandOf returns the entry of a subcommand. What is not in here is
// refused: above all what runs programs (difftool, filter-branch, bisect run,
// submodule, rebase --exec, grep --open-files-in-pager), what writes files
// anywhere (--output, archive, bundle), what reads options and paths from files,
// and what changes the configuration.
func gitCommandOf(name string) (gitCommand, bool) {
	c := gitReading(name)
	if !c.known {
		c = gitWriting(name)
	}
	if !c.known {
		c = gitRemote(name)
	}
	return c, c.known
}

// gitReading has the subcommands that change nothing.
func gitReading(name string) gitCommand {
	switch name {
	case "status":
		return git(`-s, --short, -b, --branch, -sb, --porcelain[=<v1|v2>], --long, -z, --show-stash, --ahead-behind, --no-ahead-behind
			-u, -uno, -unormal, -uall, --untracked-files[=<no|normal|all>], --ignored[=<traditional|no|matching>], --ignore-submodules[=<none|untracked|dirty|all>]
			--column, --no-column, --renames, --no-renames`, "path...").withPaths()
	case "diff":
		return git(diffOptions+`, --cached, --staged, --quiet`, "rev...").withPaths().asDiff()
	case "diff-tree":
		return git(diffOptions+`, -r, -t, --root, --no-commit-id, --pretty[=<text>]`, "rev...").withPaths().asDiff()
	case "log":
		return git(logOptions, "rev...").withPaths().asDiff()
	case "show":
		return git(logOptions, "rev...").withPaths().asDiff()
	case "reflog":
		show := git(logOptions, "rev...").asDiff()
		bare := show
		bare.forced = append([]string{"show"}, show.forced...) // options are show's alone
		return bare.withVerbs(map[string]gitCommand{"show": show})
	case "rev-list":
		return git(revisionOptions+`, --count, --oneline, --objects, --pretty[=<text>], --format=<text>, --timestamp, --disk-usage`, "rev...").withPaths()
	case "shortlog":
		return git(`-s, --summary, -n, --numbered, -sn, -e, --email, -sne, --group=<author|committer>, --all, --branches, --tags, --remotes, --merges, --no-merges
			--since=<text>, --after=<text>, --until=<text>, --before=<text>, --author=<text>, --grep=<text>, --first-parent`, "rev...").withPaths()
	case "blame":
		c := git(`-w, -M, -C, -e, --show-email, -l, -t, -s, -f, --show-name, -n, --show-number, -p, --porcelain, --line-porcelain
			--date=<text>, -L <text>, --since=<text>, --root, --first-parent, --abbrev=<number>`, "rev").withPaths()
		c.forced = []string{"--no-textconv"}
		return c
	case "grep":
		return git(`-n, --line-number, -i, --ignore-case, -l, --files-with-matches, --name-only, -L, --files-without-match, -c, --count
			-w, --word-regexp, -v, --invert-match, -E, --extended-regexp, -F, --fixed-strings, -G, --basic-regexp, -h, -H, -o, --only-matching
			-q, --quiet, -a, --text, -I, --cached, --untracked, --no-color, --color[=<always|never|auto>], --heading, --break, -p, --show-function
			--column, --full-name, -z, --null, --max-depth=<number>, --max-count=<number>, --context=<number>, --after-context=<number>, --before-context=<number>
			-in, -rn, -nr`, "pattern", "rev...").withPaths()
	case "ls-files":
		return git(`-c, --cached, -d, --deleted, -m, --modified, -o, --others, -i, --ignored, -s, --stage, -u, --unmerged, -k, --killed, -z, -t, -v
			--exclude-standard, --full-name, --directory, --no-empty-directory, --error-unmatch, --eol, --deduplicate, --abbrev[=<number>]`, "path...").withPaths()
	case "ls-tree":
		return git(`-d, -r, -t, -l, --long, -z, --name-only, --name-status, --full-name, --full-tree, --abbrev[=<number>], --object-only, --format=<text>`, "rev").withPaths()
	case "rev-parse":
		return git(`--verify, -q, --quiet, --short, --short=<number>, --abbrev-ref, --abbrev-ref=<strict|loose>, --symbolic-full-name, --symbolic, --all, --branches, --tags, --remotes
			--show-toplevel, --show-prefix, --show-cdup, --git-dir, --absolute-git-dir, --git-common-dir, --is-inside-work-tree, --is-inside-git-dir
			--is-bare-repository, --is-shallow-repository, --show-superproject-working-tree, --show-object-format`, "rev...")
	case "describe":
		return git(`--tags, --all, --always, --long, --dirty, --dirty=<word>, --broken, --contains, --exact-match, --first-parent, --abbrev=<number>, --candidates=<number>, --match=<text>, --exclude=<text>`, "rev...")
	case "cat-file":
		return git(`-t, -s, -p, -e`, "rev")
	case "name-rev":
		return git(`--name-only, --tags, --always, --no-undefined`, "rev...")
	case "merge-base":
		return git(`-a, --all, --octopus, --independent, --is-ancestor, --fork-point`, "rev...")
	case "for-each-ref":
		return git(`--count=<number>, --sort=<text>, --format=<text>, --points-at=<rev>, --merged[=<rev>], --no-merged[=<rev>], --contains[=<rev>], --no-contains[=<rev>], --ignore-case`, "refs...")
	case "show-ref":
		return git(`--head, --heads, --tags, -d, --dereference, -s, --hash, --hash=<number>, --verify, -q, --quiet, --abbrev[=<number>]`, "refs...")
	case "check-ignore":
		return git(`-q, --quiet, -v, --verbose, -n, --non-matching, --no-index`, "path...").withPaths()
	case "cherry":
		return git(`-v, --abbrev[=<number>]`, "rev...")
	case "count-objects":
		return git(`-v, --verbose, -H, --human-readable`)
	case "config": // with one operand it only reads
		return git(`--get, --get-all, -l, --list, --local, --show-origin, --show-scope, --name-only, -z, --null, --type=<bool|int|path|bool-or-int>`, "key")
	case "version":
		return git(`--build-options`)
	}
	return gitCommand{}
}

// gitWriting has the subcommands that change the repository.
func gitWriting(name string) gitCommand {
	switch name {
	case "add", "stage":
		return git(`-A, --all, -u, --update, -n, --dry-run, -v, --verbose, -f, --force, -N, --intent-to-add, --no-all, --refresh, --ignore-errors, --renormalize, --chmod=<+x|-x>`, "path...").withPaths()
	case "rm":
		return git(`-r, -f, --force, -n, --dry-run, --cached, -q, --quiet, --ignore-unmatch, -rf`, "path...").withPaths()
	case "mv":
		return git(`-f, --force, -k, -n, --dry-run, -v, --verbose`, "path...").withPaths()
	case "clean":
		return git(`-n, --dry-run, -d, -f, --force, -q, --quiet, -x, -X, -fd, -df, -nd, -dn, -fdx, -ndx`, "path...").withPaths()
	case "commit":
		return git(`-m <message>, --message <message>, --message=<message>, -am <message>, -a, --all, --amend, --no-edit, --allow-empty, --allow-empty-message, -q, --quiet
			-s, --signoff, --no-signoff, -n, --no-verify, --verify, --author=<text>, --date=<text>, --dry-run, --short, --porcelain, -o, --only, -i, --include
			--fixup=<rev>, --squash=<rev>, --reset-author, -C <rev>, --reuse-message=<rev>, --cleanup=<strip|whitespace|verbatim|scissors|default>, --no-post-rewrite, --no-status`, "path...").withPaths()
	case "reset":
		return git(`--soft, --mixed, --hard, --merge, --keep, -q, --quiet, --no-quiet, -N, --intent-to-add`, "rev").withPaths()
	case "restore":
		return git(`--source=<rev>, -s <rev>, -S, --staged, -W, --worktree, -q, --quiet, --ours, --theirs, --merge, -m, --overlay, --no-overlay, -SW`, "path...").withPaths()
	case "checkout":
		return git(`-, -b <branch>, -B <branch>, --orphan <branch>, -d, --detach, -f, --force, -q, --quiet, -t, --track, --no-track, -m, --merge, --ours, --theirs
			--guess, --no-guess, --progress, --no-progress, --ignore-other-worktrees`, "rev...").withPaths()
	case "switch":
		return git(`-, -c <branch>, --create <branch>, -C <branch>, --force-create <branch>, --orphan <branch>, -d, --detach, -f, --force, --discard-changes, -m, --merge
			-q, --quiet, -t, --track, --no-track, --guess, --no-guess, --progress, --no-progress`, "rev...")
	case "branch":
		return git(`-a, --all, -r, --remotes, -l, --list, -v, -vv, -av, -avv, -rv, -d, --delete, -D, -m, --move, -M, -c, --copy, -C, -f, --force, -q, --quiet, -t, --track, --no-track
			--show-current, --merged[=<rev>], --no-merged[=<rev>], --contains[=<rev>], --no-contains[=<rev>], --points-at=<rev>, --sort=<text>, --format=<text>
			-u <rev>, --set-upstream-to=<rev>, --unset-upstream, --no-color, --color[=<always|never|auto>], --column, --no-column, --abbrev=<number>, --no-abbrev`, "refs...")
	case "tag":
		return git(`-l, --list, -n, -a, --annotate, -m <message>, --message=<message>, -am <message>, -d, --delete, -f, --force, --no-sign
			--sort=<text>, --format=<text>, --merged[=<rev>], --no-merged[=<rev>], --contains[=<rev>], --no-contains[=<rev>], --points-at=<rev>, --column, --no-column`, "refs...")
	case "merge":
		return git(mergeOptions+`, -m <message>, --abort, --continue, --quit`, "rev...")
	case "rebase":
		return git(`-q, --quiet, -v, --verbose, --onto=<rev>, --onto <rev>, --continue, --abort, --skip, --quit, --autostash, --no-autostash, --root, --keep-base
			--fork-point, --no-fork-point, -f, --force-rebase, --no-ff, --stat, --no-stat, -n, --rebase-merges, --no-rebase-merges, --autosquash, --no-autosquash
			--update-refs, --no-update-refs, --committer-date-is-author-date, --reset-author-date, --strategy-option=<ours|theirs|patience>, -X <ours|theirs|patience>`, "rev", "rev")
	case "cherry-pick":
		return git(`-n, --no-commit, -x, -s, --signoff, --ff, --continue, --abort, --skip, --quit, --allow-empty, --keep-redundant-commits, -m <number>, --mainline=<number>
			--strategy-option=<ours|theirs|patience>, -X <ours|theirs|patience>`, "rev...")
	case "revert":
		return git(`-n, --no-commit, --no-edit, -s, --signoff, --continue, --abort, --skip, --quit, -m <number>, --mainline=<number>
			--strategy-option=<ours|theirs|patience>, -X <ours|theirs|patience>`, "rev...")
	case "stash":
		push := git(`-q, --quiet, -u, --include-untracked, -a, --all, -k, --keep-index, --no-keep-index, -S, --staged, -m <message>, --message=<message>`, "path...").withPaths()
		apply := git(`--index, -q, --quiet`, "stash")
		bare := git(`-q, --quiet, -u, --include-untracked, -a, --all, -k, --keep-index, --no-keep-index, -S, --staged, -m <message>, --message=<message>`)
		return bare.withVerbs(map[string]gitCommand{
			"push": push, "save": git(`-q, --quiet, -u, --include-untracked`, "pattern..."),
			"list": git(logOptions).asDiff(), "show": git(diffOptions+`, --include-untracked`, "stash").asDiff(),
			"pop": apply, "apply": apply, "drop": git(`-q, --quiet`, "stash"), "clear": git(``),
			"branch": git(``, "branch", "stash"),
		})
	case "init":
		return git(`-q, --quiet, --bare, -b <branch>, --initial-branch=<branch>`, "path")
	}
	return gitCommand{}
}

// gitRemote has the subcommands that talk to other repositories.
func gitRemote(name string) gitCommand {
	switch name {
	case "fetch":
		return git(`--all, -a, --append, -q, --quiet, -v, --verbose, -p, --prune, -P, --prune-tags, -t, --tags, -n, --no-tags, -f, --force, -k, --keep, --dry-run, --atomic
			--depth=<number>, --deepen=<number>, --unshallow, --shallow-since=<text>, --progress, --no-progress, -4, --ipv4, -6, --ipv6, --set-upstream
			--no-recurse-submodules, --jobs=<number>, --no-auto-maintenance, --filter=<blob:none|tree:0>`, "source", "refspec...")
	case "pull":
		return git(mergeOptions+`, --rebase[=<true|false|merges>], --no-rebase, -r, -p, --prune, -t, --tags, --no-tags, -f, --force, --all, --dry-run, --depth=<number>, --unshallow
			--progress, --no-progress, --set-upstream, --no-recurse-submodules`, "source", "refspec...")
	case "push":
		return git(`-q, --quiet, -v, --verbose, -n, --dry-run, --porcelain, -f, --force, --force-with-lease, --force-if-includes, -d, --delete, --all, --tags, --follow-tags, --prune
			-u, --set-upstream, --atomic, --no-verify, --verify, --progress, --no-progress, --no-signed, --thin, --no-thin, -4, --ipv4, -6, --ipv6`, "source", "refspec...")
	case "ls-remote":
		return git(`-h, --heads, -t, --tags, --refs, -q, --quiet, --exit-code, --get-url, --symref, --sort=<text>`, "source", "refs...")
	case "clone":
		return git(`-q, --quiet, -v, --verbose, --progress, -n, --no-checkout, --bare, --mirror, --depth=<number>, --depth <number>, --shallow-since=<text>, --single-branch, --no-single-branch
			--no-tags, -b <branch>, --branch=<branch>, --branch <branch>, -o <remote>, --origin=<remote>, --filter=<blob:none|tree:0>, --sparse, --jobs=<number>, -4, --ipv4, -6, --ipv6`, "url", "path")
	case "remote":
		return git(`-v, --verbose`).withVerbs(map[string]gitCommand{
			"show":    git(`-n`, "remote..."),
			"get-url": git(`--all, --push`, "remote"),
			"prune":   git(`-n, --dry-run`, "remote..."),
			"update":  git(`-p, --prune`, "remote..."),
			"add":     git(`-f, -t <branch>, --tags, --no-tags`, "remote", "url"),
			"set-url": git(`--add, --push`, "remote", "url"),
			"remove":  git(``, "remote"), "rm": git(``, "remote"),
			"rename": git(`--no-progress`, "remote", "remote"),
		})
	case "worktree":
		return git(``).withVerbs(map[string]gitCommand{"list": git(`--porcelain, -v, --verbose, -z`), "prune": git(`-n, --dry-run, -v, --verbose`)})
	}
	return gitCommand{}
}
