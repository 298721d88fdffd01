package rdev

import (
	"context"
	"fmt"
)

// recoverPage is how many records recover reads at a time.
const recoverPage = 200

// recover launches a worker for every record that is not in a terminal state.
func (s *Service) recover(ctx context.Context) error {
	filter := CommandFilter{States: []State{StateQueued, StateRunning}}
	for {
		page, err := s.cfg.Commands.List(ctx, filter, recoverPage)
		if err != nil {
			return fmt.Errorf("rdev: find unfinished commands: %w", err)
		}
		for _, cmd := range page {
			if err := s.enter(); err != nil {
				return err
			}
			s.launch(cmd, false)
			filter.Before = cmd.ID
		}
		if len(page) < recoverPage {
			return nil
		}
	}
}
