package verify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Feed makes a Verifier follow the issuer's revocation feed, so that it refuses
// the tokens of a session within a second of its end and not only when they
// expire. Required: Authorize and WhenStale. Run has to run.
type Feed struct {
	URL string // default: Issuer + "/v1/revocations"

	// Authorize says who asks, in each request: see ClientSecret and BearerToken.
	// The client has to be registered for the scope "revocations".
	Authorize func(*http.Request) error

	// WhenStale says what happens to good tokens while nobody knows whether their
	// sessions have ended: there is no default, because only you can say.
	WhenStale StalePolicy
	// MaxStale is how long after the last sign of life that is so; default 30 s,
	// at least 10 s.
	MaxStale time.Duration

	// MaxSessions bounds the memory; default 1,000,000, of 20 to 40 bytes each.
	// If more end within the lifetime of access tokens, the oldest are forgotten
	// and the feed counts as stale for as long as that could matter.
	MaxSessions int

	// ReportSeen tells the issuer, every few seconds and each once, which
	// generations of which sessions were seen. It closes a gap in which a thief of
	// an old refresh token could still use it: see docs/rotation.md, row 7.
	ReportSeen bool
	ReportURL  string // default: Issuer + "/v1/seen"

	HTTPClient *http.Client // its Timeout does not count; default: one of its own
}

// StalePolicy says what a stale feed means for tokens that are good otherwise.
type StalePolicy int

// The policies.
const (
	FailOpen   StalePolicy = iota + 1 // they pass, as they would without a feed
	FailClosed                        // they are refused with ErrFeedUnavailable, 503
)

const (
	defaultMaxStale, leastMaxStale = 30 * time.Second, 10 * time.Second
	defaultMaxSessions             = 1_000_000
)

// ClientSecret authorizes by a client's id and secret.
func ClientSecret(id, secret string) func(*http.Request) error {
	user, password := url.QueryEscape(id), url.QueryEscape(secret) // RFC 6749 section 2.3.1
	return func(r *http.Request) error {
		r.SetBasicAuth(user, password)
		return nil
	}
}

// BearerToken authorizes by an access token that the client gets as it likes,
// say by client_credentials. It is asked for anew at each connection.
func BearerToken(get func(context.Context) (string, error)) func(*http.Request) error {
	return func(r *http.Request) error {
		token, err := get(r.Context())
		if err == nil {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		return err
	}
}

func (f Feed) withDefaults(issuer string) Feed {
	base := strings.TrimSuffix(issuer, "/")
	if f.URL == "" {
		f.URL = base + "/v1/revocations"
	}
	if f.ReportURL == "" {
		f.ReportURL = base + "/v1/seen"
	}
	if f.MaxStale == 0 {
		f.MaxStale = defaultMaxStale
	}
	if f.MaxSessions == 0 {
		f.MaxSessions = defaultMaxSessions
	}
	if f.HTTPClient == nil {
		f.HTTPClient = &http.Client{}
	}
	return f
}

func (f Feed) problems(bad func(string, ...any)) {
	for name, text := range map[string]string{"URL": f.URL, "ReportURL": f.ReportURL} {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.RawQuery != "" || u.Fragment != "" {
			bad("Feed.%s: %q is not an http or https URL without query", name, text)
		}
	}
	if f.Authorize == nil {
		bad("Feed.Authorize: missing; see ClientSecret")
	}
	if f.WhenStale != FailOpen && f.WhenStale != FailClosed {
		bad("Feed.WhenStale: choose FailOpen or FailClosed")
	}
	if f.MaxStale < leastMaxStale {
		bad("Feed.MaxStale: %v is less than %v", f.MaxStale, leastMaxStale)
	}
	if f.MaxSessions < 2 {
		bad("Feed.MaxSessions: %d is too few", f.MaxSessions)
	}
}

// What a feed makes of tokens that are good otherwise.
var (
	ErrSessionRevoked = errors.New("verify: the session has ended")
	ErrSessionHeld    = errors.New("verify: the session is on hold until the user proves who they are")
	// ErrFeedUnavailable says nothing about the token: with FailClosed, the feed
	// has been silent for too long. Answer 503, never 401.
	ErrFeedUnavailable = errors.New("verify: revocation feed unavailable")
)

// FeedStats is the state of the feed, for metrics and health checks.
type FeedStats struct {
	Synced    bool          // it has caught up once, and lost nothing since
	Current   bool          // synced and heard of within MaxStale
	Transport string        // "stream", "poll", or "" while there is no connection
	Staleness time.Duration // since everything was known for the last time; 0 before that
	LastEvent time.Time     // when something was last heard
	Sessions  int           // how many sessions' tokens are refused
	Received  int64         // entries so far
	Refused   int64         // tokens, for their session's sake
	Connects  int64         // connections made so far
	Restarts  int64         // times that it had to begin anew
	Forgotten int64         // entries forgotten for want of room
	Reported  int64         // sightings reported
	LastError string        // why the last connection ended, without secrets
}

// feed is what a Verifier knows of sessions that have ended.
type feed struct {
	Feed
	revoked  *revokedSet
	seen     *sightings
	follower follower

	synced   atomic.Bool
	ready    chan struct{} // closed once it was synced
	once     sync.Once
	knownAt  atomic.Int64 // when everything was known, since started; 0 never
	started  time.Time
	received atomic.Int64
	refused  atomic.Int64
	connects atomic.Int64
	restarts atomic.Int64
	running  atomic.Bool

	mu        sync.Mutex
	transport string
	lastEvent time.Time
	lastError string
}

func newFeed(cfg Feed, leeway time.Duration) *feed {
	client := *cfg.HTTPClient
	client.Timeout = 0
	// A redirect would take the credentials elsewhere.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	cfg.HTTPClient = &client
	f := &feed{Feed: cfg, revoked: newRevokedSet(cfg.MaxSessions, leeway), ready: make(chan struct{}), started: time.Now()}
	if cfg.ReportSeen {
		f.seen = newSightings()
	}
	f.follower.f = f
	return f
}

// since is a stopwatch: it must not follow a clock that is set.
func (f *feed) since() time.Duration { return time.Since(f.started) + 1 }

func (f *feed) staleness() time.Duration {
	at := f.knownAt.Load()
	if at == 0 {
		return 0
	}
	return f.since() - time.Duration(at)
}

// current says that no end older than MaxStale can be unknown.
func (f *feed) current() bool {
	return f.synced.Load() && f.staleness() <= f.MaxStale && !f.revoked.blind(f.since())
}

// check is the feed's opinion of a token that is good otherwise. Tokens without
// a session are not its business.
func (f *feed) check(c *Claims) error {
	if c.SessionID == "" {
		return nil
	}
	switch f.revoked.get(sessionKey(c.SessionID)) {
	case stateEnded:
		f.refused.Add(1)
		return ErrSessionRevoked
	case stateHeld:
		f.refused.Add(1)
		return ErrSessionHeld
	}
	if f.WhenStale == FailClosed && !f.current() {
		return ErrFeedUnavailable
	}
	if f.seen != nil && c.Generation > 0 {
		f.seen.note(c.SessionID, c.Generation)
	}
	return nil
}

// allKnown notes that just now there was nothing that we do not know.
func (f *feed) allKnown() {
	f.knownAt.Store(int64(f.since()))
	f.synced.Store(true)
	f.once.Do(func() { close(f.ready) })
}

// Run follows the feed until ctx ends. Without a Feed it returns at once.
func (v *Verifier) Run(ctx context.Context) error {
	if v.feed == nil {
		return nil
	}
	if v.feed.running.Swap(true) {
		return errors.New("verify: Run runs already")
	}
	defer v.feed.running.Store(false)
	var beside sync.WaitGroup
	if v.feed.seen != nil {
		beside.Go(func() { v.feed.report(ctx) })
	}
	v.feed.follower.run(ctx)
	beside.Wait()
	return nil
}

// Ready waits until the feed has caught up for the first time: until then a
// session may have ended without the Verifier knowing. Without a Feed there is
// nothing to wait for.
func (v *Verifier) Ready(ctx context.Context) error {
	if v.feed == nil {
		return nil
	}
	select {
	case <-v.feed.ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrFeedUnavailable, ctx.Err())
	}
}

// FeedStats returns the state of the feed; all zero without a Feed.
func (v *Verifier) FeedStats() FeedStats {
	f := v.feed
	if f == nil {
		return FeedStats{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	sessions, forgotten := f.revoked.count()
	s := FeedStats{
		Synced: f.synced.Load(), Current: f.current(), Transport: f.transport, Staleness: f.staleness(), LastEvent: f.lastEvent,
		Sessions: sessions, Forgotten: forgotten, Received: f.received.Load(), Refused: f.refused.Load(),
		Connects: f.connects.Load(), Restarts: f.restarts.Load(), LastError: f.lastError,
	}
	if f.seen != nil {
		s.Reported = f.seen.reported.Load()
	}
	return s
}

// sessionState is what the feed says of a session. 0 is all that it says nothing
// of.
type sessionState uint8

const (
	stateEnded sessionState = iota + 1
	stateHeld
	stateLifted
)

// sessionKey is a session id as the set keeps it: the bytes of a UUID, or a hash
// of what is none.
func sessionKey(sid string) (key [16]byte) {
	if len(sid) == 36 && sid[8] == '-' && sid[13] == '-' && sid[18] == '-' && sid[23] == '-' {
		var plain [32]byte
		n := copy(plain[:], sid[:8])
		n += copy(plain[n:], sid[9:13])
		n += copy(plain[n:], sid[14:18])
		n += copy(plain[n:], sid[19:23])
		copy(plain[n:], sid[24:])
		if _, err := hex.Decode(key[:], plain[:]); err == nil {
			return key
		}
	}
	sum := sha256.Sum256([]byte(sid))
	return [16]byte(sum[:16])
}

// revokedSet remembers sessions for as long as a token of theirs can be valid,
// and up to twice that: it has two generations, and when the young one has lasted
// as long as that it becomes the old one. That bounds the memory by time without
// a list or a sweeper.
type revokedSet struct {
	most   int
	leeway time.Duration // how much longer than its exp a token passes

	mu         sync.RWMutex
	young, old map[[16]byte]sessionState
	keep       time.Duration
	since      time.Duration // when the young one began
	blindUntil time.Duration
	forgotten  int64
}

func newRevokedSet(most int, leeway time.Duration) *revokedSet {
	return &revokedSet{most: most, leeway: leeway, young: map[[16]byte]sessionState{}, keep: time.Hour}
}

func (s *revokedSet) get(key [16]byte) sessionState {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if state, ok := s.young[key]; ok {
		return state
	}
	return s.old[key]
}

func (s *revokedSet) blind(now time.Duration) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return now < s.blindUntil
}

func (s *revokedSet) count() (sessions int, forgotten int64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.young) + len(s.old), s.forgotten
}

// entry is one of the feed's.
type entry struct {
	key   [16]byte
	state sessionState
}

// add takes entries in. What an ended session is stays so, whatever comes late:
// around a change of node entries may come twice.
func (s *revokedSet) add(list []entry, keep, now time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if keep > 0 {
		s.keep = keep + s.leeway
	}
	if age := now - s.since; age >= s.keep {
		s.old, s.young = s.young, map[[16]byte]sessionState{}
		if age >= 2*s.keep {
			s.old = nil
		}
		s.since = now
	}
	for _, e := range list {
		if s.young[e.key] == stateEnded || s.old[e.key] == stateEnded {
			continue
		}
		if e.state == stateLifted {
			delete(s.young, e.key)
			delete(s.old, e.key)
			continue
		}
		if len(s.young)+len(s.old) >= s.most {
			s.forget(now)
		}
		s.young[e.key] = e.state
	}
}

// forget makes room. From here on it is unknown what was forgotten, until no
// token of those sessions can be valid any more.
func (s *revokedSet) forget(now time.Duration) {
	if len(s.old) == 0 {
		s.old, s.young = s.young, map[[16]byte]sessionState{}
		s.since = now
	}
	s.forgotten += int64(len(s.old))
	s.old, s.blindUntil = nil, now+s.keep
}
