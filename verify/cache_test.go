package verify

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bitjang/bitjang/internal/jws"
)

// cached reports whether v answers without verifying the token anew: nothing new
// passes while no algorithm is allowed.
func cached(t *testing.T, v *Verifier, token string) bool {
	t.Helper()
	allowed := v.cfg.Algorithms
	v.cfg.Algorithms = nil
	defer func() { v.cfg.Algorithms = allowed }()
	_, err := v.Verify(t.Context(), token)
	return err == nil
}

func TestVerifiedTokensAreRemembered(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]bool{0: true, 2: true, -1: false} {
		v := newVerifier(t, func(c *Config) { c.CacheSize = size })
		token := mint(t, "es", claimsJSON(t, nil))
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if got := cached(t, v, token); got != want {
			t.Errorf("size %d: got remembered %v, want %v", size, got, want)
		}
	}
}

func TestARememberedTokenStillExpires(t *testing.T) {
	t.Parallel()
	now := testNow
	v := newVerifier(t, func(c *Config) { c.Now = func() time.Time { return now } })
	token := mint(t, "es", claimsJSON(t, nil))
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		at   time.Duration
		want error
	}{
		{9*time.Minute + 29*time.Second, nil}, {9*time.Minute + 30*time.Second, ErrExpired}, {-2 * time.Minute, ErrNotYetValid}, {0, nil},
	} {
		now = testNow.Add(tt.at)
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, tt.want) {
			t.Errorf("after %v: got %v, want %v", tt.at, err, tt.want)
		}
	}
}

func TestARememberedTokenDiesWithItsKey(t *testing.T) {
	t.Parallel()
	keys := keysFor("es", "es2")
	v := newVerifier(t, func(c *Config) { c.Keys = keys })
	token := mint(t, "es", claimsJSON(t, nil))
	check := func(what string, want error) {
		t.Helper()
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", what, err, want)
		}
	}
	check("at first", nil)
	good := keys.keys["es"]
	keys.change(func() { keys.keys["es"] = &Key{"es", "ES256", signers()["es2"].Public()} })
	check("another key under the same id", ErrBadSignature)
	keys.change(func() { delete(keys.keys, "es") })
	check("no key", ErrUnknownKey)
	keys.change(func() { keys.err = errors.New("down") })
	check("no answer", ErrKeysUnavailable)
	keys.change(func() { keys.err, keys.keys["es"] = nil, good })
	check("the key again", nil)
}

func TestRefusedTokensAreNotRemembered(t *testing.T) {
	t.Parallel()
	keys := keysFor()
	v := newVerifier(t, func(c *Config) { c.Keys = keys })
	token := mint(t, "es", claimsJSON(t, nil))
	if _, err := v.Verify(t.Context(), token); !errors.Is(err, ErrUnknownKey) {
		t.Fatalf("got %v, want %v", err, ErrUnknownKey)
	}
	if len(v.cache.young)+len(v.cache.old) != 0 {
		t.Error("a refusal is in the cache")
	}
	keys.change(func() { keys.keys["es"] = keysFor("es").keys["es"] })
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Errorf("got %v, want the token taken once its key is known", err)
	}
}

func TestCallersCannotChangeRememberedClaims(t *testing.T) {
	t.Parallel()
	v := newVerifier(t, nil)
	token := mint(t, "es", claimsJSON(t, nil))
	for range 3 {
		c, err := v.Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(goodClaims(), c); diff != "" {
			t.Fatalf("want -, got +:\n%s", diff)
		}
		c.Subject, c.Roles[0], c.Audience[0], c.AMR[0] = "admin", "root", "x", "x"
		_ = append(c.Roles, "root")
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	t.Parallel()
	const size = 10
	c := newTokenCache(size)
	hash := func(i int) (h tokenHash) { h[0], h[1] = byte(i), byte(i>>8); return h }
	c.put(hash(0), verified{})
	for i := range 1000 {
		c.put(hash(i+1), verified{})
		if got := len(c.young) + len(c.old); got > size {
			t.Fatalf("got %d entries, want at most %d", got, size)
		}
		if _, ok := c.get(hash(0)); !ok {
			t.Fatalf("after %d others the entry in constant use is gone", i+1)
		}
	}
	if _, ok := c.get(hash(500)); ok {
		t.Error("an entry that nobody used is still there")
	}
}

func TestVerifyIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	v := newVerifier(t, func(c *Config) { c.CacheSize = 4 })
	var wg sync.WaitGroup
	for i := range 8 {
		token := mint(t, "es", claimsJSON(t, map[string]any{"sub": fmt.Sprint("user-", i)}))
		for range 4 {
			wg.Go(func() {
				for range 20 {
					c, err := v.Verify(t.Context(), token)
					if err != nil || c.Subject != fmt.Sprint("user-", i) {
						t.Errorf("got %v, %v, want user-%d", c, err, i)
					}
				}
			})
		}
	}
	wg.Wait()
}

func BenchmarkVerifyCached(b *testing.B)   { benchmarkVerify(b, 0) }
func BenchmarkVerifyUncached(b *testing.B) { benchmarkVerify(b, -1) }

// benchmarkVerify uses the fetched keys' source, which is what a resource server
// runs with.
func benchmarkVerify(b *testing.B, cacheSize int) {
	pub := signers()["es"].Public()
	remote := newRemoteKeys("https://auth.example.com/jwks.json", Config{}.withDefaults().HTTPClient, time.Now)
	remote.replace([]jws.Key{{ID: "es", Algorithm: "ES256", Public: pub}}, time.Hour)
	v := newVerifier(b, func(c *Config) { c.Keys, c.CacheSize = remote, cacheSize })
	token := mint(b, "es", claimsJSON(b, nil))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}
