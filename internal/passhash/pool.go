package passhash

import (
	"context"
	"errors"
)

// ErrBusy says that so many wait for the pool already that one more would not be served in useful time.
var ErrBusy = errors.New("passhash: too many passwords are being checked")

// Pool bounds how many passwords are worked on at once, and how many more may wait. A flood of logins then costs a
// known amount of memory and processor, and everything that checks no password goes on undisturbed.
//
// It starts no goroutines. The zero Pool is not usable.
type Pool struct {
	places chan struct{} // one for each caller that runs or waits
	slots  chan struct{} // one for each that runs
}

// NewPool returns a pool that runs at most workers at once, at least one, and lets at most queue more wait.
func NewPool(workers, queue int) *Pool {
	workers, queue = max(workers, 1), max(queue, 0)
	return &Pool{
		places: make(chan struct{}, workers+queue),
		slots:  make(chan struct{}, workers),
	}
}

// Do runs work in the caller's goroutine as soon as it may, in the order of arrival. It returns ErrBusy at once when
// the queue is full, and ctx's error when ctx ends before work has begun; work that has begun is not interrupted.
func (p *Pool) Do(ctx context.Context, work func()) error {
	select {
	case p.places <- struct{}{}:
	default:
		return ErrBusy
	}
	defer func() { <-p.places }() // also when work panics
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-p.slots }() // runs before the place is given up, so no more than queue ever wait
	if err := ctx.Err(); err != nil {
		return err // both were ready, and select picks either
	}
	work()
	return nil
}

// Stats tells how many run and how many wait, for metrics. The two are read one after the other, so while callers
// come and go their sum may be off by a few.
func (p *Pool) Stats() (running, waiting int) {
	running = len(p.slots)
	return running, max(len(p.places)-running, 0)
}
