package bitjang_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bitjang/bitjang"
)

var guessHours = flag.Int("guess.hours", 1, "how many hours of made-up time an attack of TestGuessingRun lasts")

// attack is a day, or an hour, of guessing from many addresses.
type attack struct {
	name      string
	addresses int
	accounts  int // how many the attacker has a list of; 1: the victim's
	every     time.Duration
	from      func(n int) bitjang.Caller
	target    func(a attack, n, k int) int // which account address n tries at its kth guess
	longest   time.Duration
	// most is how many guesses may be let through in the first hour: what the
	// limits promise, so that the test is red without them.
	most int
}

const day = 24 * time.Hour

var attacks = []attack{
	{"1 address, 1 account", 1, 1, time.Second, stranger, inTurn, day, 21},
	{"1,000 addresses, 1 account", 1000, 1, 5 * time.Minute, stranger, inTurn, day, 21},
	{"1 address, 100,000 accounts", 1, 100_000, time.Second, stranger, inTurn, day, 90},
	{"100 networks in one /16, 1,000,000 accounts", 100, 1_000_000, 20 * time.Second, stranger, inTurn, day, 6600},
	{"1,000 networks far apart, 5,000,000 accounts", 1000, 5_000_000, 20 * time.Second, bot, inTurn, day, 78_000},
	{"100 networks far apart, each at 50 accounts of its own", 100, 5000, 3 * time.Second, bot, ownFifty, 4 * time.Hour, 68_000},
}

// inTurn is stuffing: a password is tried on each account of the list, and then
// the next.
func inTurn(a attack, n, k int) int { return (k*a.addresses + n) % a.accounts }

// ownFifty is the worst case against many accounts: no network is seen to fail
// at more than a few of them.
func ownFifty(_ attack, n, k int) int { return n*50 + k%50 }

// bot is somebody in one of 65,536 networks that share no /16.
func bot(n int) bitjang.Caller {
	return caller(fmt.Sprintf("%d.%d.10.7", n/256%256, n%256), fmt.Sprintf("bot-0123456789-%d", n), "curl/8.0")
}

// outcome is what an attack and its victim came to.
type outcome struct {
	firstHour, all   atomic.Int64 // guesses let through
	refused          atomic.Int64
	known, unknown   atomic.Int64 // the victim's logins that worked, from a known device and from new ones
	knownOf, newOnes atomic.Int64 // of so many
}

// TestGuessingRun plays attacks on made-up time against two nodes, while the
// victim logs in every ten minutes from the known device and once an hour from a
// new one. `make guess` plays a day.
func TestGuessingRun(t *testing.T) {
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			if (testing.Short() || raced) && a.addresses > 1 && a.accounts > 1 {
				t.Skip("counts a hundred thousand guesses: make test runs it once more, without the race detector")
			}
			length := min(time.Duration(*guessHours)*time.Hour, a.longest)
			synctest.Test(t, func(t *testing.T) {
				o := a.run(t, length)
				hours := length.Hours()
				t.Logf("| %s, %v | %d | %.1f | %d | %d of %d | %d of %d |", a.name, length, o.firstHour.Load(), float64(o.all.Load())/hours,
					o.refused.Load(), o.known.Load(), o.knownOf.Load(), o.unknown.Load(), o.newOnes.Load())
				if got := o.firstHour.Load(); got > int64(a.most) {
					t.Errorf("got %d guesses let through in the first hour, want at most %d", got, a.most)
				}
				if o.known.Load() != o.knownOf.Load() {
					t.Errorf("got %d of %d logins of the victim from a known device", o.known.Load(), o.knownOf.Load())
				}
			})
		})
	}
}

func (a attack) run(t *testing.T, length time.Duration) *outcome {
	r := newRig(t, limited, func(c *bitjang.Config) { c.Now, c.Logger, c.PasswordQueue = time.Now, nil, 100_000 })
	r.addAda(t)
	r.login(t, knownDevice)
	nodes := []*bitjang.Service{r.Service, r.node(t, r.cfg)}
	for _, n := range nodes {
		n.CheapenHashes() // how long a guess takes makes no difference
		if err := n.LoadKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), length)
	defer stop()
	o, began := &outcome{}, time.Now()
	var all sync.WaitGroup
	for n := range a.addresses {
		all.Go(func() {
			time.Sleep(a.every * time.Duration(n) / time.Duration(a.addresses))
			for k := 0; ctx.Err() == nil; k++ {
				email := ada
				if a.accounts > 1 {
					email = fmt.Sprintf("user%d@example.com", a.target(a, n, k))
				}
				_, err := nodes[k%2].Login(t.Context(), loginAs(email, fmt.Sprintf("guess %d", k), a.from(n)))
				o.note(err, time.Since(began))
				time.Sleep(a.every)
			}
		})
	}
	all.Go(func() { o.victim(ctx, nodes) })
	all.Wait()
	return o
}

func (o *outcome) note(err error, at time.Duration) {
	switch {
	case errors.Is(err, bitjang.ErrInvalidCredentials):
		o.all.Add(1)
		if at < time.Hour {
			o.firstHour.Add(1)
		}
	case errors.Is(err, bitjang.ErrTooManyAttempts):
		o.refused.Add(1)
	}
}

func (o *outcome) victim(ctx context.Context, nodes []*bitjang.Service) {
	for k := 1; ; k++ {
		time.Sleep(10*time.Minute - 17*time.Second)
		if ctx.Err() != nil {
			return
		}
		o.knownOf.Add(1)
		if _, err := nodes[k%2].Login(context.WithoutCancel(ctx), loginAs(ada, rightPass, knownDevice)); err == nil {
			o.known.Add(1)
		}
		if k%6 == 0 {
			o.newOnes.Add(1)
			from := newDevice
			from.Device.ID = fmt.Sprintf("a-new-device-0123456789-%d", k)
			if _, err := nodes[k%2].Login(context.WithoutCancel(ctx), loginAs(ada, rightPass, from)); err == nil {
				o.unknown.Add(1)
			}
		}
	}
}
