package sqlite

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jmoiron/sqlx"
)

// A checkpoint copies what is in the WAL to its place in the file, and syncs
// both. SQLite would have the writer do that in the middle of its work; here
// another connection does it beside the writer, every checkpointBytes. A WAL
// can only begin anew when all of it has been copied, which a busy writer never
// sees, so the writer does the rest itself at inlinePages.
const (
	checkpointBytes   = 32 << 20
	checkpointTimeout = time.Minute
	inlinePages       = "24576" // 96 MiB
)

// checkpointer is the goroutine that does it.
type checkpointer struct {
	pool    *sqlx.DB
	onError func(error)

	written atomic.Int64  // bytes since the last checkpoint, about
	due     chan struct{} // holds one
	stop    context.CancelFunc
	done    chan struct{}
}

// newCheckpointer starts the goroutine; close ends it.
func newCheckpointer(ctx context.Context, path string, onError func(error)) (*checkpointer, error) {
	pool, err := openPool(ctx, writerDSN(path, defaultTimeout), 1)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	c := &checkpointer{pool: pool, onError: onError, due: make(chan struct{}, 1), stop: stop, done: make(chan struct{})}
	go c.run(ctx)
	return c, nil
}

// wrote is told how much was written.
func (c *checkpointer) wrote(bytes int64) {
	if c.written.Add(bytes) < checkpointBytes {
		return
	}
	select {
	case c.due <- struct{}{}:
		c.written.Store(0)
	default: // one is under way, and one after it
	}
}

func (c *checkpointer) run(ctx context.Context) {
	defer close(c.done)
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.due:
		}
		bounded, cancel := context.WithTimeout(ctx, checkpointTimeout)
		_, err := c.pool.ExecContext(bounded, `PRAGMA wal_checkpoint(PASSIVE)`)
		cancel()
		if err != nil && ctx.Err() == nil {
			c.onError(fmt.Errorf("store/sqlite: checkpoint: %w", err))
		}
	}
}

func (c *checkpointer) close() error {
	c.stop()
	<-c.done
	return c.pool.Close()
}
