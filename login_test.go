package bitjang_test

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bitjang/bitjang"
)

func loginAs(identifier, password string, from bitjang.Caller) bitjang.LoginInput {
	return bitjang.LoginInput{Identifier: identifier, Password: bitjang.NewSecret(password), Caller: from}
}

func TestALoginOpensASession(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	u := r.addAda(t)
	device := fromLaptop
	device.Device.Name = "Ada's laptop"
	tokens, err := r.Login(t.Context(), loginAs(" ADA@Example.COM ", rightPass, device))
	if err != nil {
		t.Fatal(err)
	}
	want := bitjang.Session{
		ID: tokens.Session.ID, UserID: u.ID, ClientID: "bitjang", Version: 1,
		Rotation:  bitjang.Rotation{Nonce: partsOf(t, tokens.Refresh).nonce, ConfirmedAt: atNoon},
		CreatedAt: atNoon, LastSeenAt: atNoon, IdleExpiresAt: atNoon.Add(14 * 24 * time.Hour), ExpiresAt: atNoon.Add(90 * 24 * time.Hour),
		AuthTime: atNoon, AMR: []string{"pwd"}, ACR: "aal1", Roles: []string{"admin", "author"}, Device: device.Device, IP: device.IP,
	}
	if diff := cmp.Diff(want, r.session(t, tokens), cmpAddr); diff != "" {
		t.Errorf("session (-want +got)\n%s", diff)
	}
	if tokens.User == nil || tokens.User.ID != u.ID || !tokens.IssuedAt.Equal(atNoon) || !tokens.AccessExpiresAt.Equal(atNoon.Add(10*time.Minute)) {
		t.Errorf("got user %v, issued %v, until %v", tokens.User, tokens.IssuedAt, tokens.AccessExpiresAt)
	}
	e := r.userEvents(t, u.ID)[0]
	e.ID = 0
	wantEvent := bitjang.Event{At: atNoon, Type: bitjang.EventLogin, UserID: u.ID, SessionID: tokens.Session.ID, IP: device.IP, UserAgent: device.Device.UserAgent, Reason: "pwd"}
	if diff := cmp.Diff(wantEvent, e, cmpAddr); diff != "" {
		t.Errorf("event (-want +got)\n%s", diff)
	}
	if tokens.Access.Equal(tokens.Refresh) {
		t.Error("both tokens are one")
	}
}

func TestALoginIsRefusedInOneWayForManyReasons(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	u := r.addAda(t)
	r.addHash(t, "nohash@example.com", "")
	for name, in := range map[string]bitjang.LoginInput{
		"a wrong password":                       loginAs(ada, wrongPass, fromThief),
		"another case":                           loginAs(ada, strings.ToUpper(rightPass), fromThief),
		"a password with more behind it":         loginAs(ada, rightPass+"x", fromThief),
		"a password with a NUL behind it":        loginAs(ada, rightPass+"\x00", fromThief),
		"a password cut short":                   loginAs(ada, rightPass[:len(rightPass)-1], fromThief),
		"blanks about the password":              loginAs(ada, " "+rightPass, fromThief),
		"no password":                            loginAs(ada, "", fromThief),
		"1 MiB of password":                      loginAs(ada, strings.Repeat(rightPass, 1<<16), fromThief),
		"an unknown address":                     loginAs("eve@example.com", rightPass, fromThief),
		"no address":                             loginAs("", rightPass, fromThief),
		"nothing at all":                         loginAs("", "", fromThief),
		"no mail address":                        loginAs("ada", rightPass, fromThief),
		"the user's id":                          loginAs(u.ID, rightPass, fromThief),
		"a user without a password":              loginAs("nohash@example.com", rightPass, fromThief),
		"a user without a password and none":     loginAs("nohash@example.com", "", fromThief),
		"an address that is none":                loginAs("a@@b", rightPass, fromThief),
		"the hash itself":                        loginAs(ada, u.PasswordHash, fromThief),
		"two addresses, one of them that of ada": loginAs(ada+",eve@example.com", rightPass, fromThief),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tokens, err := r.Login(t.Context(), in)
			e := bitjang.AsError(err)
			want := bitjang.ErrInvalidCredentials
			if err == nil || e.Code != want.Code || e.Reason != want.Reason || e.Message != want.Message || e.SessionEnd != "" || e.RetryAfter != 0 {
				t.Errorf("got %v, want invalid_credentials and nothing more", err)
			}
			if !tokens.Access.IsZero() || !tokens.Refresh.IsZero() || tokens.User != nil {
				t.Error("a refusal handed something out")
			}
			if got := r.live(t); got != 0 {
				t.Errorf("got %d sessions, want none", got)
			}
		})
	}
}

// addHash puts a user with this hash into the store, whatever it is.
func (r *rig) addHash(t *testing.T, email, hash string) bitjang.User {
	t.Helper()
	u := bitjang.User{ID: "id-of-" + email, Email: email, PasswordHash: hash, CreatedAt: atNoon, UpdatedAt: atNoon, Version: 1}
	if err := r.store.InsertUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	return u
}

func TestAFailedLoginIsToldToTheUserItConcerns(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	u := r.addAda(t)
	if _, err := r.Login(t.Context(), loginAs(ada, wrongPass, fromThief)); !errors.Is(err, bitjang.ErrInvalidCredentials) {
		t.Fatal(err)
	}
	e := r.userEvents(t, u.ID)[0]
	if e.Type != bitjang.EventLoginFailed || e.IP != fromThief.IP || e.UserAgent != "curl/8.0" || !e.SessionID.IsZero() {
		t.Errorf("got %+v, want login_failed and the thief's address", e)
	}
}

// hashesOf counts how many times work waits for a worker of the password pool,
// which has one that the test hands over each time. It needs a synctest bubble
// and no clock: it sees that work waits, not how long.
func hashesOf(t *testing.T, r *rig, work func()) int {
	t.Helper()
	n := 0
	hold := func() chan struct{} {
		release := make(chan struct{})
		go func() { _ = r.OccupyWorker(release) }()
		synctest.Wait()
		return release
	}
	release := hold()
	done := make(chan struct{})
	go func() {
		defer close(done)
		work()
	}()
	for {
		synctest.Wait()
		if r.Stats().PasswordWait == 0 {
			close(release)
			<-done
			return n
		}
		n++
		next := make(chan struct{})
		go func() { _ = r.OccupyWorker(next) }() // behind the work, before its next hash
		synctest.Wait()
		close(release)
		release = next
	}
}

func TestAnUnknownUserCostsWhatAWrongPasswordCosts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *bitjang.Config) { c.PasswordWorkers, c.Now = 1, time.Now })
		r.addAda(t)
		r.addHash(t, "nohash@example.com", "")
		for _, tt := range []struct {
			name string
			in   bitjang.LoginInput
			took time.Duration // by the bubble's clock, which stands still while anything works
			want error
		}{
			{"the right password", loginAs(ada, rightPass, fromLaptop), 0, nil},
			{"a wrong password", loginAs(ada, wrongPass, fromLaptop), 300 * time.Millisecond, bitjang.ErrInvalidCredentials},
			{"an unknown user", loginAs("eve@example.com", wrongPass, fromLaptop), 300 * time.Millisecond, bitjang.ErrInvalidCredentials},
			{"an address that is none", loginAs("eve", wrongPass, fromLaptop), 300 * time.Millisecond, bitjang.ErrInvalidCredentials},
			{"a user without a password", loginAs("nohash@example.com", wrongPass, fromLaptop), 300 * time.Millisecond, bitjang.ErrInvalidCredentials},
		} {
			var err error
			began := time.Now()
			if got := hashesOf(t, r, func() { _, err = r.Login(t.Context(), tt.in) }); got != 1 {
				t.Errorf("%s: got %d hashes, want 1", tt.name, got)
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
			}
			if took := time.Since(began); took != tt.took {
				t.Errorf("%s: got an answer after %v, want %v", tt.name, took, tt.took)
			}
		}
	})
}

func TestSigningUpCostsTheSameWhetherOrNotTheAddressIsKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *bitjang.Config) { c.PasswordWorkers = 1 })
		r.addAda(t)
		for _, email := range []string{ada, "eve@example.com"} {
			in := bitjang.SignupInput{Email: email, Password: bitjang.NewSecret(rightPass), Caller: fromLaptop}
			if got := hashesOf(t, r, func() { _, _ = r.Signup(t.Context(), in) }); got != 1 {
				t.Errorf("%s: got %d hashes, want 1", email, got)
			}
		}
	})
}

func TestAFullPoolRefusesLoginsAndLetsRefreshesPass(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *bitjang.Config) { c.PasswordWorkers, c.PasswordQueue = 1, 1 })
		tokens := r.refresh(t, r.login(t, fromLaptop), fromLaptop)
		release := make(chan struct{})
		for range 2 {
			go func() { _ = r.OccupyWorker(release) }()
		}
		synctest.Wait()
		if s := r.Stats(); s.PasswordRunning != 1 || s.PasswordWait != 1 {
			t.Errorf("got %+v, want one running and one waiting", s)
		}
		for name, call := range map[string]func() error{
			"login":        func() error { _, err := r.Login(t.Context(), loginAs(ada, rightPass, fromPhone)); return err },
			"unknown user": func() error { _, err := r.Login(t.Context(), loginAs("e@example.com", "x", fromPhone)); return err },
			"signup": func() error {
				_, err := r.Signup(t.Context(), bitjang.SignupInput{Email: "e@example.com", Password: bitjang.NewSecret(rightPass)})
				return err
			},
			"set password": func() error {
				return r.SetPassword(t.Context(), tokens.Session.UserID, bitjang.NewSecret("another good one"))
			},
			"change password": func() error {
				_, err := r.ChangePassword(t.Context(), r.change(t, tokens, "another good one"))
				return err
			},
		} {
			err := call()
			if !errors.Is(err, bitjang.ErrOverloaded) || bitjang.AsError(err).Code != bitjang.Unavailable || bitjang.AsError(err).RetryAfter == 0 {
				t.Errorf("%s: got %v, want overloaded and when to try again", name, err)
			}
		}
		for range 3 {
			tokens = r.refresh(t, tokens, fromLaptop)
			r.authenticate(t, tokens)
		}
		close(release)
		synctest.Wait()
		r.login(t, fromPhone)
	})
}

type passwordVector struct{ Scheme, Password, Encoded string }

func importVectors(t *testing.T) []passwordVector {
	t.Helper()
	var chosen []passwordVector
	seen := map[string]bool{}
	for _, file := range []string{"python", "spring"} {
		raw, err := os.ReadFile("internal/passhash/testdata/" + file + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var all []passwordVector
		if err := json.Unmarshal(raw, &all); err != nil {
			t.Fatal(err)
		}
		slices.Reverse(all) // the later ones of a scheme are the cheap ones
		for _, v := range all {
			if id := file + v.Scheme; !seen[id] && len(v.Password) <= 72 { // bcrypt looks at no more
				seen[id] = true
				chosen = append(chosen, v)
			}
		}
	}
	return chosen
}

func TestAnImportedHashLetsInAndIsReplaced(t *testing.T) {
	t.Parallel()
	vectors := importVectors(t)
	if len(vectors) < 12 {
		t.Fatalf("got %d schemes, want at least 12", len(vectors))
	}
	for _, v := range vectors {
		t.Run(v.Scheme, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			u, err := r.AddUser(t.Context(), bitjang.AddUserInput{Email: ada, PasswordHash: v.Encoded})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Login(t.Context(), loginAs(ada, v.Password+"x", fromLaptop)); !errors.Is(err, bitjang.ErrInvalidCredentials) {
				t.Errorf("a wrong password: got %v", err)
			}
			if got, _ := r.User(t.Context(), u.ID); got.PasswordHash != v.Encoded {
				t.Error("a wrong password replaced the hash")
			}
			for i := range 2 {
				r.store.watch(nil, nil)
				if _, err := r.Login(t.Context(), loginAs(ada, v.Password, fromLaptop)); err != nil {
					t.Fatalf("login %d: %v", i, err)
				}
				got, err := r.User(t.Context(), u.ID)
				if err != nil || !strings.HasPrefix(got.PasswordHash, "$argon2id$v=19$m=8192,t=1,p=1$") {
					t.Errorf("login %d: got %.40q and %v, want a hash of ours", i, got.PasswordHash, err)
				}
				if updated := slices.Contains(r.store.calls(), "UpdateUser"); updated != (i == 0) {
					t.Errorf("login %d: hash replaced: %v", i, updated)
				}
			}
		})
	}
}

func TestAHashIsRenewedWhenTheParametersRise(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	u := r.addAda(t)
	cfg := r.cfg
	cfg.PasswordTime = 2
	stronger := r.node(t, cfg)
	if err := stronger.LoadKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := stronger.Login(t.Context(), loginAs(ada, wrongPass, fromLaptop)); !errors.Is(err, bitjang.ErrInvalidCredentials) {
		t.Errorf("got %v", err)
	}
	if got, _ := r.User(t.Context(), u.ID); got.PasswordHash != u.PasswordHash {
		t.Error("a wrong password renewed the hash")
	}
	r.clock.turn(time.Hour)
	tokens, err := stronger.Login(t.Context(), loginAs(ada, rightPass, fromLaptop))
	if err != nil {
		t.Fatal(err)
	}
	got, _ := r.User(t.Context(), u.ID)
	if !strings.HasPrefix(got.PasswordHash, "$argon2id$v=19$m=8192,t=2,p=1$") || !got.UpdatedAt.Equal(r.clock.now()) {
		t.Errorf("got %.40q of %v, want one of two passes, just now", got.PasswordHash, got.UpdatedAt)
	}
	if tokens.User.Version != got.Version {
		t.Errorf("got version %d handed out, %d stored", tokens.User.Version, got.Version)
	}
	if _, err := stronger.Login(t.Context(), loginAs(ada, rightPass, fromPhone)); err != nil {
		t.Errorf("with the new hash: got %v", err)
	}
}

func TestARightPasswordGetsInThoughItsHashCannotBeRenewed(t *testing.T) {
	t.Parallel()
	old := importVectors(t)[0]
	for name, step := range map[string]func(r *rig, u bitjang.User) (before, after func(string) error){
		"the store is down just then": func(*rig, bitjang.User) (before, after func(string) error) {
			return func(method string) error {
				if method == "UpdateUser" {
					return errors.New("down")
				}
				return nil
			}, nil
		},
		"another login has just renewed it": func(r *rig, u bitjang.User) (before, after func(string) error) {
			done := false
			return func(method string) (err error) {
				if method == "UpdateUser" && !done {
					done = true // its own update comes by here too
					_, err = r.Login(t.Context(), loginAs(ada, old.Password, fromPhone))
				}
				return err
			}, nil
		},
		"the user has just got another name": func(r *rig, u bitjang.User) (before, after func(string) error) {
			done := false
			return func(method string) (err error) {
				if method == "UpdateUser" && !done {
					done = true
					_, err = r.RenameUser(t.Context(), u.ID, "Countess")
				}
				return err
			}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			u, err := r.AddUser(t.Context(), bitjang.AddUserInput{Email: ada, PasswordHash: old.Encoded})
			if err != nil {
				t.Fatal(err)
			}
			r.store.watch(step(r, u))
			tokens, err := r.Login(t.Context(), loginAs(ada, old.Password, fromLaptop))
			if err != nil {
				t.Fatalf("got %v, want to be let in", err)
			}
			r.store.watch(nil, nil)
			r.refresh(t, tokens, fromLaptop)
		})
	}
}

// TestAnImportedPasswordIsTheBytesThatWereHashed: other systems hashed what
// was typed, not its NFKC form.
func TestAnImportedPasswordIsTheBytesThatWereHashed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ password, hash string }{
		// bcrypt, cost 4, of the bytes as they stand here
		"jamo as Korean keyboards give them": {"ㅋㅋㅋㅋㅋㅋㅋㅋ", bcryptOf(t, "ㅋㅋㅋㅋㅋㅋㅋㅋ")},
		"an ellipsis as phones give it":      {"wait for it…", bcryptOf(t, "wait for it…")},
		"a plain one":                        {"wait for it...", bcryptOf(t, "wait for it...")},
	} {
		r := newRig(t)
		if _, err := r.AddUser(t.Context(), bitjang.AddUserInput{Email: ada, PasswordHash: tt.hash}); err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			if _, err := r.Login(t.Context(), loginAs(ada, tt.password, fromLaptop)); err != nil {
				t.Errorf("%s, login %d: got %v", name, i, err)
			}
		}
	}
}

func TestADisabledUserIsOutUntilEnabled(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b := r.login(t, fromLaptop), r.login(t, fromPhone)
	u, err := r.DisableUser(t.Context(), a.Session.UserID)
	if err != nil || !u.DisabledAt.Equal(atNoon) {
		t.Fatalf("got %v and %v", u.DisabledAt, err)
	}
	for _, tokens := range []bitjang.Tokens{a, b} {
		r.refused(t, tokens, fromLaptop, bitjang.ErrSessionRevoked)
		if _, err := r.Authenticate(t.Context(), tokens.Access); !errors.Is(err, bitjang.ErrSessionRevoked) || bitjang.AsError(err).SessionEnd != bitjang.EndedByDisabled {
			t.Errorf("got %v, want the session ended by user_disabled", err)
		}
	}
	r.store.watch(nil, nil)
	if _, err := r.Login(t.Context(), loginAs(ada, rightPass, fromLaptop)); !errors.Is(err, bitjang.ErrUserDisabled) || slices.Contains(r.store.calls(), "InsertSession") {
		t.Errorf("the right password: got %v, want user_disabled and no session", err)
	}
	if _, err := r.Login(t.Context(), loginAs(ada, wrongPass, fromLaptop)); !errors.Is(err, bitjang.ErrInvalidCredentials) {
		t.Errorf("a wrong password: got %v, want nothing said about the account", err)
	}
	r.clock.turn(time.Hour)
	if u, err = r.DisableUser(t.Context(), u.ID); err != nil || !u.DisabledAt.Equal(atNoon) {
		t.Errorf("disabled again: got %v and %v, want the first time kept", u.DisabledAt, err)
	}
	if u, err = r.EnableUser(t.Context(), u.ID); err != nil || !u.DisabledAt.IsZero() {
		t.Errorf("got %v and %v", u.DisabledAt, err)
	}
	r.refused(t, a, fromLaptop, bitjang.ErrSessionRevoked)
	r.login(t, fromLaptop)
	for _, want := range []bitjang.EventType{bitjang.EventUserDisabled, bitjang.EventUserEnabled, bitjang.EventSessionsEnded} {
		if !slices.Contains(r.eventTypes(t, u.ID), want) {
			t.Errorf("got no event %s", want)
		}
	}
}

// TestNoLoginSurvivesAChangeThatItRacesWith stops a login before and after
// each of its calls to the store, makes the change whole, and goes on.
func TestNoLoginSurvivesAChangeThatItRacesWith(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, r *rig, id string) error{
		"a new password": func(t *testing.T, r *rig, id string) error {
			return r.SetPassword(t.Context(), id, bitjang.NewSecret("another good one"))
		},
		"a disabled account": func(t *testing.T, r *rig, id string) error { _, err := r.DisableUser(t.Context(), id); return err },
		"signed out all over": func(t *testing.T, r *rig, id string) error {
			_, err := r.EndSessions(t.Context(), bitjang.EndSessionsInput{UserID: id, Reason: bitjang.EndedByLogoutAll})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := newRig(t)
			u := base.addAda(t)
			for stop := 0; ; stop++ {
				r := base.copy(t)
				calls, inserted, changedAfterInsert := 0, false, false
				step := func(method string) error {
					if calls++; calls != stop+1 {
						return nil
					}
					changedAfterInsert = inserted
					// The change's own calls pass.
					r.store.watch(nil, nil)
					return change(t, r, u.ID)
				}
				after := func(method string) error {
					inserted = inserted || method == "InsertSession"
					return step(method)
				}
				r.store.watch(step, after)
				tokens, err := r.Login(t.Context(), loginAs(ada, rightPass, fromLaptop))
				r.store.watch(nil, nil)
				if calls <= stop {
					if stop < 10 {
						t.Fatalf("only %d places to stop at", stop)
					}
					return // stopped everywhere
				}
				if name == "signed out all over" && !changedAfterInsert {
					continue // the login came after it
				}
				if got := r.live(t); got != 0 {
					t.Errorf("stopped at %d: got %d live sessions, want none (login: %v)", stop, got, err)
				}
				if err == nil {
					if _, err := r.Refresh(t.Context(), bitjang.RefreshInput{Token: tokens.Refresh, Caller: fromLaptop}); err == nil {
						t.Errorf("stopped at %d: the session goes on", stop)
					}
				} else if c := bitjang.AsError(err).Code; c != bitjang.Unauthenticated && c != bitjang.Denied {
					t.Errorf("stopped at %d: got %v", stop, err)
				}
			}
		})
	}
}

// TestNoPasswordChangeLeavesALoginWithTheOldOne stops the change at each of
// its calls and lets a whole login with the old password happen there.
func TestNoPasswordChangeLeavesALoginWithTheOldOne(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, r *rig, tokens bitjang.Tokens) error{
		"set by the operator": func(t *testing.T, r *rig, tokens bitjang.Tokens) error {
			return r.SetPassword(t.Context(), tokens.Session.UserID, bitjang.NewSecret("another good one"))
		},
		"changed by the user": func(t *testing.T, r *rig, tokens bitjang.Tokens) error {
			_, err := r.ChangePassword(t.Context(), r.change(t, tokens, "another good one"))
			return err
		},
		"disabled": func(t *testing.T, r *rig, tokens bitjang.Tokens) error {
			_, err := r.DisableUser(t.Context(), tokens.Session.UserID)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := newRig(t)
			mine := base.login(t, fromLaptop)
			for stop := 0; ; stop++ {
				r := base.copy(t)
				calls := 0
				step := func(string) error {
					if calls++; calls != stop+1 {
						return nil
					}
					r.store.watch(nil, nil)
					_, _ = r.Login(t.Context(), loginAs(ada, rightPass, fromThief))
					return nil
				}
				armed := false
				r.store.watch(func(m string) error { armed = true; return step(m) }, step)
				err := change(t, r, mine)
				r.store.watch(nil, nil)
				if err != nil {
					t.Fatalf("stopped at %d: %v", stop, err)
				}
				if calls <= stop {
					if !armed || stop < 4 {
						t.Fatalf("only %d places to stop at", stop)
					}
					return
				}
				u, err := r.FindUser(t.Context(), ada)
				if err != nil {
					t.Fatal(err)
				}
				live, err := r.Sessions(t.Context(), u.ID)
				if err != nil {
					t.Fatal(err)
				}
				for _, sess := range live {
					if sess.ID != mine.Session.ID {
						t.Errorf("stopped at %d: a session opened with the old password lives", stop)
					}
				}
			}
		})
	}
}

func TestAWrongClockDoesNotHoldAFailedLoginForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.store.watch(func(string) error { r.clock.turn(-time.Hour); return nil }, nil) // the clock is set back meanwhile
		began := time.Now()
		_, err := r.Login(t.Context(), loginAs("eve@example.com", wrongPass, fromLaptop))
		if took := time.Since(began); !errors.Is(err, bitjang.ErrInvalidCredentials) || took > time.Second {
			t.Errorf("got %v after %v, want no more than the floor", err, took)
		}
	})
}
