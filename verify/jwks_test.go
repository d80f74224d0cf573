package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bitjang/bitjang/internal/jws"
)

// fakeIssuer answers in place of the network, so that time can be synctest's.
type fakeIssuer struct {
	mu      sync.Mutex
	ids     []string // whose keys it publishes
	header  http.Header
	status  int
	body    string // instead of the keys
	err     error
	delay   time.Duration
	fetches int
	url     string // of the last request
}

func (f *fakeIssuer) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fetches++
	f.url = r.URL.String()
	if f.delay > 0 {
		f.mu.Unlock()
		select {
		case <-time.After(f.delay):
		case <-r.Context().Done():
		}
		f.mu.Lock()
		if err := r.Context().Err(); err != nil {
			return nil, err
		}
	}
	if f.err != nil {
		return nil, f.err
	}
	body := f.body
	if body == "" {
		var keys []jws.Key
		for _, id := range f.ids {
			keys = append(keys, jws.Key{ID: id, Algorithm: algorithm(id), Public: signers()[id].Public()})
		}
		raw, err := jws.MarshalSet(keys)
		if err != nil {
			return nil, err
		}
		body = string(raw)
	}
	return &http.Response{
		StatusCode: max(f.status, http.StatusOK), Header: f.header, Body: io.NopCloser(strings.NewReader(body)), Request: r,
	}, nil
}

func (f *fakeIssuer) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

func (f *fakeIssuer) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fetches
}

// withIssuer runs a test in a bubble, with a verifier that fetches from a fake
// issuer that publishes the key "es".
func withIssuer(t *testing.T, test func(t *testing.T, f *fakeIssuer, v *Verifier, verify func(id string) error)) {
	t.Helper()
	t.Parallel()
	signers() // not in the bubble: it is shared
	synctest.Test(t, func(t *testing.T) {
		f := &fakeIssuer{ids: []string{"es"}}
		v := newVerifier(t, func(c *Config) {
			c.Keys, c.HTTPClient, c.Now = nil, &http.Client{Transport: f}, time.Now
		})
		test(t, f, v, func(id string) error {
			t.Helper()
			_, err := v.Verify(t.Context(), mint(t, id, longLived(t)))
			return err
		})
	})
}

func longLived(t *testing.T) string {
	t.Helper()
	return claimsJSON(t, map[string]any{"iat": time.Now().Unix(), "exp": time.Now().Add(1000 * time.Hour).Unix()})
}

func want(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func wantFetches(t *testing.T, what string, f *fakeIssuer, want int) {
	t.Helper()
	if got := f.count(); got != want {
		t.Errorf("%s: got %d fetches, want %d", what, got, want)
	}
}

func TestKeysAreFetchedWhenTheFirstTokenComes(t *testing.T) {
	withIssuer(t, func(t *testing.T, f *fakeIssuer, _ *Verifier, verify func(string) error) {
		time.Sleep(time.Hour)
		wantFetches(t, "before the first token", f, 0)
		for range 10 {
			want(t, "a good token", verify("es"), nil)
		}
		wantFetches(t, "after ten", f, 1)
		if want := testIssuer + "/.well-known/jwks.json"; f.url != want {
			t.Errorf("got %s, want %s", f.url, want)
		}
	})
}

func TestKeysRotateWithoutARestart(t *testing.T) {
	withIssuer(t, func(t *testing.T, f *fakeIssuer, _ *Verifier, verify func(string) error) {
		want(t, "the first key", verify("es"), nil)
		want(t, "a key not yet published", verify("es2"), ErrUnknownKey)
		f.change(func() { f.ids = []string{"es", "es2"} })
		want(t, "a new key within ten seconds of a fetch", verify("es2"), ErrUnknownKey)
		wantFetches(t, "within ten seconds", f, 1)
		time.Sleep(refetchAfter)
		want(t, "a new key after that", verify("es2"), nil)
		want(t, "the old key beside it", verify("es"), nil)
		wantFetches(t, "after ten seconds", f, 2)
	})
}

func TestARemovedKeyStopsVerifyingAfterARefresh(t *testing.T) {
	withIssuer(t, func(t *testing.T, f *fakeIssuer, v *Verifier, verify func(string) error) {
		token := mint(t, "es", longLived(t))
		again := func() error {
			_, err := v.Verify(t.Context(), token)
			return err
		}
		want(t, "the key while it is there", again(), nil)
		f.change(func() { f.ids = []string{"es2"} })
		time.Sleep(defaultFresh - time.Second)
		want(t, "while the set is fresh", again(), nil)
		time.Sleep(time.Second)
		want(t, "the request that begins the refresh", again(), nil)
		synctest.Wait()
		wantFetches(t, "after the refresh", f, 2)
		want(t, "a remembered token after the refresh", again(), ErrUnknownKey)
		want(t, "a new token after the refresh", verify("es"), ErrUnknownKey)
		want(t, "a token of the other key", verify("es2"), nil)
	})
}

func TestARefreshKeepsRememberedTokensOfUnchangedKeys(t *testing.T) {
	withIssuer(t, func(t *testing.T, f *fakeIssuer, v *Verifier, _ func(string) error) {
		token := mint(t, "es", longLived(t))
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		f.change(func() { f.ids = []string{"es", "es2"} })
		time.Sleep(defaultFresh)
		_ = cached(t, v, token) // begins the refresh
		synctest.Wait()
		wantFetches(t, "after the refresh", f, 2)
		if !cached(t, v, token) {
			t.Error("the token was forgotten")
		}
	})
}

func TestAKeyReplacedUnderItsIDIsReplaced(t *testing.T) {
	withIssuer(t, func(t *testing.T, f *fakeIssuer, v *Verifier, verify func(string) error) {
		want(t, "at first", verify("es"), nil)
		raw, err := jws.MarshalSet([]jws.Key{{ID: "es", Algorithm: "ES256", Public: signers()["es2"].Public()}})
		if err != nil {
			t.Fatal(err)
		}
		f.change(func() { f.body = string(raw) })
		time.Sleep(defaultFresh)
		_ = verify("es")
		synctest.Wait()
		want(t, "with another key of that name", verify("es"), ErrBadSignature)
	})
}

func TestOldKeysServeWhileTheIssuerIsDown(t *testing.T) {
	withIssuer(t, func(t *testing.T, f *fakeIssuer, _ *Verifier, verify func(string) error) {
		want(t, "at first", verify("es"), nil)
		start := time.Now()
		f.change(func() { f.err = errors.New("down") })
		for time.Since(start) < defaultFresh+maxStale-time.Second {
			want(t, fmt.Sprint("after ", time.Since(start)), verify("es"), nil)
			time.Sleep(7 * time.Minute)
		}
		want(t, "an unknown key meanwhile", verify("es2"), ErrKeysUnavailable)
		time.Sleep(time.Until(start.Add(defaultFresh + maxStale)))
		want(t, "after a day", verify("es"), ErrKeysUnavailable)
		f.change(func() { f.err = nil })
		time.Sleep(retryAfter)
		want(t, "when the issuer is back", verify("es"), nil)
	})
}

func TestABadAnswerNeverCostsGoodKeys(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*fakeIssuer){
		"no connection":        func(f *fakeIssuer) { f.err = errors.New("refused") },
		"status 500":           func(f *fakeIssuer) { f.status = 500 },
		"status 203":           func(f *fakeIssuer) { f.status = 203 },
		"a page of HTML":       func(f *fakeIssuer) { f.body = "<html>" },
		"an empty set":         func(f *fakeIssuer) { f.body = `{"keys":[]}` },
		"a set of other kinds": func(f *fakeIssuer) { f.body = `{"keys":[{"kty":"oct","kid":"es","k":"AAAA"}]}` },
		"a body too long":      func(f *fakeIssuer) { f.body = `{"keys":[]` + strings.Repeat(" ", jws.MaxSet) + `}` },
		"no answer":            func(f *fakeIssuer) { f.delay = time.Hour },
	} {
		t.Run(name, func(t *testing.T) {
			withIssuer(t, func(t *testing.T, f *fakeIssuer, _ *Verifier, verify func(string) error) {
				want(t, "before", verify("es"), nil)
				f.change(func() { spoil(f) })
				time.Sleep(defaultFresh)
				want(t, "a known key", verify("es"), nil)
				want(t, "an unknown key", verify("es2"), ErrKeysUnavailable)
				want(t, "a known key after the failure", verify("es"), nil)
				time.Sleep(fetchTimeout) // of the fetch that the last one began, if the one before took so long
				if got := f.count(); got < 2 || got > 3 {
					t.Errorf("got %d fetches, want 2 or 3", got)
				}
			})
		})
	}
}

func TestAFirstFetchThatFailsIsRepeatedSoon(t *testing.T) {
	withIssuer(t, func(t *testing.T, f *fakeIssuer, _ *Verifier, verify func(string) error) {
		f.change(func() { f.err = errors.New("starting") })
		for range 5 {
			want(t, "without keys", verify("es"), ErrKeysUnavailable)
		}
		wantFetches(t, "in the first second", f, 1)
		f.change(func() { f.err = nil })
		time.Sleep(retryAfter)
		want(t, "a second later", verify("es"), nil)
	})
}

func TestAStormOfUnknownKeysFetchesRarely(t *testing.T) {
	withIssuer(t, func(t *testing.T, f *fakeIssuer, v *Verifier, verify func(string) error) {
		want(t, "before", verify("es"), nil)
		f.change(func() { f.delay = 100 * time.Millisecond })
		claims := longLived(t)
		const seconds = 60
		var wg sync.WaitGroup
		for i := range 50 {
			token := forge(t, "attacker", fmt.Sprintf(`{"alg":"ES256","typ":"at+jwt","kid":"guess-%d"}`, i), claims)
			wg.Go(func() {
				for range seconds {
					_, err := v.Verify(t.Context(), token)
					want(t, "a guess", err, ErrUnknownKey)
					time.Sleep(time.Second)
				}
			})
		}
		wg.Wait()
		if got, most := f.count(), 1+seconds/10+2; got > most || got < 2 {
			t.Errorf("got %d fetches in a minute, want 2 to %d", got, most)
		}
	})
}

func TestWaitersShareAFetchThatSurvivesWhoBeganIt(t *testing.T) {
	withIssuer(t, func(t *testing.T, f *fakeIssuer, v *Verifier, _ func(string) error) {
		f.change(func() { f.delay = 4 * time.Second })
		token := mint(t, "es", longLived(t))
		var wg sync.WaitGroup
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := v.Verify(ctx, token)
			want(t, "who gave up", err, ErrKeysUnavailable)
			want(t, "who gave up", err, context.DeadlineExceeded)
		})
		synctest.Wait() // the impatient one has begun the fetch
		for range 20 {
			wg.Go(func() {
				_, err := v.Verify(t.Context(), token)
				want(t, "who waited", err, nil)
			})
		}
		wg.Wait()
		wantFetches(t, "in all", f, 1)
	})
}

func TestAClockSetBackDoesNotStopFetching(t *testing.T) {
	t.Parallel()
	now := testNow
	f := &fakeIssuer{ids: []string{"es"}}
	v := newVerifier(t, func(c *Config) {
		c.Keys, c.HTTPClient, c.Now = nil, &http.Client{Transport: f}, func() time.Time { return now }
	})
	_, err := v.Verify(t.Context(), mint(t, "es", claimsJSON(t, nil)))
	want(t, "at first", err, nil)
	now = now.Add(-time.Hour)
	f.change(func() { f.ids = []string{"es", "es2"} })
	_, err = v.Verify(t.Context(), mint(t, "es2", claimsJSON(t, map[string]any{"iat": now.Unix()})))
	want(t, "a new key an hour before", err, nil)
}

func TestAFetchIsBoundedInTime(t *testing.T) {
	withIssuer(t, func(t *testing.T, f *fakeIssuer, _ *Verifier, verify func(string) error) {
		f.change(func() { f.delay = time.Hour })
		start := time.Now()
		want(t, "an issuer that does not answer", verify("es"), ErrKeysUnavailable)
		if got := time.Since(start); got != fetchTimeout {
			t.Errorf("got %v, want %v", got, fetchTimeout)
		}
	})
}

func TestFreshnessFollowsCacheControlWithinBounds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		control, age string
		want         time.Duration
	}{
		{"", "", defaultFresh}, {"public", "", defaultFresh}, {"max-age=600", "", 10 * time.Minute}, {`Public, Max-Age="600"`, "", 10 * time.Minute},
		{"max-age=600", "120", 8 * time.Minute}, {"max-age=600", "100000", minFresh}, {"max-age=600", "nonsense", 10 * time.Minute},
		{"max-age=0", "", minFresh}, {"max-age=1", "", minFresh}, {"no-store", "", minFresh}, {"max-age=600, no-cache", "", minFresh},
		{"max-age=86401", "", maxFresh}, {"max-age=99999999999999999999999", "", maxFresh}, {"max-age=-5", "", defaultFresh}, {"max-age", "", defaultFresh},
	} {
		h := http.Header{}
		h.Set("Cache-Control", tt.control)
		h.Set("Age", tt.age)
		if got := freshness(h); got != tt.want {
			t.Errorf("%q, Age %q: got %v, want %v", tt.control, tt.age, got, tt.want)
		}
	}
}

func TestTheIssuerSaysHowLongItsKeysAreFresh(t *testing.T) {
	withIssuer(t, func(t *testing.T, f *fakeIssuer, _ *Verifier, verify func(string) error) {
		f.change(func() { f.header = http.Header{"Cache-Control": {"max-age=120"}} })
		want(t, "at first", verify("es"), nil)
		for _, tt := range []struct {
			wait    time.Duration
			fetches int
		}{{119 * time.Second, 1}, {time.Second, 2}, {119 * time.Second, 2}, {time.Second, 3}} {
			time.Sleep(tt.wait)
			want(t, "later", verify("es"), nil)
			synctest.Wait()
			wantFetches(t, "later", f, tt.fetches)
		}
	})
}
