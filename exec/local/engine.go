package local

import (
	"context"

	"github.com/orchard9/rdev/exec/shim"
)

// engine is the runner in this process.
type engine struct{ *shim.Engine }

func openEngine(config Config) (runner, error) {
	e, err := shim.Open(config.Dir, &shim.Options{
		Env:       config.Env,
		Linger:    config.Linger,
		Retention: config.Retention,
		MinFree:   config.MinFree,
	})
	if err != nil {
		return nil, err
	}
	return engine{e}, nil
}

func (e engine) instance(context.Context) (string, error) { return e.Incarnation(), nil }
func (e engine) close(ctx context.Context) error          { return e.Close(ctx) }

func (e engine) forget(_ context.Context, id string) error { return e.Forget(id) }
