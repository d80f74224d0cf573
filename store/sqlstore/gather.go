package sqlstore

import (
	"context"
	"errors"
	"sync"
)

// gather lets concurrent calls share a round trip and a commit, and with it an
// fsync. It takes what is waiting while the group before is under way, and
// never waits for more.
type gather[J any] struct {
	run     func([]*job[J]) // does a group; each job's err says how it went
	workers int             // how many groups may be under way at once

	mu      sync.Mutex
	waiting []*job[J]
	running int
	closed  bool
	idle    sync.WaitGroup
}

// job is one call's share of a group, and who waits for it.
type job[J any] struct {
	ctx  context.Context
	work J
	err  error
	done chan struct{}
}

// maxGroup bounds how much one group may gather, and so how long its first
// member waits.
const maxGroup = 256

var errClosed = errors.New("sqlstore: closed")

// do puts work into a group and returns once that is durable. If ctx ends
// first, the work may still be done: work must not be read then.
func (g *gather[J]) do(ctx context.Context, work J) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j := &job[J]{ctx: ctx, work: work, done: make(chan struct{})}
	if err := g.enqueue(j); err != nil {
		return err
	}
	select {
	case <-j.done:
		return j.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *gather[J]) enqueue(j *job[J]) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return errClosed
	}
	g.waiting = append(g.waiting, j)
	if g.running < g.workers {
		g.running++
		g.idle.Go(g.serve)
	}
	return nil
}

// serve does group after group until nothing waits.
func (g *gather[J]) serve() {
	for {
		group := g.take()
		if group == nil {
			return
		}
		g.run(group)
		for _, j := range group {
			close(j.done)
		}
	}
}

func (g *gather[J]) take() []*job[J] {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.waiting), maxGroup)
	if n == 0 {
		g.waiting = nil
		g.running--
		return nil
	}
	group := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	return group
}

// drain refuses new work and waits for what is under way.
func (g *gather[J]) drain() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.idle.Wait()
}

func failAll[J any](group []*job[J], err error) {
	for _, j := range group {
		j.err = err
	}
}
