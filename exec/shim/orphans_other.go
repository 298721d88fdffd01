//go:build !linux

package shim

import "errors"

// orphanage and birth have a meaning on Linux only.
type (
	orphanage struct{}
	birth     struct{}
)

func newOrphanage(bool) *orphanage { return nil }

func (o *orphanage) expect() *birth       { return nil }
func (o *orphanage) reap(<-chan struct{}) {}

func (b *birth) born(int) {}
func (b *birth) failed()  {}
func (b *birth) over()    {}

// BecomeSubreaper is errors.ErrUnsupported.
func BecomeSubreaper() error { return errors.ErrUnsupported }

func raiseOOMScore(int, int) {}
