package sqlstore

import (
	"context"
	"errors"
	"sync"
)

// groupCommit lets concurrent writes share a commit, and with it an fsync. It
// gathers what is waiting while the commit before is under way, and never
// waits for more.
type groupCommit struct {
	commit func([]*write)

	mu      sync.Mutex
	waiting []*write
	running bool
	closed  bool
	idle    sync.WaitGroup
}

// write is one statement or a few, and who waits for them.
type write struct {
	ctx  context.Context
	run  func() error
	err  error
	done chan struct{}
}

// maxGroup bounds how much one commit may gather, and so how long its first
// member waits.
const maxGroup = 256

var errClosed = errors.New("sqlstore: closed")

// do runs one write in a shared transaction and returns once that is durable.
// If ctx ends first, the write may still happen.
func (g *groupCommit) do(ctx context.Context, run func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &write{ctx: ctx, run: run, done: make(chan struct{})}
	if err := g.enqueue(w); err != nil {
		return err
	}
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *groupCommit) enqueue(w *write) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return errClosed
	}
	g.waiting = append(g.waiting, w)
	if !g.running {
		g.running = true
		g.idle.Go(g.work)
	}
	return nil
}

// work commits group after group until nothing waits.
func (g *groupCommit) work() {
	for {
		group := g.take()
		if group == nil {
			return
		}
		g.commit(group)
		for _, w := range group {
			close(w.done)
		}
	}
}

func (g *groupCommit) take() []*write {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.waiting), maxGroup)
	if n == 0 {
		g.waiting, g.running = nil, false
		return nil
	}
	group := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	return group
}

// drain refuses new writes and waits for those under way.
func (g *groupCommit) drain() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.idle.Wait()
}

// commit runs a group in one transaction. A statement that fails undoes only
// itself; a commit that fails fails everybody.
func (s *Store) commit(group []*write) {
	ctx := context.Background() // a caller that hangs up must not undo the others
	if _, err := s.stmts.begin.ExecContext(ctx); err != nil {
		failAll(group, err)
		return
	}
	for _, w := range group {
		if w.err = w.ctx.Err(); w.err == nil {
			w.err = w.run()
		}
	}
	if _, err := s.stmts.commit.ExecContext(ctx); err != nil {
		_, rollbackErr := s.stmts.rollback.ExecContext(ctx)
		failAll(group, errors.Join(err, rollbackErr))
	}
}

func failAll(group []*write, err error) {
	for _, w := range group {
		w.err = err
	}
}
