package postgres_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/internal/pgtest"
	"github.com/orchard9/rdev/store/postgres"
)

// BenchmarkPoolSize is what one replica does with pools of several sizes: 16
// callers look up 1,000 keys in turn, while eight commands publish batches of
// 64 lines without a pause. It is why the default is 10.
func BenchmarkPoolSize(b *testing.B) {
	for _, size := range []int{5, 10, 20, 40} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			const keys, callers, commands, lines = 1000, 16, 8, 64
			dsn := pgtest.Start(b, pgtest.Options{Fsync: true}).Database(b, postgres.Migrate)
			s := open(b, postgres.Options{DSN: dsn, PoolSize: size})
			ids := make([]string, keys)
			for i := range ids {
				id, secret := auth.NewKey()
				if err := s.Keys().Create(b.Context(), auth.Key{ID: id, Name: "key", Hash: auth.HashSecret(secret)}, nil); err != nil {
					b.Fatal(err)
				}
				ids[i] = id
			}
			b.ResetTimer()
			var next, published atomic.Int64
			var publishers, lookups sync.WaitGroup
			stop := make(chan struct{})
			for c := range commands {
				publishers.Go(func() {
					for i := uint64(0); ; i++ {
						select {
						case <-stop:
							return
						default:
						}
						if err := s.Broker().Publish(b.Context(), fmt.Sprintf("cmd-%d-%d", c, b.N), batch(i*lines+1, lines)); err != nil {
							b.Error(err)
							return
						}
						published.Add(lines)
					}
				})
			}
			for range callers {
				lookups.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						if _, err := s.Keys().Get(b.Context(), ids[i%keys]); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			lookups.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lookups/s")
			b.ReportMetric(float64(published.Load())/b.Elapsed().Seconds(), "lines/s")
			close(stop)
			publishers.Wait()
		})
	}
}
