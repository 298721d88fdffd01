package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"syscall"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/server"
	"github.com/orchard9/rdev/server/metrics"
)

func (a *app) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a server for folders on this machine, or for pods",
		Long: `Run a server for folders on this machine, by default for the current one, on
127.0.0.1:8080. It keeps everything in one folder (--data-dir): start it again
and the output of earlier commands is still there.

With --executor kubernetes the projects are pods instead: those with the label
rdev.orchard9.ai/project=true in one namespace (--namespace), as they come and
go. With RDEV_DATABASE_URL everything is kept in Postgres, which several servers
may share. rdev doctor says what is amiss with either.

At the first start a key that may do everything is made and shown, once. It is
kept in admin.key in the data folder, which only you can read; the command line
on this machine takes it from there. To have your own instead, set
RDEV_ADMIN_KEY_FILE or RDEV_ADMIN_KEY: that one is never stored and never shown.

In folders, commands run as you, with your environment except for RDEV_*
variables. They can do what you can, read admin.key too: on one machine a key
separates callers, not commands. For that, projects are pods.

SIGINT or SIGTERM stops the server: running commands are cancelled, their
readers see the end, and a second signal ends it on the spot. With --on-shutdown
leave they go on, and the next start follows them, as it does after a crash:
they run under a process of their own (rdev shim).`,
		Example: `  rdev serve
  rdev serve --project web=~/src/web --project api=~/src/api
  RDEV_ADDR=127.0.0.1:9000 rdev serve --log-level debug
  rdev serve --executor kubernetes --namespace projects`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if show, _ := cmd.Flags().GetBool("print-config"); show {
				return printConfig(a.stdout, a.config)
			}
			return a.serve(cmd.Context(), a.config)
		},
	}
	addFlags(cmd.Flags(), "serve")
	cmd.Flags().Bool("print-config", false, "print all settings as a file for --config, without secrets, and exit")
	return cmd
}

// serve is the wiring of the server, top to bottom, and its life: it returns
// when a signal or the end of ctx has stopped it.
func (a *app) serve(ctx context.Context, c Config) (err error) {
	if c.Executor != "kubernetes" { // before anything is made
		if _, err := parseFolders(c.Projects, a.getenv("HOME")); err != nil {
			return err
		}
	}
	adminFrom, err := prefixes("admin_addresses", c.AdminAddresses)
	if err != nil {
		return err
	}
	proxies, err := prefixes("trusted_proxies", c.TrustedProxies)
	if err != nil {
		return err
	}
	hasher, err := keyHasher(c)
	if err != nil {
		return err
	}
	if err := openDataDir(c.DataDir); err != nil {
		return err
	}
	listener, err := listen(ctx, c.Addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	secrets, err := maskedValues(c)
	if err != nil {
		return err
	}
	masks := maskSet(secrets)
	defer func() { err = maskError(masks, err) }()
	log := newLogger(a.stderr, c, a.getenv, masks)

	failed := background(&log)
	traces, flushTraces, err := openTraces(ctx, a.getenv, &log)
	if err != nil {
		return err
	}
	defer flushTraces()

	store, err := openStorage(ctx, c, &log, failed)
	if err != nil {
		return err
	}
	defer closing(&err, c.ShutdownTimeout, store.Close)
	key, made, err := adminKey(c)
	if err != nil {
		return err
	}
	counted := metrics.New()
	work, err := openWorkplace(c, a.getenv("HOME"), failed, counted, traces)
	if err != nil {
		return err
	}
	defer closing(&err, c.ShutdownTimeout, work.executor.Close)
	authn, err := auth.NewAuthenticator(auth.AuthenticatorConfig{
		Keys: counted.Keys(store.Keys()), AdminKey: key, AdminAddresses: adminFrom, Hasher: hasher, OnError: failed,
	})
	if err != nil {
		return adminKeyError(c, err)
	}
	defer closing(&err, c.ShutdownTimeout, authn.Close)
	service, err := rdev.New(ctx, rdev.Config{
		Executor:       counted.Executor(work.executor),
		Projects:       work.projects,
		Commands:       counted.Commands(store.Commands()),
		Broker:         counted.Broker(store.Broker()),
		Keys:           counted.Keys(store.Keys()),
		Policy:         policy.Policy{Level: policy.Level(c.Policy), Programs: c.StrictPrograms},
		DefaultTimeout: c.DefaultTimeout,
		MaxTimeout:     c.MaxTimeout,
		MaxOutput:      c.MaxOutput,

		MaxProjectCommands: int(c.ProjectCommands),
		MaxKeyCommands:     int(c.KeyCommands),
		MaxQueue:           int(c.Queue),
		MaxWait:            c.LongestWait,

		ClaudeGrace:    c.ClaudeGrace,
		LeaveRunning:   c.OnShutdown == "leave",
		LeaveOnKeyEnd:  c.OnKeyEnd == "leave",
		Hasher:         hasher,
		Audit:          counted.Audit(store.Audit()),
		AuditAge:       c.AuditKeepFor,
		Secrets:        func() []auth.Secret { return secrets },
		OnError:        failed,
		TracerProvider: traces,
	})
	if err != nil {
		return err
	}
	defer closing(&err, c.ShutdownTimeout, service.Close)
	web := serverConfig(listener.Addr(), &log)
	web.TrustedProxies = proxies
	web.KeyExpiryWarning = c.KeyExpiryWarn
	web.Observer = counted
	limitCallers(&web, c, store.Limits())
	web.TracerProvider = traces
	web.Version = buildVersion().String()
	web.Parts = readyParts(store.Commands(), store.Broker(), work.executor, work.projects)
	handler, err := server.New(service, authn, web)
	if err != nil {
		return err
	}
	counted.Streams(handler.OpenStreams)
	if backlogs, ok := store.Commands().(rdev.Backlogs); ok {
		counted.Waiting(backlogs)
	}
	stopMetrics, err := serveMetrics(ctx, c.MetricsAddr, counted, &log)
	if err != nil {
		return err
	}
	defer stopMetrics()

	listener, scheme, err := withTLS(c, listener, &log)
	if err != nil {
		return err
	}
	url := scheme + "://" + reachable(listener.Addr())
	forget, err := writeEndpoint(c.DataDir, url)
	if err != nil {
		return err
	}
	defer forget()
	listener = announced{listener, forget}
	a.welcome(c, url, work.folders, key, made)
	if scheme == "http" {
		warnings(listener.Addr(), &log)
	}
	return a.serveUntilStopped(ctx, c, &log, service, handler, listener)
}

// serverConfig protects a server on a loopback address from web pages that
// reach it under a name of their own; any other is reached under names that
// are not known here.
func serverConfig(addr address, log *zerolog.Logger) server.Config {
	config := server.Config{Log: log}
	if isLoopback(addr) {
		config.AllowedHosts = server.LoopbackHosts()
	}
	return config
}

// serveUntilStopped serves until a signal comes or ctx ends, and then ends in
// the order in which nobody is cut off: the commands, so that their readers see
// how they ended; the readers; the other requests. From the first signal on
// the next one has its usual effect, which is to kill.
func (a *app) serveUntilStopped(ctx context.Context, c Config, log *zerolog.Logger, service *rdev.Service, handler *server.Server, listener listener) error {
	signals := make(chan os.Signal, 1)
	ignore := a.notify(signals, os.Interrupt, syscall.SIGTERM)
	defer ignore()

	web := handler.NewHTTPServer("")
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(listener) }()

	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		log.Info().Msg("stopping")
	case s := <-signals:
		ignore()
		log.Info().Stringer("signal", s).Str("commands", c.OnShutdown).Msg("stopping; once more to stop at once")
	}
	handler.Leave()

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.ShutdownTimeout)
	defer cancel()
	err := errors.Join(service.Close(ctx), handler.Drain(ctx), web.Shutdown(ctx))
	if serveErr := <-failed; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	if err != nil {
		_ = web.Close()
		return err
	}
	log.Info().Msg("stopped")
	return nil
}
