package kubetest

import (
	"context"
	"fmt"
	"time"
)

// poll calls f until it returns nil or ctx ends. The error then says why ctx
// ended and what f last said.
func poll(ctx context.Context, f func() error) error {
	for wait := 20 * time.Millisecond; ; wait = min(wait*2, 250*time.Millisecond) {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; last: %w", context.Cause(ctx), err)
		case <-time.After(wait):
		}
	}
}
