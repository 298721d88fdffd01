package policy

// gitEnv returns the environment that every git command gets. It takes what a
// repository's configuration could run, and what could ask a person, out of
// git's reach.
func gitEnv(level Level) map[string]string {
	env := map[string]string{
		"GIT_ALLOW_PROTOCOL":    "https:ssh", // neither ext:: nor other folders
		"GIT_ASKPASS":           "",          // set and empty: core.askPass is not looked at
		"GIT_EDITOR":            ":",
		"GIT_LITERAL_PATHSPECS": "1",
		"GIT_PAGER":             "cat",
		"GIT_SEQUENCE_EDITOR":   ":",
		"GIT_TERMINAL_PROMPT":   "0",
		"LC_ALL":                "C",
	}
	if level == Strict {
		env["GIT_CONFIG_GLOBAL"] = "/dev/null"
		env["GIT_CONFIG_NOSYSTEM"] = "1"
	}
	return env
}

// gitConfig returns the options that come before every subcommand. They win
// over every configuration file. In level Strict the target's own
// configuration (identity, credential helpers, safe folders) does not count
// either; in the others it belongs to whoever made the target, and commits and
// private remotes need it.
//
// There is no diff.external= here: an empty one makes every git diff fail. That
// and textconv are turned off by options of the subcommands that have them, and
// what makes others show a diff is turned off here.
//
// What git has no switch for, because it has a name of the repository's choice,
// is left: filters (filter.*.clean, smudge, process), merge drivers
// (merge.*.driver), and beyond Strict credential helpers. So are the commands in
// the state of a rebase that a repository comes with, which rebase --continue
// goes on with. TestGitOfAHostileRepository has them all.
func gitConfig(level Level) []string {
	settings := []string{
		"core.fsmonitor=false",
		"core.hooksPath=/dev/null",
		"core.sshCommand=ssh",
		"core.pager=cat",
		"core.editor=:",
		"core.askPass=",
		"core.alternateRefsCommand=true", // an empty one would run the alternate itself
		"protocol.ext.allow=never",
		// Signing and checking signatures run programs of the configuration.
		"commit.gpgSign=false",
		"tag.gpgSign=false",
		"tag.forceSignAnnotated=false",
		"push.gpgSign=false",
		"log.showSignature=false",
		"merge.verifySignatures=false",
		"gpg.program=gpg",
		"gpg.openpgp.program=gpg",
		"gpg.ssh.program=ssh-keygen",
		"gpg.x509.program=gpgsm",
		"gpg.ssh.defaultKeyCommand=",
		// A commit that shows its diff does so by textconv, and a diff that shows
		// that of a submodule by what the submodule configures.
		"commit.verbose=false",
		"diff.submodule=short",
		// Submodules bring configurations of their own.
		"submodule.recurse=false",
		"fetch.recurseSubmodules=false",
		"push.recurseSubmodules=no",
		// A repack in the background would be killed with the command.
		"gc.auto=0",
		"maintenance.auto=false",
	}
	// Hooks can stand in the configuration, too, from git 2.54 on.
	for _, event := range gitHooks() {
		settings = append(settings, "hook."+event+".enabled=false")
	}
	if level == Strict {
		settings = append(settings, "credential.helper=")
	}
	argv := make([]string, 0, 2*len(settings))
	for _, setting := range settings {
		argv = append(argv, "-c", setting)
	}
	return argv
}

// gitHooks are the events of the subcommands in the table.
func gitHooks() []string {
	return []string{
		"applypatch-msg", "pre-applypatch", "post-applypatch", "pre-commit", "pre-merge-commit", "prepare-commit-msg", "commit-msg", "post-commit",
		"pre-rebase", "post-rewrite", "post-checkout", "post-merge", "pre-push", "pre-auto-gc", "reference-transaction", "post-index-change",
	}
}
