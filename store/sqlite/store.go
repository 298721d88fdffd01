// Package sqlite keeps everything that rdev keeps in one file: keys, streams of
// events and the records of commands. It needs no server and no C compiler
// (modernc.org/sqlite), and is what rdev uses when nothing else is configured.
//
// The file is in WAL mode with synchronous=NORMAL. What was acknowledged
// survives the death of the process at any moment. A loss of power may take the
// last moments before it, never more, and leaves no hole: the executor has its
// own log and publishes them again.
//
// One connection writes, some read. Recent events are handed to readers in
// memory (stream.Hub), so one process at a time may use a file: a second Open
// is ErrInUse.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/jmoiron/sqlx"
)

// A Store is an open file. All methods are safe for concurrent use.
type Store struct {
	db       *db
	lock     *os.File
	keys     *KeyStore
	broker   *Broker
	commands *Commands
	limits   *Limits
	audit    *Audit
	retainer *retainer

	closing sync.Once
	closed  error
}

// Open opens the file, which it makes if it is not there, with its folder, for
// the owner alone (0600, 0700). Its schema is brought up to date; a file of a
// newer version is refused. ctx bounds the opening alone. Close the Store when
// done.
func Open(ctx context.Context, path string, opts *Options) (*Store, error) {
	options := opts.withDefaults()
	if err := options.validate(); err != nil {
		return nil, fmt.Errorf("store/sqlite: open %s: %w", path, err)
	}
	s, err := open(ctx, path, options)
	if err != nil {
		return nil, fmt.Errorf("store/sqlite: open %s: %w", path, err)
	}
	return s, nil
}

func open(ctx context.Context, path string, options Options) (_ *Store, err error) {
	if path == "" {
		return nil, errors.New("the path is empty")
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	// Before SQLite has the file: closing a file takes away all the POSIX locks
	// that this process holds on it, SQLite's included.
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = lock.Close()
		}
	}()
	if err := makePrivate(path); err != nil {
		return nil, err
	}
	db, err := connect(ctx, path, options)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, db.close())
		}
	}()
	if err := migrate(ctx, db.write.DB); err != nil {
		return nil, err
	}
	if err := db.begin(ctx); err != nil {
		return nil, err
	}
	commands, err := newCommands(ctx, db, options.Now)
	if err != nil {
		return nil, err
	}
	broker, err := newBroker(ctx, db, options)
	if err != nil {
		return nil, err
	}
	s := &Store{
		db:       db,
		lock:     lock,
		keys:     &KeyStore{db: db},
		broker:   broker,
		commands: commands,
		audit:    &Audit{read: db.read, write: db, now: options.Now, limit: options.Timeout},
	}
	s.limits = &Limits{db: db}
	s.retainer = newRetainer(db, broker, options)
	return s, nil
}

// makePrivate makes the file if it is not there, and lets the owner alone read
// it. SQLite gives the files beside it the same permissions.
func makePrivate(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(file.Chmod(0o600), file.Close())
}

// Keys returns the store's auth.KeyStore.
func (s *Store) Keys() *KeyStore { return s.keys }

// Broker returns the store's stream.Broker.
func (s *Store) Broker() *Broker { return s.broker }

// Commands returns the store's rdev.Commands.
func (s *Store) Commands() *Commands { return s.commands }

// Audit returns the store's rdev.Audit.
func (s *Store) Audit() *Audit { return s.audit }

// Limits returns the store's auth.LimitStore.
func (s *Store) Limits() *Limits { return s.limits }

// Retain enforces the limits of the Options now and returns when that is done.
func (s *Store) Retain(ctx context.Context) error { return s.retainer.retain(ctx) }

// Close ends the background work, wakes every subscriber with
// stream.ErrClosed, waits for the appends that are under way and closes the
// file. Closing again returns the same.
func (s *Store) Close(ctx context.Context) error {
	s.closing.Do(func() {
		s.retainer.close()
		err := s.broker.shutdown(ctx)
		s.closed = errors.Join(err, s.db.close(), s.lock.Close())
	})
	return s.closed
}

// connect opens the connections.
func connect(ctx context.Context, path string, options Options) (*db, error) {
	write, err := openPool(ctx, writerDSN(path, options.Timeout), 1)
	if err != nil {
		return nil, err
	}
	// Only now: a connection that may only read cannot make the file.
	read, err := openPool(ctx, readerDSN(path, options.Timeout), options.Readers)
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	checkpoints, err := newCheckpointer(ctx, path, options.OnError)
	if err != nil {
		return nil, errors.Join(err, read.Close(), write.Close())
	}
	return &db{write: write, turn: make(chan struct{}, 1), read: read, timeout: options.Timeout, checkpoints: checkpoints}, nil
}

func openPool(ctx context.Context, dsn string, connections int) (*sqlx.DB, error) {
	pool, err := sqlx.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	if err := pool.PingContext(ctx); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return pool, nil
}
