//go:build unix

package pgtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/lib/pq" // the driver "postgres" of database/sql
)

// startTimeout bounds initdb and each start; a loaded machine needs seconds.
const startTimeout = 60 * time.Second

// Options are settings of a server of one's own. The zero value is what New
// uses.
type Options struct {
	// Fsync makes commits durable, as in production: for benchmarks. Without
	// it they are still atomic and survive Kill, but not a power failure.
	Fsync bool
	// Settings are added to postgresql.conf: {"max_connections": "20"}.
	Settings map[string]string
}

// A Server is a Postgres of its own. Its methods fail the test that started it
// when they cannot do what they say; they are not for concurrent use with each
// other, except Database.
type Server struct {
	tb       testing.TB
	bin      string // folder of the binaries
	dir      string // holds data, sockets, log, server.pid and lock
	port     int
	password string
	account  *syscall.Credential // whom it runs as; nil: this process's user
	dog      *watchdog
	pid      int // of the postmaster; 0 while it is down

	mu        sync.Mutex
	templates map[uintptr]string // name of the template database by migration
	databases int
}

// Start starts a server that this test has for itself. It is stopped and
// removed when the test ends.
func Start(tb testing.TB, opts Options) *Server {
	tb.Helper()
	s, err := newServer(opts)
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	s.tb = tb
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("pgtest: the end of the server's log:\n%s", s.logTail())
		}
		s.close()
	})
	return s
}

// newServer makes a cluster and starts it.
func newServer(opts Options) (*Server, error) {
	bin, err := findBinaries()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, password: rand.Text(), templates: make(map[uintptr]string)}
	if s.account, err = account(); err != nil {
		return nil, err
	}
	sweep()
	if s.dir, s.dog, err = newFolder(s.account); err != nil {
		return nil, err
	}
	if err := s.create(opts); err != nil {
		s.close()
		return nil, err
	}
	if err := s.launch(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// create runs initdb and writes the configuration.
func (s *Server) create(opts Options) error {
	password := filepath.Join(s.dir, "password")
	if err := s.writeFile(password, s.password); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	// --auth=password: cheap, and other users of this machine stay out.
	initdb := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"), "-D", s.data(), "-U", "postgres",
		"--auth=password", "--pwfile="+password, "--no-sync", "--encoding=UTF8", "--locale=C")
	s.prepare(initdb)
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %v\n%s", err, out)
	}
	onOff := map[bool]string{true: "on", false: "off"}
	settings := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"unix_socket_directories": s.dir,
		"max_connections":         "200",
		"fsync":                   onOff[opts.Fsync],
		"synchronous_commit":      onOff[opts.Fsync],
		"full_page_writes":        onOff[opts.Fsync],
		"timezone":                "UTC",
		"log_timezone":            "UTC",
		"lc_messages":             "C",
	}
	for name, value := range opts.Settings {
		settings[name] = value
	}
	var conf []byte
	for name, value := range settings {
		conf = fmt.Appendf(conf, "%s = '%s'\n", name, value)
	}
	return s.writeFile(filepath.Join(s.data(), "postgresql.auto.conf"), string(conf))
}

// launch starts the postmaster and waits until it answers. The first launch
// chooses the port, later ones keep it.
func (s *Server) launch() error {
	const attempts = 5 // another process may take the port in between
	var err error
	chosen := s.port != 0
	for range attempts {
		if !chosen {
			if s.port, err = freePort(); err != nil {
				return err
			}
		}
		if err = s.launchOnce(); err == nil {
			return nil
		}
	}
	return err
}

func (s *Server) launchOnce() error {
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	postgres := exec.Command(filepath.Join(s.bin, "postgres"), "-D", s.data(), "-p", strconv.Itoa(s.port))
	postgres.Stdout, postgres.Stderr = log, log
	s.prepare(postgres)
	postgres.SysProcAttr.Setsid = true // Ctrl-C is for the test; the watchdog stops the server
	if err := postgres.Start(); err != nil {
		return err
	}
	s.pid = postgres.Process.Pid
	// From here on the pid alone is used: waiting takes no goroutine, which a
	// leak check would find.
	_ = postgres.Process.Release()
	if err := s.dog.watch(s.pid); err != nil {
		return err
	}
	deadline := time.Now().Add(startTimeout)
	for {
		err := s.ping()
		if err == nil {
			return nil
		}
		if s.exited() {
			return fmt.Errorf("postgres did not start:\n%s", s.logTail())
		}
		if time.Now().After(deadline) {
			_ = s.kill()
			return fmt.Errorf("postgres did not answer within %v: %v\n%s", startTimeout, err, s.logTail())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// prepare makes cmd run as the server's user, in its folder, without this
// process's PG* variables.
func (s *Server) prepare(cmd *exec.Cmd) {
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "HOME=" + s.dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.account}
}

func (s *Server) ping() error {
	db, err := sql.Open("postgres", s.DSN())
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return db.PingContext(ctx)
}

// DSN returns the address of the database "postgres", as superuser.
func (s *Server) DSN() string { return s.dsn("postgres") }

func (s *Server) dsn(database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword("postgres", s.password),
		Host:     s.Addr(),
		Path:     database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Addr returns the host and port, for a proxy in between.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// freePort returns a port below the range from which systems take the ports of
// outgoing connections, so that nobody gets it while the server restarts.
func freePort() (int, error) {
	for range 100 {
		n, err := rand.Int(rand.Reader, big.NewInt(12000))
		if err != nil {
			return 0, err
		}
		port := 20000 + int(n.Int64())
		l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		return port, l.Close()
	}
	return 0, fmt.Errorf("no free port on 127.0.0.1 between 20000 and 32000")
}
