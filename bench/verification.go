//go:build linux

package main

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/bitjang/bitjang/verify"
)

// verification measures package verify as a resource server uses it: the keys
// come from the server that runs, the tokens are different sessions'.
func (b *bench) verification(ctx context.Context, server *process) error {
	tokens, err := b.freshTokens()
	if err != nil {
		return err
	}
	issuer := "http://" + server.address
	for _, v := range []struct {
		name  string
		cache int
		into  *verifying
	}{{"cached", 0, &b.results.Cached}, {"uncached", -1, &b.results.Uncached}} {
		verifier, err := verify.New(verify.Config{Issuer: issuer, Audience: issuer, CacheSize: v.cache})
		if err != nil {
			return err
		}
		one, err := verifyFor(ctx, verifier, tokens, 1, b.duration/5)
		if err != nil {
			return err
		}
		all, err := verifyFor(ctx, verifier, tokens, runtime.GOMAXPROCS(0), b.duration/5)
		if err != nil {
			return err
		}
		v.into.One, v.into.All = append(v.into.One, one), append(v.into.All, all)
		b.say("  verification %-8s %s/s on one core, %s/s on all", v.name, thousands(one), thousands(all))
	}
	return nil
}

// freshTokens are access tokens of some hundred sessions: what a cache sees is
// never one token alone.
func (b *bench) freshTokens() ([]string, error) {
	var tokens []string
	for _, c := range b.callers {
		for i := range min(len(c.tokens), 8) {
			body, err := c.refresh(i)
			if err != nil {
				return nil, fmt.Errorf("tokens to verify: %w", err)
			}
			tokens = append(tokens, stringField(body, "access_token"))
		}
	}
	return tokens, nil
}

// verifyFor returns verifications per second by so many goroutines.
func verifyFor(ctx context.Context, v *verify.Verifier, tokens []string, workers int, length time.Duration) (float64, error) {
	for _, token := range tokens { // fetches the keys and fills the cache
		if _, err := v.Verify(ctx, token); err != nil {
			return 0, err
		}
	}
	const stride = 32 // verifications between two looks at the clock
	counts, errs := make([]int, workers), make([]error, workers)
	var wg sync.WaitGroup
	began := time.Now()
	for w := range workers {
		wg.Go(func() {
			n := 0
			for errs[w] == nil && (n == 0 || time.Since(began) < length) {
				for range stride {
					if _, err := v.Verify(ctx, tokens[(w+n)%len(tokens)]); err != nil {
						errs[w] = err
					}
					n++
				}
			}
			counts[w] = n
		})
	}
	wg.Wait()
	took := time.Since(began)
	total := 0
	for w := range workers {
		total += counts[w]
		if errs[w] != nil {
			return 0, errs[w]
		}
	}
	return float64(total) / took.Seconds(), nil
}
