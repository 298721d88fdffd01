package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Retention works in small steps, because publishers wait for the connection
// meanwhile.
const (
	retainChunks  = 64      // chunks that a step deletes
	retainBytes   = 4 << 20 // bytes of chunks that a step deletes
	retainRecords = 256     // records and streams that a step deletes
)

// retainer enforces the limits of the Options, in the background and on demand.
type retainer struct {
	db      *db
	broker  *Broker
	options Options

	stop context.CancelFunc
	done chan struct{}

	busy sync.Mutex // one enforcement at a time
}

// newRetainer starts the background work; close ends it.
func newRetainer(db *db, broker *Broker, options Options) *retainer {
	ctx, stop := context.WithCancel(context.Background())
	r := &retainer{db: db, broker: broker, options: options, stop: stop, done: make(chan struct{})}
	go r.run(ctx)
	return r
}

func (r *retainer) close() {
	r.stop()
	<-r.done
}

func (r *retainer) run(ctx context.Context) {
	defer close(r.done)
	if r.options.RetainEvery < 0 {
		return
	}
	ticker := time.NewTicker(r.options.RetainEvery)
	defer ticker.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			err = r.retain(ctx)
		case <-r.broker.writer.full:
			err = r.shrink(ctx)
		}
		if err != nil && ctx.Err() == nil {
			r.options.OnError(err)
		}
	}
}

// retain enforces every limit and gives freed pages back to the file system.
func (r *retainer) retain(ctx context.Context) error {
	r.busy.Lock()
	defer r.busy.Unlock()
	now := r.options.Now()
	for _, step := range []struct {
		name string
		run  func(context.Context, time.Time) error
	}{
		{"old output", r.expireOutput},
		{"excess output", r.limitOutput},
		{"forgotten streams", r.forgetStreams},
		{"old command records", r.expireCommands},
		{"freed pages", r.giveBack},
	} {
		if err := step.run(ctx, now); err != nil {
			return fmt.Errorf("store/sqlite: retain: %s: %w", step.name, err)
		}
	}
	return nil
}

// shrink enforces MaxBytes alone.
func (r *retainer) shrink(ctx context.Context) error {
	r.busy.Lock()
	defer r.busy.Unlock()
	if err := r.limitOutput(ctx, r.options.Now()); err != nil {
		return fmt.Errorf("store/sqlite: retain: excess output: %w", err)
	}
	return nil
}

// expireOutput deletes what is older than MaxAge.
func (r *retainer) expireOutput(ctx context.Context, now time.Time) error {
	if r.options.MaxAge < 0 {
		return nil
	}
	before := now.Add(-r.options.MaxAge).UnixMicro()
	for {
		deleted, err := r.delete(ctx, retainBytes, selectOldChunks, retainChunks, before)
		if err != nil || deleted == 0 {
			return err
		}
	}
}

// limitOutput deletes output until there is a little less than MaxBytes of it,
// so that it is not called for each append from then on.
func (r *retainer) limitOutput(ctx context.Context, _ time.Time) error {
	limit := r.options.MaxBytes
	if limit < 0 || r.broker.writer.total.Load() <= limit {
		return nil
	}
	for {
		excess := r.broker.writer.total.Load() - (limit - limit/16)
		if excess <= 0 {
			return nil
		}
		bytes := min(excess, retainBytes)
		deleted, err := r.delete(ctx, bytes, selectFinishedChunks, retainChunks)
		if err == nil && deleted == 0 {
			deleted, err = r.delete(ctx, bytes, selectOldestChunks, retainChunks)
		}
		if err != nil || deleted == 0 {
			return err
		}
	}
}

const (
	deleteForgottenStreams = `DELETE FROM streams WHERE num IN (
		SELECT num FROM streams WHERE closed = 1 AND bytes = 0 AND updated_at < ? LIMIT ?)`

	deleteOldCommands = `DELETE FROM commands WHERE num IN (
		SELECT num FROM commands WHERE ended_at IS NOT NULL AND ended_at < ? LIMIT ?)`
)

// forgetStreams deletes what is left of streams whose output went long ago.
func (r *retainer) forgetStreams(ctx context.Context, now time.Time) error {
	if r.options.MaxAge < 0 {
		return nil
	}
	return r.deleteRows(ctx, deleteForgottenStreams, now.Add(-2*r.options.MaxAge))
}

func (r *retainer) expireCommands(ctx context.Context, now time.Time) error {
	if r.options.CommandAge < 0 {
		return nil
	}
	return r.deleteRows(ctx, deleteOldCommands, now.Add(-r.options.CommandAge))
}

func (r *retainer) deleteRows(ctx context.Context, statement string, before time.Time) error {
	for {
		n, err := r.deleteSomeRows(ctx, statement, before)
		if err != nil || n < retainRecords {
			return err
		}
	}
}

func (r *retainer) deleteSomeRows(ctx context.Context, statement string, before time.Time) (n int64, err error) {
	ctx, cancel := r.step(ctx)
	defer cancel()
	err = r.db.use(ctx, func(ctx context.Context, s *session) error {
		result, err := s.ExecContext(ctx, statement, before.UnixMicro(), retainRecords)
		if err == nil {
			n, err = result.RowsAffected()
		}
		return err
	})
	return n, err
}

// step bounds one step, whatever deadline the whole has.
func (r *retainer) step(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, r.options.Timeout)
}

// giveBack returns freed pages to the file system. Some are kept: a file that
// is at its limit needs them at once, and moving pages is work.
func (r *retainer) giveBack(ctx context.Context, _ time.Time) error {
	var size int64
	for {
		free, err := r.pragma(ctx, `PRAGMA freelist_count`)
		if err != nil {
			return err
		}
		if size == 0 {
			if size, err = r.pragma(ctx, `PRAGMA page_count`); err != nil {
				return err
			}
		}
		if free <= size/16 {
			break
		}
		if err := r.vacuumStep(ctx); err != nil {
			return err
		}
	}
	// The file itself shrinks at a checkpoint.
	_, err := r.pragma(ctx, `PRAGMA wal_checkpoint(PASSIVE)`)
	return err
}

// vacuumStep gives back up to 512 pages.
func (r *retainer) vacuumStep(ctx context.Context) error {
	ctx, cancel := r.step(ctx)
	defer cancel()
	return r.db.use(ctx, func(ctx context.Context, s *session) (err error) {
		// It does its work row by row, though the rows are empty.
		rows, err := s.conn.QueryContext(ctx, `PRAGMA incremental_vacuum(512)`)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		for rows.Next() {
		}
		return rows.Err()
	})
}

// pragma returns the first number of the answer.
func (r *retainer) pragma(ctx context.Context, statement string) (n int64, err error) {
	ctx, cancel := r.step(ctx)
	defer cancel()
	err = r.db.use(ctx, func(ctx context.Context, s *session) error {
		values, err := s.conn.QueryRowxContext(ctx, statement).SliceScan()
		if err == nil {
			n, _ = values[0].(int64)
		}
		return err
	})
	return n, err
}
