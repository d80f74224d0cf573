package bitjang

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bitjang/bitjang/internal/passhash"
	"github.com/bitjang/bitjang/verify"
)

// Service decides everything: who may log in, what a refresh token means, when
// a session ends. It keeps nothing but keys in memory, so any number of
// services may share a store. All methods are safe for concurrent use.
type Service struct {
	cfg      Config
	log      *slog.Logger
	now      func() time.Time
	users    UserStore
	sessions SessionStore
	events   EventStore
	keys     KeyStore

	ring     *keyRing
	keySet   atomic.Pointer[keySet]
	verifier *verify.Verifier

	pool      *passhash.Pool
	params    passhash.Params
	decoyHash string // costs an unknown user what a wrong password costs

	flights flights
	counts  verdictCounts
	revoked revoked
}

// New checks cfg and makes a Service. It does no I/O and starts nothing: call
// LoadKeys before the first request, and Run for the work that goes on beside
// them. The error names every problem of cfg.
func New(cfg Config) (*Service, error) {
	cfg = cfg.withDefaults()
	ring, err := newKeyRing(cfg.MasterKeys)
	if err != nil {
		err = fmt.Errorf("MasterKeys: %w", err)
	}
	if err := errors.Join(cfg.problems(), err); err != nil {
		return nil, fmt.Errorf("bitjang: %w", err)
	}
	params := cfg.passwordParams()
	s := &Service{
		cfg: cfg, log: cfg.Logger, now: cfg.Now, ring: ring,
		users: cfg.Store, sessions: cfg.Sessions, events: cfg.Store, keys: cfg.Store,
		pool: passhash.NewPool(cfg.PasswordWorkers, cfg.PasswordQueue), params: params,
		decoyHash: passhash.Decoy(params),
	}
	s.verifier, err = verify.New(verify.Config{
		Issuer: cfg.Issuer, Audience: cfg.Audience, Keys: ownKeys{s},
		Algorithms: []string{"ES256", "EdDSA", "RS256"}, // all are ours; each key is pinned to one
		Leeway:     clockSkew,
		Now:        cfg.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("bitjang: %w", err)
	}
	return s, nil
}

// clockSkew is how far the clocks of several nodes may be apart.
const clockSkew = 2 * time.Second

// Issuer is the public base URL of the service.
func (s *Service) Issuer() string { return s.cfg.Issuer }

// Now is the time that the service's decisions go by.
func (s *Service) Now() time.Time { return s.clock() }

// clock is the only reading of time: UTC, at the precision that every store keeps.
func (s *Service) clock() time.Time { return s.now().UTC().Truncate(time.Millisecond) }

const (
	sweepEvery = time.Minute
	sweepBatch = 500 // records per statement: short enough to go unnoticed by refreshes
	// grantRetention is how long an expired grant can still say that it was used.
	grantRetention = day
)

// Run does what goes on beside requests until ctx ends: it follows the
// revocation feed, reloads and rotates the signing keys and removes what is
// long dead. Any number of nodes may run it at once.
func (s *Service) Run(ctx context.Context) error {
	var feed sync.WaitGroup
	feed.Go(func() { s.runFeed(ctx) })
	defer feed.Wait()
	if err := s.LoadKeys(ctx); err != nil && ctx.Err() == nil {
		s.log.Error("signing keys not loaded", "error", err)
	}
	reload, sweep := time.NewTicker(keyReload), time.NewTicker(sweepEvery)
	defer reload.Stop()
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-reload.C:
			if err := s.LoadKeys(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("signing keys not reloaded", "error", err)
			}
		case <-sweep.C:
			s.revoked.forget(s.feedHorizon())
			if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("sweep interrupted", "error", err)
			}
		}
	}
}

// Sweep removes sessions and events past their retention, and what the feed,
// grants and limits no longer need, in small batches with a pause after each,
// until there are none.
func (s *Service) Sweep(ctx context.Context) error {
	for more := true; more; {
		var err error
		if more, err = s.sweepOnce(ctx, s.clock()); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

// sweepOnce removes one batch of each and reports whether any may have more.
func (s *Service) sweepOnce(ctx context.Context, now time.Time) (more bool, err error) {
	removed, more, err := s.sessions.DeleteSessions(ctx, now.Add(-s.cfg.SessionRetention), sweepBatch)
	if err != nil {
		return false, outage("delete dead sessions", err)
	}
	if removed > 0 {
		s.log.Debug("swept", "what", "sessions", "removed", removed)
	}
	for _, old := range []struct {
		what   string
		remove func(context.Context, time.Time, int) (int, error)
		before time.Time
	}{
		{"events", s.events.DeleteEvents, now.Add(-s.cfg.EventRetention)},
		{"revocations", s.sessions.DeleteRevocations, s.feedHorizon()},
		{"grants", s.sessions.DeleteGrants, now.Add(-grantRetention)},
		{"limits", s.sessions.DeleteLimits, now},
	} {
		n, err := old.remove(ctx, old.before, sweepBatch)
		if err != nil {
			return false, outage("delete old "+old.what, err)
		}
		if n > 0 {
			s.log.Debug("swept", "what", old.what, "removed", n)
		}
		more = more || n >= sweepBatch
	}
	return more, nil
}

// Ready reports whether requests can be served: stores reachable, keys loaded.
func (s *Service) Ready(ctx context.Context) error {
	if _, ok := s.keySet.Load().active(s.cfg.Algorithm, s.clock()); !ok {
		return ErrKeysMissing
	}
	if _, err := s.keys.Keys(ctx); err != nil {
		return outage("read keys", err)
	}
	if _, err := s.sessions.Sessions(ctx, SessionQuery{Limit: 1}); err != nil {
		return outage("read sessions", err)
	}
	return nil
}

// Stats are counters since the start, for metrics.
type Stats struct {
	Refreshes                     map[string]int64 // by verdict
	PasswordRunning, PasswordWait int
	Revoked                       int // sessions that the node knows to have ended or be held
}

// Stats returns the counters.
func (s *Service) Stats() Stats {
	running, waiting := s.pool.Stats()
	return Stats{Refreshes: s.counts.snapshot(), PasswordRunning: running, PasswordWait: waiting, Revoked: s.revoked.len()}
}

// verdictCounts counts refreshes by verdict.
type verdictCounts [len(verdictNames)]atomic.Int64

func (c *verdictCounts) snapshot() map[string]int64 {
	m := make(map[string]int64, len(c))
	for v := verdictMalformed; int(v) < len(c); v++ {
		m[v.String()] = c[v].Load()
	}
	return m
}
