// Package postgres keeps keys, command records with leases, and streams in a
// Postgres database that several replicas of rdev share: any replica serves any
// stream, and any replica may die.
//
// A stream's log is the delivery; LISTEN and NOTIFY only wake readers up, and a
// poll stands behind them. Behind a pooler in transaction mode, where LISTEN is
// silently dead, give Options.ListenDSN a direct connection, or live with the
// poll; Store.Wakeups says which of them works.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/stream"
)

// Options of a Store.
type Options struct {
	// DSN says where the database is: a URL or key=value pairs as lib/pq takes
	// them. It must set sslmode. Required.
	DSN string
	// Pooled says that DSN leads to a pooler in transaction mode, such as
	// PgBouncer. Then the timeouts are the role's: ALTER ROLE … SET
	// statement_timeout = '5s', lock_timeout = '2s',
	// idle_in_transaction_session_timeout = '10s'. Otherwise every connection
	// sets these itself.
	Pooled bool
	// ListenDSN is where LISTEN, migrations and retention go. It must not lead
	// to a pooler in transaction mode. Defaults to DSN; if that leads to one,
	// readers are woken by the poll, and the schema has to be up to date.
	ListenDSN string
	// PollOnly leaves LISTEN and NOTIFY out. Pooled without a ListenDSN does
	// so too.
	PollOnly bool
	// PoolSize is how many connections are used at most: two for appends, one
	// for NOTIFY, the rest for everything else. LISTEN has one besides, and so
	// has retention once an hour. At least 5. Defaults to 10.
	PoolSize int
	// Lease is how long a replica owns a command without renewing. Defaults
	// to 3 s.
	Lease time.Duration
	// MaxAge is how long output and ended records are kept, in whole days.
	// Defaults to 7 days; negative means for ever.
	MaxAge time.Duration
	// HubBytes is how much of all streams is held in memory for readers.
	// Defaults to stream.DefaultTotalBytes.
	HubBytes int64
	// OnError is told of failures in the background: of the connection for
	// LISTEN, of retention. It must not block. Defaults to none.
	OnError func(error)
	// OnWakeups is told what wakes readers, once that is known, and when it
	// has changed. It must not block. Defaults to none.
	OnWakeups func(Wakeups)
}

func (o Options) withDefaults() Options {
	if o.ListenDSN == "" {
		// Behind a pooler what is sent may come back by luck: that is no sign
		// that LISTEN works.
		o.PollOnly = o.PollOnly || o.Pooled
		o.ListenDSN = o.DSN
	}
	if o.PoolSize == 0 {
		o.PoolSize = 10
	}
	o.PoolSize = max(o.PoolSize, commitLanes+3)
	if o.Lease == 0 {
		o.Lease = 3 * time.Second
	}
	if o.MaxAge == 0 {
		o.MaxAge = 7 * 24 * time.Hour
	}
	if o.OnError == nil {
		o.OnError = func(error) {}
	}
	if o.OnWakeups == nil {
		o.OnWakeups = func(Wakeups) {}
	}
	return o
}

// A Store is the three ports on one database. Its methods are safe for
// concurrent use.
type Store struct {
	db       *sqlx.DB // for all but:
	appends  *sqlx.DB // one connection a commit lane
	notify   *sqlx.DB // one connection
	keyByID  *sqlx.Stmt
	takeRate *sqlx.Stmt
	opts     Options
	hub      *stream.Hub

	publisher *publisher
	wakeups   *wakeups
	changes   auth.Changes // of keys

	stop    context.CancelFunc
	workers sync.WaitGroup
}

// Open connects to the database, brings its schema up to date, and starts what
// works in the background. ctx bounds the start alone. Close the Store when
// done.
func Open(ctx context.Context, opts Options) (*Store, error) {
	opts = opts.withDefaults()
	migrate := Migrate
	if opts.Pooled && opts.ListenDSN == opts.DSN {
		migrate = checkSchema
	}
	if err := migrate(ctx, opts.ListenDSN); err != nil {
		return nil, err
	}
	s := &Store{opts: opts}
	if err := s.openPools(); err != nil {
		return nil, err
	}
	if err := s.retain(ctx); err != nil { // makes today's partition
		return nil, errors.Join(err, s.closePools())
	}
	if !opts.Pooled {
		var err error
		if s.keyByID, err = s.db.PreparexContext(ctx, selectKey); err != nil {
			return nil, errors.Join(failed(ctx, "prepare", err), s.closePools())
		}
		if s.takeRate, err = s.db.PreparexContext(ctx, takeRate); err != nil {
			return nil, errors.Join(failed(ctx, "prepare", err), s.closePools())
		}
	}
	log := &log{db: s.db}
	s.hub = stream.NewHub(stream.HubConfig{Log: log, TotalBytes: opts.HubBytes, ReadBytes: readBytes})
	s.wakeups = newWakeups(s.notify, s.hub, log, &s.changes, opts)
	s.publisher = newPublisher(s.appends, s.hub, log, s.wakeups)
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.workers.Go(func() { s.publisher.run(work) })
	s.workers.Go(func() { s.wakeups.run(work) })
	s.workers.Go(func() { s.retainForEver(work) })
	return s, nil
}

// Close ends the Store: readers get stream.ErrClosed, a Publish that is under
// way gets its answer. It waits for all of that until ctx ends.
func (s *Store) Close(ctx context.Context) error {
	s.hub.Close()
	s.stop()
	done := make(chan struct{})
	go func() { s.workers.Wait(); close(done) }()
	var late error
	select {
	case <-done:
	case <-ctx.Done():
		late = ctx.Err()
	}
	if err := errors.Join(late, s.closePools()); err != nil {
		return fmt.Errorf("store/postgres: close: %w", err)
	}
	return nil
}

func (s *Store) openPools() (err error) {
	everyday := s.opts.session()
	raw := everyday
	raw.binary = true
	for _, p := range []struct {
		pool    **sqlx.DB
		session session
		size    int
	}{
		{&s.db, everyday, s.opts.PoolSize - commitLanes - 1},
		{&s.appends, raw, commitLanes},
		{&s.notify, everyday, 1},
	} {
		if *p.pool, err = openPool(s.opts.DSN, p.session, p.size); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) closePools() error {
	return errors.Join(s.db.Close(), s.appends.Close(), s.notify.Close())
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := deadline(ctx)
	defer cancel()
	return failed(ctx, "ping", s.db.PingContext(ctx))
}

// Wakeups says what wakes the readers of streams that other replicas publish.
func (s *Store) Wakeups() Wakeups { return s.wakeups.status() }

// Keys returns the auth.KeyStore.
func (s *Store) Keys() *KeyStore { return &KeyStore{db: s.db, byID: s.keyByID, changes: &s.changes} }

// Commands returns the records, which implement rdev.Leases too.
func (s *Store) Commands() *Commands { return &Commands{db: s.db, ttl: s.opts.Lease} }

// Audit returns the audit log that the records' changes are noted in.
func (s *Store) Audit() *Audit { return &Audit{db: s.db} }

// Limits returns the auth.LimitStore.
func (s *Store) Limits() *Limits { return &Limits{db: s.db, take: s.takeRate} }

// Broker returns the stream.Broker.
func (s *Store) Broker() *Broker { return &Broker{s: s} }

var (
	_ auth.KeyStore   = (*KeyStore)(nil)
	_ auth.KeyUses    = (*KeyStore)(nil)
	_ auth.KeyChanges = (*KeyStore)(nil)
	_ auth.LimitStore = (*Limits)(nil)
	_ rdev.Commands   = (*Commands)(nil)
	_ rdev.Leases     = (*Commands)(nil)
	_ rdev.Queue      = (*Commands)(nil)
	_ stream.Broker   = (*Broker)(nil)
)
