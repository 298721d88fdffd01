package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/orchard9/rdev/rdev"
)

// BenchmarkInsertCommand is 16 callers on two replicas that store records, with
// and without rows in the audit log, of which all replicas build one chain;
// commits are flushed.
func BenchmarkInsertCommand(b *testing.B) {
	for _, audited := range []bool{false, true} {
		b.Run(fmt.Sprintf("audited=%t", audited), func(b *testing.B) {
			stores := durable(b, 2)
			next := make(chan int)
			go func() {
				for n := range b.N {
					next <- n
				}
				close(next)
			}()
			done := make(chan error, 16)
			b.ResetTimer()
			for c := range cap(done) {
				go func() {
					var failed error
					for range next {
						now := time.Now()
						cmd := rdev.Command{ID: rdev.NewCommandID(now), Project: "web", State: rdev.StateRunning, KeyID: "k", CreatedAt: now}
						if audited {
							cmd.Audit = []rdev.AuditEntry{{Event: rdev.AuditCommandIntent, CommandID: cmd.ID, Project: "web", KeyID: "k", Argv: []string{"make", "test"}}}
						}
						if _, _, err := stores[c%2].Commands().Insert(context.Background(), cmd); err != nil {
							failed = err
						}
					}
					done <- failed
				}()
			}
			for range cap(done) {
				if err := <-done; err != nil {
					b.Error(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commands/s")
		})
	}
}
