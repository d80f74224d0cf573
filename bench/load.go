//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/store/sqlstore"
)

// logins is how many of the sessions are real ones, which callers hold tokens
// of. Tokens are made by the server only, and a login costs a password hash.
func (b *bench) logins() int { return max(b.most(), min(1000, b.sessions/100)) }

// load fills the database: real sessions through the API, the others straight
// into the table. Ids are random, so the real ones lie all over it.
func (b *bench) load(ctx context.Context) error {
	server, err := b.start(ctx)
	if err != nil {
		return err
	}
	err = b.logIn()
	server.stop()
	if err != nil {
		return err
	}
	began := time.Now()
	more := max(0, b.sessions-b.logins())
	if err := b.insert(ctx, more); err != nil {
		return err
	}
	b.results.Sessions, b.results.Logins = b.logins()+more, b.logins()
	b.say("database: %s sessions, %d of them logged in, the others inserted in %s", thousands(float64(b.results.Sessions)), b.logins(), time.Since(began).Round(100*time.Millisecond))
	return nil
}

// loginsAtOnce stays below the bound of the server's queue for hashes.
const loginsAtOnce = 4

// logIn gives each caller its share of sessions. A few users do, each of them
// with many devices.
func (b *bench) logIn() error {
	const users, password = 10, "seven grey geese fly south"
	address := b.callers[0].address
	for i := range users {
		if err := b.callers[0].signup(email(i), password); err != nil {
			return err
		}
	}
	b.say("logging in %d times", b.logins())
	tokens, errs := make([]string, b.logins()), make([]error, loginsAtOnce)
	var wg sync.WaitGroup
	for worker := range loginsAtOnce {
		wg.Go(func() {
			c := &caller{address: address}
			defer c.hangUp()
			for i := worker; i < len(tokens) && errs[worker] == nil; i += loginsAtOnce {
				tokens[i], errs[worker] = c.login(email(i%users), password)
			}
		})
	}
	wg.Wait()
	for i, token := range tokens {
		c := b.callers[i%len(b.callers)]
		c.tokens = append(c.tokens, token)
	}
	return errors.Join(errs...)
}

func email(user int) string { return fmt.Sprintf("user%d@example.com", user) }

// insert writes n sessions, from many goroutines so that they share commits.
func (b *bench) insert(ctx context.Context, n int) (err error) {
	store, err := sqlstore.Open(ctx, "sqlite:"+filepath.Join(b.dir, "data", "bitjang.db"))
	if err != nil {
		return err
	}
	now := thisMillisecond()
	err = inParallel(n, 64, func(int) error { return store.InsertSession(ctx, newSession(now, newUserID())) })
	if err != nil {
		err = fmt.Errorf("insert sessions: %w", err)
	}
	return errors.Join(err, store.Close())
}

// inParallel does something n times from many goroutines, up to the first error
// of each.
func inParallel(n, goroutines int, do func(i int) error) error {
	var next atomic.Int64
	errs := make([]error, goroutines)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for errs[g] == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				errs[g] = do(i)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// thisMillisecond is now at the precision of the stores.
func thisMillisecond() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// newUserID is a UUID, as users have.
func newUserID() string {
	var user [16]byte
	_, _ = rand.Read(user[:]) // never fails
	return bitjang.SessionID(user).String()
}

// usualGeneration is how often a usual session has been refreshed.
const usualGeneration = 8

// newSession is a usual one, somewhere in its life. Its address and User-Agent
// are those of our callers, so that a refresh has nothing to note.
func newSession(now time.Time, user string) bitjang.Session {
	s := bitjang.Session{
		ID: bitjang.NewSessionID(user), UserID: user, ClientID: "bitjang", Version: 9,
		CreatedAt: now.Add(-240 * time.Hour), LastSeenAt: now, IdleExpiresAt: now.Add(336 * time.Hour), ExpiresAt: now.Add(1920 * time.Hour),
		AuthTime: now.Add(-240 * time.Hour), AMR: []string{"pwd"}, ACR: "aal1",
		IP: netip.AddrFrom4([4]byte{127, 0, 0, 1}),
	}
	s.Device.UserAgent = userAgent
	s.Generation, s.ConfirmedAt, s.ChildAt = usualGeneration, now, now
	_, _ = rand.Read(s.Nonce[:]) // never fails
	_, _ = rand.Read(s.Parent[:])
	return s
}
