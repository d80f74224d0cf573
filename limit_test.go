package bitjang_test

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/store/sqlstore"
)

// limited switches the limits on, which most tests do without.
func limited(c *bitjang.Config) { c.NoRateLimits = false }

var (
	knownDevice = caller("192.0.2.1", "the-laptop-0123456789abcdef", browserOfAda)
	newDevice   = caller("192.0.2.9", "a-new-phone-0123456789abcdef", browserOfAda)
)

const browserOfAda = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

// stranger is somebody at one of 65,536 addresses in as many /24 networks.
func stranger(n int) bitjang.Caller {
	return caller(fmt.Sprintf("10.%d.%d.7", n/256%256, n%256), fmt.Sprintf("stranger-0123456789-%d", n), "curl/8.0")
}

// inBubble runs a test of a limited service on made-up time, in which waiting
// costs nothing.
func inBubble(t *testing.T, run func(t *testing.T, r *rig), edits ...func(*bitjang.Config)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		edits := append([]func(*bitjang.Config){limited, func(c *bitjang.Config) { c.Now = time.Now }}, edits...)
		r := newRig(t, edits...)
		run(t, r)
	})
}

// guess tries a password and says what came of it.
func (r *rig) guess(t *testing.T, svc *bitjang.Service, email, password string, from bitjang.Caller) error {
	t.Helper()
	_, err := svc.Login(t.Context(), loginAs(email, password, from))
	return err
}

// lock guesses until the account is locked, and says how many were let through.
func (r *rig) lock(t *testing.T, email string) int {
	t.Helper()
	for n := range 1000 {
		if errors.Is(r.guess(t, r.Service, email, wrongPass, stranger(n)), bitjang.ErrTooManyAttempts) {
			return n
		}
	}
	t.Fatal("got 1000 guesses let through, want a lockout")
	return 0
}

func TestGuessesLockAnAccountForStrangersAndNotForItsOwnDevices(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.addAda(t)
		r.login(t, knownDevice)
		if n := r.lock(t, ada); n != 5 {
			t.Errorf("got %d guesses let through, want 5", n)
		}
		checkErr(t, r.guess(t, r.Service, ada, wrongPass, newDevice), bitjang.ErrTooManyAttempts)
		err := r.guess(t, r.Service, ada, rightPass, newDevice)
		checkErr(t, err, bitjang.ErrTooManyAttempts) // a right password is refused like a wrong one
		if wait := bitjang.AsError(err).RetryAfter; wait <= 0 || wait > 30*time.Second {
			t.Errorf("got %v to wait, want up to 30 s", wait)
		}
		elsewhere := knownDevice
		elsewhere.IP = netip.MustParseAddr("198.51.100.1")
		if err := r.guess(t, r.Service, ada, rightPass, elsewhere); err != nil {
			t.Errorf("got %v on a device of the user's, want a login", err)
		}
		time.Sleep(30 * time.Second)
		if err := r.guess(t, r.Service, ada, rightPass, newDevice); err != nil {
			t.Errorf("got %v after the wait, want a login", err)
		}
	})
}

func TestWaitingGrowsWithEachGuess(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.addAda(t)
		let, waits := 0, []time.Duration{}
		for begin := time.Now(); time.Since(begin) < 24*time.Hour && let < 1000; {
			err := r.guess(t, r.Service, ada, wrongPass, stranger(let))
			if e := bitjang.AsError(err); errors.Is(err, bitjang.ErrTooManyAttempts) {
				waits = append(waits, e.RetryAfter)
				time.Sleep(e.RetryAfter)
				continue
			}
			let++
		}
		if let < 45 || let > 55 {
			t.Errorf("got %d guesses in a day by one who waits as told, want about 52", let)
		}
		if len(waits) == 0 {
			t.Fatal("nothing was refused")
		}
		if first, last := waits[0], waits[len(waits)-1]; first > 30*time.Second || last < time.Hour {
			t.Errorf("got waits from %v to %v, want from half a minute to more than an hour", first, last)
		}
	})
}

func TestAKnownDeviceHasALimitOfItsOwn(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.addAda(t)
		r.login(t, knownDevice)
		n := 0
		for n < 100 && !errors.Is(r.guess(t, r.Service, ada, wrongPass, knownDevice), bitjang.ErrTooManyAttempts) {
			n++
		}
		if n != 10 {
			t.Errorf("got %d guesses let through from a known device, want 10", n)
		}
		if err := r.guess(t, r.Service, ada, rightPass, newDevice); err != nil {
			t.Errorf("got %v from a new device, want a login: a stolen device must not lock its owner out", err)
		}
	})
}

func TestWhatMakesADeviceKnown(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		device string
		spoil  func(t *testing.T, r *rig, tokens bitjang.Tokens)
		want   error
	}{
		"a login with a long id":     {"the-laptop-0123456789abcdef", nil, nil},
		"a logout changes nothing":   {"the-laptop-0123456789abcdef", endAs(bitjang.EndedByLogout), nil},
		"the user disowned it":       {"the-laptop-0123456789abcdef", endAs(bitjang.EndedByDisowner), bitjang.ErrTooManyAttempts},
		"a name that can be guessed": {"laptop", nil, bitjang.ErrTooManyAttempts},
		"no id":                      {"", nil, bitjang.ErrTooManyAttempts},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				from := caller("192.0.2.1", tt.device, browserOfAda)
				tokens := r.login(t, from)
				if tt.spoil != nil {
					tt.spoil(t, r, tokens)
				}
				r.lock(t, ada)
				checkErr(t, r.guess(t, r.Service, ada, rightPass, from), tt.want)
			})
		})
	}
}

func endAs(why bitjang.EndReason) func(*testing.T, *rig, bitjang.Tokens) {
	return func(t *testing.T, r *rig, tokens bitjang.Tokens) {
		t.Helper()
		if err := r.EndSession(t.Context(), bitjang.EndSessionInput{ID: tokens.Session.ID, Reason: why}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestADeviceOfSomebodyElsesIsNotKnown(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.addAda(t)
		if _, err := r.AddUser(t.Context(), bitjang.AddUserInput{Email: "bob@example.com", Password: bitjang.NewSecret(rightPass)}); err != nil {
			t.Fatal(err)
		}
		if err := r.guess(t, r.Service, "bob@example.com", rightPass, knownDevice); err != nil {
			t.Fatal(err)
		}
		r.lock(t, ada)
		checkErr(t, r.guess(t, r.Service, ada, rightPass, knownDevice), bitjang.ErrTooManyAttempts)
	})
}

func TestUnknownAddressesAreLimitedLikeKnownOnes(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.addAda(t)
		for _, password := range []string{wrongPass, rightPass} {
			for n := range 8 {
				type answer struct {
					text string
					wait time.Duration
					took time.Duration
				}
				var got [2]answer
				for i, email := range []string{ada, "Nobody@example.com"} {
					began := time.Now()
					err := r.guess(t, r.Service, email, password, stranger(100*i+n))
					got[i] = answer{bitjang.AsError(err).Reason, bitjang.AsError(err).RetryAfter.Round(time.Second), time.Since(began)}
				}
				if got[0] != got[1] {
					t.Errorf("try %d: got %v for an account and %v for none", n, got[0], got[1])
				}
				if got[0].took < 300*time.Millisecond {
					t.Errorf("try %d took %v, want the floor of 300 ms", n, got[0].took)
				}
			}
		}
	})
}

func TestLimitsHoldAcrossNodes(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.addAda(t)
		nodes := []*bitjang.Service{r.Service, r.node(t, r.cfg), r.node(t, r.cfg)}
		let := 0
		for n := range 12 {
			if errors.Is(r.guess(t, nodes[n%3], ada, wrongPass, stranger(n)), bitjang.ErrInvalidCredentials) {
				let++
			}
		}
		if let != 5 {
			t.Errorf("got %d guesses let through by three nodes, want 5", let)
		}
	})
}

func TestManyGuessesAtOnceGetNoMoreThanOneAfterTheOther(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.addAda(t)
		var all sync.WaitGroup
		var mu sync.Mutex
		let := 0
		for n := range 64 {
			all.Go(func() {
				_, err := r.Login(t.Context(), loginAs(ada, wrongPass, stranger(n)))
				if errors.Is(err, bitjang.ErrInvalidCredentials) {
					mu.Lock()
					let++
					mu.Unlock()
				}
			})
		}
		all.Wait()
		if let > 5 {
			t.Errorf("got %d of 64 guesses at once let through, want at most 5", let)
		}
	})
}

func TestRightPasswordsCostNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.addAda(t)
		for n := range 20 { // a new device each time, from one office
			from := newDevice
			from.Device.ID = fmt.Sprintf("a-device-0123456789-%d", n)
			if err := r.guess(t, r.Service, ada, rightPass, from); err != nil {
				t.Fatalf("login %d: got %v", n, err)
			}
		}
		for range 4 {
			checkErr(t, r.guess(t, r.Service, ada, wrongPass, newDevice), bitjang.ErrInvalidCredentials)
		}
		if err := r.guess(t, r.Service, ada, rightPass, stranger(1)); err != nil {
			t.Errorf("got %v after four mistakes, want a login", err)
		}
	})
}

func TestALockoutIsToldAndLifted(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		u := r.addAda(t)
		r.login(t, knownDevice)
		r.lock(t, ada)
		for range 3 {
			checkErr(t, r.guess(t, r.Service, ada, wrongPass, newDevice), bitjang.ErrTooManyAttempts)
		}
		for n := 0; n < 100 && !errors.Is(r.guess(t, r.Service, ada, wrongPass, knownDevice), bitjang.ErrTooManyAttempts); n++ {
		}
		told := map[string]int{}
		for _, e := range r.userEvents(t, u.ID) {
			if e.Type == bitjang.EventLoginLimited {
				told[e.Reason]++
			}
		}
		if len(told) != 2 || told["login_account"] != 1 || told["login_device"] != 1 {
			t.Errorf("got events %v, want one for each limit", told)
		}
		if r.Stats().Limited["login_account"] != 4 || r.Stats().Limited["login_device"] != 1 {
			t.Errorf("got counts %v", r.Stats().Limited)
		}
		if _, err := r.UnlockUser(t.Context(), u.ID); err != nil {
			t.Fatal(err)
		}
		if e := r.userEvents(t, u.ID)[0]; e.Type != bitjang.EventLoginUnlocked {
			t.Errorf("got %s, want login_unlocked", e.Type)
		}
		for _, from := range []bitjang.Caller{newDevice, knownDevice} {
			for range 3 {
				checkErr(t, r.guess(t, r.Service, ada, wrongPass, from), bitjang.ErrInvalidCredentials)
			}
		}
		_, err := r.UnlockUser(t.Context(), "no such id")
		checkErr(t, err, bitjang.ErrNoSuchUser)
	})
}

func TestCredentialStuffingIsNoticedAndCostsItsNetworkMore(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.addAda(t)
		from, let := stranger(1), 0
		for n := range 400 {
			err := r.guess(t, r.Service, fmt.Sprintf("user%d@example.com", n), wrongPass, from)
			if errors.Is(err, bitjang.ErrInvalidCredentials) {
				let++
			}
		}
		if let < 45 || let > 60 {
			t.Errorf("got %d accounts tried from one network, want about 55 of 400", let)
		}
		if n := r.Stats().Stuffing; n != 1 {
			t.Errorf("got %d notices, want 1", n)
		}
		reasons := map[string]bool{}
		for _, e := range r.userEvents(t, "") {
			if e.Type == bitjang.EventCredentialStuffing && e.Count >= 40 {
				reasons[e.Reason] = true
			}
		}
		if !reasons["10.0.1.0/24"] {
			t.Errorf("got events about %v", reasons)
		}
		neighbour := from
		neighbour.Device.ID = newDevice.Device.ID
		checkErr(t, r.guess(t, r.Service, ada, rightPass, neighbour), bitjang.ErrTooManyAttempts)
		if err := r.guess(t, r.Service, ada, rightPass, newDevice); err != nil {
			t.Errorf("got %v from another network, want a login", err)
		}
		let = 0
		for begin := time.Now(); time.Since(begin) < time.Hour; time.Sleep(10 * time.Second) {
			if errors.Is(r.guess(t, r.Service, fmt.Sprintf("other%v@example.com", time.Now().Unix()), wrongPass, from), bitjang.ErrInvalidCredentials) {
				let++
			}
		}
		if let < 25 || let > 45 {
			t.Errorf("got %d in the next hour, want about 35", let)
		}
	})
}

func TestCredentialStuffingFromManyNetworksIsNoticed(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		for n := range 60 {
			checkErr(t, r.guess(t, r.Service, fmt.Sprintf("user%d@example.com", n), wrongPass, stranger(n)), bitjang.ErrInvalidCredentials)
		}
		for _, e := range r.userEvents(t, "") {
			if e.Type == bitjang.EventCredentialStuffing && e.Reason == "everywhere" && e.Count == 50 {
				return
			}
		}
		t.Error("failures at sixty accounts from sixty networks were not noticed")
	})
}

func TestAFewAccountsThatFailOftenAreNoStuffing(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		for n := range 60 {
			checkErr(t, r.guess(t, r.Service, fmt.Sprintf("user%d@example.com", n%12), wrongPass, stranger(1)), bitjang.ErrInvalidCredentials)
		}
		if n := r.Stats().Stuffing; n != 0 {
			t.Errorf("got %d notices of sixty failures at twelve accounts, want none", n)
		}
	})
}

func TestAnOfficeThatMistypesIsNoStuffing(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		for n := range 150 { // in a quarter of an hour, behind one address
			email := fmt.Sprintf("user%d@example.com", n)
			if _, err := r.AddUser(t.Context(), bitjang.AddUserInput{Email: email, Password: bitjang.NewSecret(rightPass)}); err != nil {
				t.Fatal(err)
			}
			from := newDevice
			from.Device.ID = fmt.Sprintf("a-device-0123456789-%d", n)
			if n%2 == 0 {
				checkErr(t, r.guess(t, r.Service, email, wrongPass, from), bitjang.ErrInvalidCredentials)
			}
			if err := r.guess(t, r.Service, email, rightPass, from); err != nil {
				t.Fatalf("login %d: got %v", n, err)
			}
			time.Sleep(6 * time.Second)
		}
		if n := r.Stats().Stuffing; n != 0 {
			t.Errorf("got %d notices, want none", n)
		}
	})
}

func TestWithoutTheStoreOfLimitsNobodyIsLetThrough(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.addAda(t)
		down := func(method string) error {
			if method == "Spend" {
				return errors.New("down")
			}
			return nil
		}
		r.store.watch(down, nil)
		err := r.guess(t, r.Service, ada, rightPass, newDevice)
		checkErr(t, err, bitjang.ErrStoreDown)
		_, err = r.Signup(t.Context(), bitjang.SignupInput{Email: "new@example.com", Password: newPass, Caller: newDevice})
		checkErr(t, err, bitjang.ErrStoreDown)
		r.store.watch(nil, nil)
		if err := r.guess(t, r.Service, ada, rightPass, newDevice); err != nil {
			t.Errorf("got %v when the store is back", err)
		}
	})
}

func TestAFullPoolIsNobodysFailure(t *testing.T) {
	t.Parallel()
	r := newRig(t, limited, func(c *bitjang.Config) { c.PasswordWorkers, c.PasswordQueue = 1, 1 })
	r.addAda(t)
	release := make(chan struct{})
	var busy sync.WaitGroup
	for range 2 { // one works, one waits
		busy.Go(func() { _ = r.OccupyWorker(release) })
	}
	for stats := r.Stats(); stats.PasswordRunning+stats.PasswordWait < 2; stats = r.Stats() {
		time.Sleep(time.Millisecond)
	}
	for range 20 {
		checkErr(t, r.guess(t, r.Service, ada, rightPass, newDevice), bitjang.ErrOverloaded)
	}
	close(release)
	busy.Wait()
	if err := r.guess(t, r.Service, ada, rightPass, newDevice); err != nil {
		t.Errorf("got %v, want a login", err)
	}
}

func TestAStolenSessionFindsOutNoPassword(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		u := r.addAda(t)
		id := r.authenticate(t, r.login(t, knownDevice))
		change := func(password string) error {
			_, err := r.ChangePassword(t.Context(), bitjang.ChangePasswordInput{Identity: id, Current: bitjang.NewSecret(password), New: newPass, Caller: knownDevice})
			return err
		}
		for range 5 {
			checkErr(t, change(wrongPass), bitjang.ErrInvalidCredentials)
		}
		checkErr(t, change(rightPass), bitjang.ErrTooManyAttempts)
		_, err := r.DeleteAccount(t.Context(), bitjang.DeleteAccountInput{UserID: u.ID, Password: bitjang.NewSecret(rightPass)})
		checkErr(t, err, bitjang.ErrTooManyAttempts) // one limit for all that asks for the password
		time.Sleep(30 * time.Second)
		if err := change(rightPass); err != nil {
			t.Errorf("got %v after the wait", err)
		}
	})
}

func TestARefreshInATightLoopIsSlowedPerSession(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		tokens, other := r.login(t, knownDevice), r.login(t, newDevice)
		for range 60 {
			tokens = r.refresh(t, tokens, knownDevice)
		}
		_, err := r.Refresh(t.Context(), bitjang.RefreshInput{Token: tokens.Refresh, Caller: knownDevice})
		checkErr(t, err, bitjang.ErrTooManyAttempts)
		if wait := bitjang.AsError(err).RetryAfter; wait <= 0 || wait > time.Second {
			t.Errorf("got %v to wait, want up to a second", wait)
		}
		fromSamePlace := newDevice
		fromSamePlace.IP = knownDevice.IP
		r.refresh(t, other, fromSamePlace) // never per address
		time.Sleep(time.Second)
		r.refresh(t, tokens, knownDevice)
	})
}

func TestARefreshSpendsNothingInTheStore(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		tokens := r.refresh(t, r.login(t, knownDevice), knownDevice)
		r.store.watch(nil, nil)
		r.refresh(t, tokens, knownDevice)
		if calls := r.store.calls(); len(calls) != 1 || calls[0] != "ConfirmSession" {
			t.Errorf("got calls %v, want ConfirmSession alone", calls)
		}
	})
}

func TestARightPasswordThatIsAnsweredLikeAWrongOneCountsLikeOne(t *testing.T) {
	t.Parallel()
	m := newMailing(t, limited, func(c *bitjang.Config) { c.VerifyEmail = bitjang.VerifyRequired })
	m.addAda(t)
	for n := range 5 {
		checkErr(t, m.guess(t, m.Service, ada, rightPass, stranger(n)), bitjang.ErrInvalidCredentials)
	}
	checkErr(t, m.guess(t, m.Service, ada, rightPass, stranger(9)), bitjang.ErrTooManyAttempts)
}

func TestDisowningIsLimitedPerNetwork(t *testing.T) {
	t.Parallel()
	r := newRig(t, limited)
	for range 100 {
		_, err := r.Disown(t.Context(), bitjang.NewSecret("bjl_nothing"), newDevice)
		checkErr(t, err, bitjang.ErrLinkInvalid)
	}
	_, err := r.Disown(t.Context(), bitjang.NewSecret("bjl_nothing"), newDevice)
	checkErr(t, err, bitjang.ErrTooManyAttempts)
	_, err = r.Disown(t.Context(), bitjang.NewSecret("bjl_nothing"), stranger(1))
	checkErr(t, err, bitjang.ErrLinkInvalid)
}

func TestAPasswordResetLiftsTheLockout(t *testing.T) {
	t.Parallel()
	m := newMailing(t, limited)
	m.addAda(t)
	for n := range 5 {
		checkErr(t, m.guess(t, m.Service, ada, wrongPass, stranger(n)), bitjang.ErrInvalidCredentials)
	}
	checkErr(t, m.guess(t, m.Service, ada, wrongPass, stranger(9)), bitjang.ErrTooManyAttempts)
	if err := m.ResetPassword(t.Context(), bitjang.ResetPasswordInput{Token: m.resetLink(t), Password: newPass, Caller: newDevice}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Login(t.Context(), bitjang.LoginInput{Identifier: ada, Password: newPass, Caller: newDevice}); err != nil {
		t.Errorf("got %v with the new password, want a login", err)
	}
}

var limitKeys = flag.Int("limit.keys", 10_000, "how many distinct keys flood the store in TestAFloodOfKeysIsSweptFromTheStore")

// TestAFloodOfKeysIsSweptFromTheStore: each key is a row, and a row goes when its
// bucket is empty.
func TestAFloodOfKeysIsSweptFromTheStore(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "flood.db")
	st, err := sqlstore.Open(t.Context(), "sqlite:"+file)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	var all sync.WaitGroup
	for worker := range 64 {
		all.Go(func() {
			for n := worker; n < *limitKeys; n += 64 {
				key := fmt.Sprintf("login_account 0 %043d", n)
				if _, ok, err := st.Spend(t.Context(), bitjang.Spending{Key: key, Now: atNoon, Cost: 30 * time.Second, Capacity: 150 * time.Second}); err != nil || !ok {
					t.Errorf("key %d: got %v, %v", n, ok, err)
					return
				}
			}
		})
	}
	all.Wait()
	sweep := func(at time.Time) (removed int) {
		for {
			n, err := st.DeleteLimits(t.Context(), at, 1000)
			if err != nil {
				t.Fatal(err)
			}
			if removed += n; n < 1000 {
				return removed
			}
		}
	}
	if n := sweep(atNoon.Add(30 * time.Second)); n != 0 {
		t.Errorf("got %d rows swept that still count", n)
	}
	if n := sweep(atNoon.Add(31 * time.Second)); n != *limitKeys {
		t.Errorf("got %d rows swept half a minute later, want %d", n, *limitKeys)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d keys: the file has %d KiB", *limitKeys, info.Size()>>10)
}
