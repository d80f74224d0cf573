package bitjang

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bitjang/bitjang/internal/dpop"
	"github.com/bitjang/bitjang/internal/passhash"
	"github.com/bitjang/bitjang/verify"
)

// Service decides everything: who may log in, what a refresh token means, when
// a session ends. It keeps nothing in memory but keys, what it has read of
// the revocation feed, and what it has lately counted to spare the store, so any
// number of services may share one. All methods are safe for concurrent use.
type Service struct {
	cfg      Config
	log      *slog.Logger
	now      func() time.Time
	users    UserStore
	factors  FactorStore
	sessions SessionStore
	events   EventStore
	keys     KeyStore
	mails    MailStore
	clients  ClientStore
	consents ConsentStore

	ring     *keyRing
	keySet   atomic.Pointer[keySet]
	loading  sync.Mutex // held by whoever makes a new keySet
	verifier *verify.Verifier

	anyVerifier *verify.Verifier // for every audience

	pool      *passhash.Pool
	params    passhash.Params
	decoyHash string // costs an unknown user what a wrong password costs

	risk    *risk
	flights flights
	counts  verdictCounts
	revoked revoked
	hub     *feedHub
	proofs  *dpop.Replayed

	refreshes *nearLimits // per session
	// clientGuesses counts wrong credentials per client and network.
	clientGuesses *nearLimits
	told          *nearLimits // what the log and the events need not say again
	guesses       *guessWatch
	limited       limitCounts
	stuffing      atomic.Int64

	mailDue chan struct{} // a mail was just put there
	known   knownClients
	origins clientOrigins
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
		users: cfg.Store, factors: cfg.Store, sessions: cfg.Sessions, events: cfg.Store, keys: cfg.Store, mails: cfg.Store,
		risk:    newRisk(&cfg),
		clients: cfg.Store, consents: cfg.Store,
		mailDue: make(chan struct{}, 1), hub: newFeedHub(), proofs: dpop.NewReplayed(maxProofs),
		pool: passhash.NewPool(cfg.PasswordWorkers, cfg.PasswordQueue), params: params,
		decoyHash: passhash.Decoy(params),
		refreshes: newNearLimits(), clientGuesses: newNearLimits(), told: newNearLimits(), guesses: newGuessWatch(), limited: newLimitCounts(),
	}
	if s.verifier, s.anyVerifier, err = newVerifiers(s, cfg); err != nil {
		return nil, fmt.Errorf("bitjang: %w", err)
	}
	return s, nil
}

// clockSkew is how far the clocks of several nodes may be apart.
const clockSkew = 2 * time.Second

// Issuer is the public base URL of the service.
func (s *Service) Issuer() string { return s.cfg.Issuer }

// Policy is what pages and clients should know of the rules for accounts.
type Policy struct {
	Signup        SignupPolicy
	VerifyEmail   VerifyEmail
	Mail          bool // whether mails are sent
	DeletionGrace time.Duration
	MinPassword   int // characters
	Passkeys      bool
}

// Policy returns the rules for accounts.
func (s *Service) Policy() Policy {
	return Policy{s.cfg.Signup, s.cfg.VerifyEmail, s.cfg.Mailer != nil, s.cfg.DeletionGrace, minPassword, s.cfg.Passkeys != nil}
}

// Now is the time that the service's decisions go by.
func (s *Service) Now() time.Time { return s.clock() }

// clock is the only reading of time: UTC, at the precision that every store keeps.
func (s *Service) clock() time.Time { return s.now().UTC().Truncate(time.Millisecond) }

const (
	sweepEvery = time.Minute
	sweepBatch = 50 // records per statement: on SQLite every refresh waits for it
	// sweepRest is how long a sweep rests after each batch, times what the batch
	// took: a store that is slow or busy is left alone for longer.
	sweepRest  = 4
	sweepPause = 10 * time.Millisecond // the least
	// grantRetention is how long an expired grant can still say that it was used.
	grantRetention = day
)

// Run does what goes on beside requests until ctx ends: it follows the
// revocation feed, delivers mails, reloads and rotates the signing keys and
// removes what is long dead. Any number of nodes may run it at once.
func (s *Service) Run(ctx context.Context) error {
	var beside sync.WaitGroup
	beside.Go(func() { s.runFeed(ctx) })
	beside.Go(func() { s.runSweep(ctx) })
	beside.Go(func() { s.runMail(ctx) })
	beside.Go(func() { s.runSeal(ctx) })
	defer beside.Wait()
	if err := s.LoadKeys(ctx); err != nil && ctx.Err() == nil {
		s.log.Error("signing keys not loaded", "error", err)
	}
	reload := time.NewTicker(keyReload)
	defer reload.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-reload.C:
			if err := s.LoadKeys(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("signing keys not reloaded", "error", err)
			}
		}
	}
}

// runSweep sweeps until ctx ends. A sweep may take minutes, and neither keys nor
// the feed may wait for it.
func (s *Service) runSweep(ctx context.Context) {
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-sweep.C:
			s.revoked.forget(s.feedHorizon())
			s.hub.forget(s.feedHorizon())
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
	now := s.clock()
	for _, old := range []struct {
		what   string
		remove func(ctx context.Context) (removed int, more bool, err error)
	}{
		{"dead sessions", func(ctx context.Context) (int, bool, error) {
			return s.sessions.DeleteSessions(ctx, now.Add(-s.cfg.SessionRetention), sweepBatch)
		}},
		{"deleted users", deleting(s.users.DeleteUsers, now)},
		{"old events", deleting(s.events.DeleteEvents, now.Add(-s.cfg.EventRetention))},
		{"old revocations", deleting(s.sessions.DeleteRevocations, s.feedHorizon())},
		{"old grants", deleting(s.sessions.DeleteGrants, now.Add(-grantRetention))},
		{"old limits", deleting(s.sessions.DeleteLimits, now)},
	} {
		total := 0
		for more := true; more; {
			began := time.Now() // a stopwatch, not a date
			var n int
			var err error
			if n, more, err = old.remove(ctx); err != nil {
				return outage("delete "+old.what, err)
			}
			total += n
			if sleep(ctx, max(sweepPause, sweepRest*time.Since(began))); ctx.Err() != nil {
				return ctx.Err()
			}
		}
		if total > 0 {
			s.log.Debug("swept", "what", old.what, "removed", total)
		}
	}
	return nil
}

// deleting is one batch of a kind that has more if the batch was full.
func deleting(remove func(context.Context, time.Time, int) (int, error), before time.Time) func(context.Context) (int, bool, error) {
	return func(ctx context.Context) (int, bool, error) {
		n, err := remove(ctx, before, sweepBatch)
		return n, n >= sweepBatch, err
	}
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
	Risk                          map[string]int64 // refreshes and logins about which something had changed, by answer
	PasswordRunning, PasswordWait int
	Revoked                       int // sessions that the node knows to have ended or be held
	Followers                     int // of the revocation feed, here

	Limited  map[string]int64 // refusals by the name of the limit
	Stuffing int64            // how often credential stuffing was noticed
}

// Stats returns the counters.
func (s *Service) Stats() Stats {
	running, waiting := s.pool.Stats()
	return Stats{Refreshes: s.counts.snapshot(), Risk: s.risk.snapshot(), PasswordRunning: running, PasswordWait: waiting, Revoked: s.revoked.len(),
		Limited: s.limited.snapshot(), Stuffing: s.stuffing.Load(), Followers: int(s.hub.followers.Load())}
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
