package verify

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bitjang/bitjang/internal/jws"
)

const (
	// Keys are fresh for as long as the issuer's Cache-Control says, within
	// these bounds, and for defaultFresh if it says nothing.
	minFresh, defaultFresh, maxFresh = time.Minute, 5 * time.Minute, 24 * time.Hour
	// maxStale is how long keys are used beyond that while the issuer cannot be
	// reached. It bounds how long a withdrawn key can be kept alive by cutting
	// us off.
	maxStale = 24 * time.Hour
	// refetchAfter is the least time between two fetches, whatever strangers
	// write into tokens; retryAfter is it while we have no keys to serve with.
	refetchAfter, retryAfter = 10 * time.Second, time.Second
	// fetchTimeout bounds a fetch by an HTTPClient that has no timeout.
	fetchTimeout = 10 * time.Second
	maxRedirects = 3
)

// remoteKeys is the KeySource of a key set behind a URL.
//
// Fresh keys are served without a lock. Stale ones are served while a request's
// goroutine fetches again. An unknown kid causes a fetch and waits for it, at
// most one in refetchAfter, so a key that was published and used within that
// time may be unknown until it is over. A failed fetch changes nothing; a good
// one replaces the set, so a key that is gone there is gone here. A set without
// any usable key counts as a failure: an issuer has a key.
type remoteKeys struct {
	url    string
	client *http.Client
	now    func() time.Time

	set atomic.Pointer[keySet] // nil before the first fetch succeeded

	mu     sync.Mutex
	flight *flight   // nil when no fetch is under way
	last   time.Time // when the last fetch began
	err    error     // how it ended
}

// keySet is what a fetch brought. It is replaced whole, never changed.
type keySet struct {
	keys                   map[string]*Key
	freshUntil, staleUntil time.Time
}

// flight is a fetch under way, shared by everybody who waits for it.
type flight struct{ done chan struct{} }

func newRemoteKeys(url string, client *http.Client, now func() time.Time) *remoteKeys {
	c := *client
	c.CheckRedirect = checkRedirect(client.CheckRedirect)
	return &remoteKeys{url: url, client: &c, now: now}
}

// checkRedirect keeps a redirect from making the keys less trustworthy than
// their URL: it may lead to https anywhere, and from http to http on the same
// host.
func checkRedirect(next func(*http.Request, []*http.Request) error) func(*http.Request, []*http.Request) error {
	return func(req *http.Request, via []*http.Request) error {
		first := via[0].URL
		if req.URL.Scheme != "https" && (first.Scheme == "https" || req.URL.Host != first.Host) {
			return errors.New("redirected to plain http")
		}
		if len(via) > maxRedirects {
			return errors.New("redirected too often")
		}
		if next != nil {
			return next(req, via)
		}
		return nil
	}
}

// Key implements KeySource.
func (r *remoteKeys) Key(ctx context.Context, kid string) (*Key, error) {
	now := r.now()
	set := r.set.Load()
	if key, ok := set.find(kid, now); ok {
		if !now.Before(set.freshUntil) {
			r.fetch(now) // and do not wait for it
		}
		return key, nil
	}
	if f := r.fetch(now); f != nil {
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrKeysUnavailable, ctx.Err())
		}
	}
	if key, ok := r.set.Load().find(kid, r.now()); ok {
		return key, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		// The key may well exist, we just could not look. That is no reason to
		// call a token bad.
		return nil, fmt.Errorf("%w: %w", ErrKeysUnavailable, r.err)
	}
	return nil, ErrUnknownKey
}

func (s *keySet) find(kid string, now time.Time) (*Key, bool) {
	if s == nil || !now.Before(s.staleUntil) {
		return nil, false
	}
	key, ok := s.keys[kid]
	return key, ok
}

// fetch returns the fetch under way, or begins one. It returns nil if it is too
// early for another.
func (r *remoteKeys) fetch(now time.Time) *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flight != nil {
		return r.flight
	}
	wait := refetchAfter
	if set := r.set.Load(); set == nil || !now.Before(set.staleUntil) {
		wait = retryAfter
	}
	// A clock that was set back must not keep us waiting: then now is before
	// last, and we go on.
	if since := now.Sub(r.last); !r.last.IsZero() && since >= 0 && since < wait {
		return nil
	}
	r.last, r.flight = now, &flight{make(chan struct{})}
	go r.run(r.flight)
	return r.flight
}

// run fetches once. It has a context of its own: the request that began it may
// go away, the others who wait have not.
func (r *remoteKeys) run(f *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	keys, fresh, err := r.get(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err = err; err == nil {
		r.replace(keys, fresh)
	}
	r.flight = nil
	close(f.done)
}

// replace puts a new set in use. A key that is the same as before keeps its
// pointer, which keeps the tokens verified with it in the cache.
func (r *remoteKeys) replace(keys []jws.Key, fresh time.Duration) {
	now := r.now()
	next := &keySet{
		keys:       make(map[string]*Key, len(keys)),
		freshUntil: now.Add(fresh),
		staleUntil: now.Add(fresh + maxStale),
	}
	old := r.set.Load()
	for _, k := range keys {
		next.keys[k.ID] = &Key{ID: k.ID, Algorithm: k.Algorithm, Public: k.Public}
		if old == nil {
			continue
		}
		if have, ok := old.keys[k.ID]; ok && samePublic(have.Public, k.Public) {
			next.keys[k.ID] = have
		}
	}
	r.set.Store(next)
}

func samePublic(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// get fetches and parses the set, and says how long it is fresh.
func (r *remoteKeys) get(ctx context.Context) ([]jws.Key, time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("key set: status %d", resp.StatusCode)
	}
	// One byte more than allowed makes ParseSet refuse what was cut off.
	body, err := io.ReadAll(io.LimitReader(resp.Body, jws.MaxSet+1))
	if err != nil {
		return nil, 0, fmt.Errorf("key set: %w", err)
	}
	keys, err := jws.ParseSet(body)
	if err != nil {
		return nil, 0, fmt.Errorf("key set: %w", err)
	}
	if len(keys) == 0 {
		return nil, 0, errors.New("key set: no usable key in it")
	}
	return keys, freshness(resp.Header), nil
}

// freshness is how long a response is fresh (RFC 9111 section 4.2), less the
// time that it spent in caches on the way, within our bounds.
func freshness(h http.Header) time.Duration {
	fresh := defaultFresh
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return minFresh
		case "max-age":
			if s, ok := seconds(strings.Trim(value, `"`)); ok {
				age, _ := seconds(h.Get("Age"))
				fresh = s - age
			}
		}
	}
	return min(max(fresh, minFresh), maxFresh)
}

// seconds reads a number of seconds. More than a year is a year, so that nothing
// can overflow.
func seconds(s string) (time.Duration, bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, false
	}
	return time.Duration(min(n, 365*24*60*60)) * time.Second, true
}
