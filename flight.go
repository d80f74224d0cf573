package bitjang

import (
	"context"
	"sync"
)

// flights lets identical refreshes that arrive together share one exchange.
// The first caller does the work itself, so the usual refresh costs no
// goroutine; the others wait for it.
type flights struct {
	mu sync.Mutex
	by map[string]*flight
}

type flight struct {
	landed chan struct{}
	tokens Tokens
	err    error
}

// join runs work, or waits for the same work already under way. work must not
// depend on the first caller's patience.
func (f *flights) join(ctx context.Context, key string, work func() (Tokens, error)) (Tokens, error) {
	f.mu.Lock()
	if ahead, ok := f.by[key]; ok {
		f.mu.Unlock()
		select {
		case <-ahead.landed:
			return ahead.tokens, ahead.err
		case <-ctx.Done():
			return Tokens{}, ErrStoreDown.because(ctx.Err())
		}
	}
	mine := &flight{landed: make(chan struct{}), err: ErrStoreDown} // should work panic
	if f.by == nil {
		f.by = map[string]*flight{}
	}
	f.by[key] = mine
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		delete(f.by, key)
		f.mu.Unlock()
		close(mine.landed)
	}()
	mine.tokens, mine.err = work()
	return mine.tokens, mine.err
}
