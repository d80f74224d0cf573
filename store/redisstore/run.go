package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/valkey-io/valkey-go"
)

// errUnchanged is what a script says that changed nothing.
var errUnchanged = errors.New("nothing has changed")

// errAnswer is an answer that none of our scripts gives.
var errAnswer = errors.New("an unexpected answer")

// call is one run of a script; keys[0] names the slot.
type call struct {
	script     *script
	keys, args []string
}

// run runs a script once. Unlike reads, which the client repeats by itself,
// nothing is sent again that may have been done: an error leaves it open, and
// the caller looks at the session again. Only what was certainly not done is
// tried again, as long as ctx allows.
func (s *Store) run(ctx context.Context, c call) (valkey.ValkeyMessage, error) {
	return s.persist(ctx, func(ctx context.Context) (valkey.ValkeyMessage, error) {
		m, err := s.client.Do(undated{ctx}, s.evalsha(c)).ToMessage()
		if noScript(err) {
			m, err = s.client.Do(undated{ctx}, s.eval(c)).ToMessage()
		}
		return m, err
	})
}

// runSafely is run, and then waits until the replicas that the operator asked
// for have it. On a connection of its own: WAIT holds up all that comes behind
// it, and counts what this connection wrote.
func (s *Store) runSafely(ctx context.Context, c call) (valkey.ValkeyMessage, error) {
	if s.replicas == 0 {
		return s.run(ctx, c)
	}
	select {
	case s.waiting <- struct{}{}:
		defer func() { <-s.waiting }()
	case <-ctx.Done():
		return valkey.ValkeyMessage{}, s.outage(ctx.Err())
	}
	return s.persist(ctx, func(ctx context.Context) (m valkey.ValkeyMessage, err error) {
		err = s.client.Dedicated(func(d valkey.DedicatedClient) error {
			defer closeWith(ctx, d)()
			m, err = d.Do(ctx, s.evalsha(c)).ToMessage()
			if noScript(err) {
				m, err = d.Do(ctx, s.eval(c)).ToMessage()
			}
			if err != nil {
				return err // also when it has changed nothing
			}
			return s.await(ctx, d)
		})
		return m, err
	})
}

// closeWith closes a connection when ctx ends, which ends the command on it. It
// must be ended before the connection goes to somebody else.
func closeWith(ctx context.Context, d valkey.DedicatedClient) (end func()) {
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		d.Close()
	})
	return func() {
		if !stop() {
			<-closed
		}
	}
}

// undated is a context that keeps its deadline to itself. With a deadline in
// sight the client may leave its pipeline and read on the connection itself,
// and then closes the connection under all who share it when the time is over.
type undated struct{ context.Context }

func (undated) Deadline() (time.Time, bool) { return time.Time{}, false }

// limited bounds a call that goes through the pipeline.
func (s *Store) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	return undated{ctx}, cancel
}

// waitMargin is how much of the time that there is WAIT leaves: Redis looks ten
// times a second who has waited for long enough.
const waitMargin = 150 * time.Millisecond

// await waits until enough replicas have what this connection has written.
func (s *Store) await(ctx context.Context, d valkey.DedicatedClient) error {
	deadline, _ := ctx.Deadline()                                       // persist sets one
	limit := max(1, (time.Until(deadline) - waitMargin).Milliseconds()) // 0 would be for ever
	switch n, err := d.Do(ctx, s.client.B().Wait().Numreplicas(s.replicas).Timeout(limit).Build()).AsInt64(); {
	case err != nil:
		return fmt.Errorf("it is done, but whether replicas have it is unknown: %v", err) // no %w: it must not be tried again
	case n < s.replicas:
		return fmt.Errorf("it is done, but only %d of %d replicas have it", n, s.replicas)
	}
	return nil
}

func (s *Store) evalsha(c call) valkey.Completed {
	cmd := s.client.B().Evalsha().Sha1(c.script.sha).Numkeys(int64(len(c.keys))).Key(c.keys...).Arg(c.args...).Build()
	if c.script.again {
		cmd = cmd.ToRetryable()
	}
	return cmd
}

func (s *Store) eval(c call) valkey.Completed {
	cmd := s.client.B().Eval().Script(c.script.text).Numkeys(int64(len(c.keys))).Key(c.keys...).Arg(c.args...).Build()
	if c.script.again {
		cmd = cmd.ToRetryable()
	}
	return cmd
}

// pause is how long a refused command waits for a fail-over or a move of slots
// to come to its end.
const pause = 20 * time.Millisecond

// persist tries until something is done or may have been done. No try takes
// longer than the timeout of the address.
func (s *Store) persist(ctx context.Context, try func(context.Context) (valkey.ValkeyMessage, error)) (valkey.ValkeyMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	for {
		m, err := try(ctx)
		if err != nil && ctx.Err() != nil {
			err = ctx.Err() // not how the client puts it
		}
		switch {
		case err == nil:
			return m, nil
		case valkey.IsValkeyNil(err):
			return m, errUnchanged
		case !certainlyNotDone(ctx, err):
			return m, s.outage(err)
		}
		select {
		case <-ctx.Done():
			return m, s.outage(err)
		case <-time.After(pause):
		}
	}
}

func noScript(err error) bool {
	refusal, is := valkey.IsValkeyErr(err)
	return is && refusal.IsNoScript()
}

// certainlyNotDone says that the command never ran, or as good as that: the
// server refused it for now, or there was no connection to send it over. A
// context's error is here another caller's, who was first to dial.
func certainlyNotDone(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	if refusal, is := valkey.IsValkeyErr(err); is {
		word, rest, _ := strings.Cut(refusal.Error(), " ")
		switch word {
		case "READONLY", "LOADING", "CLUSTERDOWN", "TRYAGAIN", "MASTERDOWN", "MOVED", "ASK", "BUSY":
			return true
		}
		// A script's first write to a replica, as Redis 6 puts it, and its first
		// look at a key that the Cluster is moving.
		return strings.Contains(rest, " -READONLY ") || strings.Contains(rest, "non local key")
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	op, is := errors.AsType[*net.OpError](err)
	return is && op.Op == "dial"
}

// outage is any answer that is none of the contract's: the server cannot be
// reached, refuses, or answers nonsense. Servers have been seen to repeat a
// command that they do not know, password and all.
func (s *Store) outage(err error) error {
	text := err.Error()
	if errors.Is(err, context.DeadlineExceeded) {
		text = "no answer in time"
	}
	return &outageError{"redis: " + s.redact(text), err}
}

type outageError struct {
	text string
	err  error
}

func (e *outageError) Error() string { return e.text }
func (e *outageError) Unwrap() error { return e.err }
