package main

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/orchard9/rdev/auth"
)

// Config is every setting of rdev. The tags say all there is to know of a
// setting; flags, RDEV_* variables, --print-config and the documentation are
// made from them:
//
//	koanf    its name in the file; RDEV_ and that in capitals is the variable
//	default  what holds if nothing else says it
//	flag     its flag, if it has one
//	short    the letter for that, if it has one
//	for      the part of the program that it is for: client, or serve
//	help     one line for people, without the full stop
type Config struct {
	Server     string      `koanf:"server" flag:"server" for:"client" help:"URL of the server to talk to; empty: the one on this machine, else http://127.0.0.1:8080"`
	APIKey     auth.Secret `koanf:"api_key" for:"client" help:"key to talk to the server with"`
	APIKeyFile string      `koanf:"api_key_file" for:"client" help:"file that holds the key; empty: admin.key in data_dir, for the server that runs from there"`
	Output     string      `koanf:"output" default:"text" flag:"output" short:"o" for:"client" help:"what to print: text, json or jsonl"`

	Addr            string        `koanf:"addr" default:"127.0.0.1:8080" flag:"addr" for:"serve" help:"address to listen on; port 0 takes a free one"`
	DataDir         string        `koanf:"data_dir" flag:"data-dir" for:"serve" help:"folder for the database, the output of commands and admin.key; empty: rdev in your data folder"`
	Projects        []string      `koanf:"projects" flag:"project" for:"serve" help:"projects, as name=path or path; empty: the current folder"`
	TLSCertFile     string        `koanf:"tls_cert_file" flag:"tls-cert-file" for:"serve" help:"file with the certificate to serve HTTPS with, and those between it and its root, PEM; read again when it has changed; empty: plain HTTP"`
	TLSKeyFile      string        `koanf:"tls_key_file" flag:"tls-key-file" for:"serve" help:"file with the key of the certificate, PEM"`
	Executor        string        `koanf:"executor" default:"local" flag:"executor" for:"serve" help:"where commands run: local, in folders on this machine, or kubernetes, in pods that are labelled as projects"`
	Namespace       string        `koanf:"namespace" flag:"namespace" for:"serve" help:"namespace of the pods; empty: that of the kubeconfig, or rdev's own"`
	Kubeconfig      string        `koanf:"kubeconfig" flag:"kubeconfig" for:"serve" help:"file that says how to reach the cluster; empty: the cluster that rdev runs in, else as kubectl"`
	AdminKey        auth.Secret   `koanf:"admin_key" for:"serve" help:"key that may do everything, at least 32 characters; never stored. Without it a key is made at the first start"`
	AdminKeyFile    string        `koanf:"admin_key_file" for:"serve" help:"file that holds the admin key"`
	AdminAddresses  []string      `koanf:"admin_addresses" for:"serve" help:"addresses and prefixes that the admin key works from, such as 10.0.0.0/8; empty: any"`
	TrustedProxies  []string      `koanf:"trusted_proxies" for:"serve" help:"addresses and prefixes of the proxies before the server, whose X-Forwarded-For says where a request comes from; empty: none"`
	Peppers         auth.Secret   `koanf:"peppers" for:"serve" help:"secrets that go into the hashes of keys, as id:secret, the newest first, with commas between"`
	PepperFile      string        `koanf:"pepper_file" for:"serve" help:"file that holds the peppers, one id:secret a line, the newest first; empty: none"`
	OnKeyEnd        string        `koanf:"on_key_end" default:"cancel" flag:"on-key-end" for:"serve" help:"what happens to the running commands of a key that is revoked, expires, or is narrowed so that it could not start them any more: cancel or leave"`
	KeyExpiryWarn   time.Duration `koanf:"key_expiry_warning" default:"168h" flag:"key-expiry-warning" for:"serve" help:"how long before a key expires the answers to it begin to say so"`
	OnShutdown      string        `koanf:"on_shutdown" default:"cancel" flag:"on-shutdown" for:"serve" help:"what happens to running commands when the server stops: cancel or leave"`
	ShutdownTimeout time.Duration `koanf:"shutdown_timeout" default:"30s" flag:"shutdown-timeout" for:"serve" help:"how long the server waits at its end for commands and readers"`
	Policy          string        `koanf:"policy" default:"restricted" flag:"policy" for:"serve" help:"what commands may be: strict, restricted (one program with its arguments, no shell) or permissive (a shell too, for keys with the scope commands:shell:unrestricted)"`
	ProjectPolicies []string      `koanf:"project_policies" flag:"project-policy" for:"serve" help:"policies of single folders, as name=policy; a pod has its own in the ConfigMap"`
	StrictPrograms  []string      `koanf:"strict_programs" flag:"strict-program" for:"serve" help:"programs that may run where the policy is strict, besides git and claude"`
	DefaultTimeout  time.Duration `koanf:"default_timeout" default:"1h" flag:"default-timeout" for:"serve" help:"time limit of a command that asks for none"`
	MaxTimeout      time.Duration `koanf:"max_timeout" default:"24h" flag:"max-timeout" for:"serve" help:"longest time limit that a command may ask for"`
	MaxOutput       int64         `koanf:"max_output" default:"268435456" flag:"max-output" for:"serve" help:"bytes of output that are kept of one command"`
	ClaudeGrace     time.Duration `koanf:"claude_grace" default:"10s" flag:"claude-grace" for:"serve" help:"how long claude may stay silent after its result before it is ended"`
	KeepFor         time.Duration `koanf:"keep_for" default:"168h" flag:"keep-for" for:"serve" help:"how long the output of ended commands is kept"`
	KeepBytes       int64         `koanf:"keep_bytes" default:"1073741824" flag:"keep-bytes" for:"serve" help:"bytes of output that are kept over all commands; the oldest goes first"`
	AuditKeepFor    time.Duration `koanf:"audit_keep_for" default:"8760h" flag:"audit-keep-for" for:"serve" help:"how long rows of the audit log are kept"`
	MaskFiles       []string      `koanf:"mask_files" for:"serve" help:"files with values, one a line, that are masked in output, records, the audit log and the log"`
	MetricsAddr     string        `koanf:"metrics_addr" flag:"metrics-addr" for:"serve" help:"address for Prometheus metrics at /metrics, without a key; empty: none"`
	LogLevel        string        `koanf:"log_level" default:"info" flag:"log-level" for:"serve" help:"least important message that is logged: debug, info, warn or error"`
	LogFormat       string        `koanf:"log_format" default:"auto" flag:"log-format" for:"serve" help:"console, json, or auto: console on a terminal"`

	RequestsPerMinute     int64         `koanf:"requests_per_minute" default:"100" flag:"requests-per-minute" for:"serve" help:"requests that a key may make in a minute; 0: no limit"`
	RequestBurst          int64         `koanf:"request_burst" default:"0" flag:"request-burst" for:"serve" help:"how many of them at once; 0: all"`
	FailedLoginsPerMinute int64         `koanf:"failed_logins_per_minute" default:"10" flag:"failed-logins-per-minute" for:"serve" help:"keys that do not work that an address may send in a minute; 0: no limit"`
	StreamsPerKey         int64         `koanf:"streams_per_key" default:"100" flag:"streams-per-key" for:"serve" help:"streams that a key may have open at once; 0: no limit"`
	ProjectCommands       int64         `koanf:"project_commands" default:"100" flag:"project-commands" for:"serve" help:"commands that may run in a project at once; 0: no limit"`
	KeyCommands           int64         `koanf:"key_commands" default:"50" flag:"key-commands" for:"serve" help:"commands of a key that may run at once; 0: no limit"`
	Queue                 int64         `koanf:"queue" default:"100" flag:"queue" for:"serve" help:"commands that may wait for a place in a project, half of them of one key"`
	LongestWait           time.Duration `koanf:"longest_wait" default:"10m" flag:"longest-wait" for:"serve" help:"longest time that a command may wait for a place"`

	DatabaseURL       auth.Secret `koanf:"database_url" for:"serve" help:"Postgres that keeps everything and that several servers may share, as postgres://user:password@host/name?sslmode=verify-full; empty: a file in data_dir"`
	DatabaseListenURL auth.Secret `koanf:"database_listen_url" for:"serve" help:"the same database without a pooler between, for LISTEN and migrations; empty: database_url"`
	DatabasePooled    bool        `koanf:"database_pooled" default:"false" for:"serve" help:"whether database_url leads to a pooler in transaction mode, such as PgBouncer: true or false"`
	DatabasePoolSize  int64       `koanf:"database_pool_size" default:"10" for:"serve" help:"connections to the database at most, besides one for LISTEN; at least 5"`
}

// A setting is what the tags of one field of Config say.
type setting struct {
	key      string // in the file
	flag     string // empty: has none
	short    string
	fallback string // its default
	scope    string // client or serve
	help     string
	secret   bool // not to be printed; from the environment alone
	kind     reflect.Type
	index    int
}

// env is the variable that holds the setting.
func (s setting) env() string { return "RDEV_" + strings.ToUpper(s.key) }

// settings returns all settings in the order of Config.
func settings() []setting {
	config := reflect.TypeFor[Config]()
	all := make([]setting, 0, config.NumField())
	for i := range config.NumField() {
		f := config.Field(i)
		all = append(all, setting{
			key:      f.Tag.Get("koanf"),
			flag:     f.Tag.Get("flag"),
			short:    f.Tag.Get("short"),
			fallback: f.Tag.Get("default"),
			scope:    f.Tag.Get("for"),
			help:     f.Tag.Get("help"),
			secret:   f.Type == reflect.TypeFor[auth.Secret](),
			kind:     f.Type,
			index:    i,
		})
	}
	return all
}

// maxLimit is the most that a limit can be set to: above, there might as well
// be none.
const maxLimit = 1_000_000

// check finds values that no part of the program can use.
func (c Config) check() error {
	for _, choice := range []struct {
		key, value string
		want       []string
	}{
		{"output", c.Output, []string{"text", "json", "jsonl"}},
		{"executor", c.Executor, []string{"local", "kubernetes"}},
		{"on_key_end", c.OnKeyEnd, []string{"cancel", "leave"}},
		{"on_shutdown", c.OnShutdown, []string{"cancel", "leave"}},
		{"policy", c.Policy, []string{"strict", "restricted", "permissive"}},
		{"log_level", c.LogLevel, []string{"debug", "info", "warn", "error"}},
		{"log_format", c.LogFormat, []string{"auto", "console", "json"}},
	} {
		if !slices.Contains(choice.want, choice.value) {
			return usagef("%s is %q, want %s", choice.key, choice.value, orList(choice.want))
		}
	}
	for _, positive := range []struct {
		key   string
		value int64
	}{
		{"key_expiry_warning", int64(c.KeyExpiryWarn)},
		{"shutdown_timeout", int64(c.ShutdownTimeout)},
		{"default_timeout", int64(c.DefaultTimeout)},
		{"claude_grace", int64(c.ClaudeGrace)},
		{"max_timeout", int64(c.MaxTimeout)},
		{"max_output", c.MaxOutput},
		{"keep_for", int64(c.KeepFor)},
		{"keep_bytes", c.KeepBytes},
		{"audit_keep_for", int64(c.AuditKeepFor)},
		{"queue", c.Queue},
		{"longest_wait", int64(c.LongestWait)},
		{"database_pool_size", c.DatabasePoolSize},
	} {
		if positive.value <= 0 {
			return usagef("%s must be more than nothing", positive.key)
		}
	}
	for _, limit := range []struct {
		key   string
		value int64
	}{
		{"requests_per_minute", c.RequestsPerMinute},
		{"request_burst", c.RequestBurst},
		{"failed_logins_per_minute", c.FailedLoginsPerMinute},
		{"streams_per_key", c.StreamsPerKey},
		{"project_commands", c.ProjectCommands},
		{"key_commands", c.KeyCommands},
	} {
		if limit.value < 0 || limit.value > maxLimit {
			return usagef("%s must be between 0, for no limit, and %d", limit.key, maxLimit)
		}
	}
	if c.DefaultTimeout > c.MaxTimeout {
		return usagef("default_timeout %v is above max_timeout %v", c.DefaultTimeout, c.MaxTimeout)
	}
	return nil
}

func orList(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
