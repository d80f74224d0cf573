package bitjang_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bitjang/bitjang"
)

// operations is every method of Service that uses a store, each on a rig with
// ada logged in on two devices.
func operations() map[string]func(ctx context.Context, r *rig, a, b bitjang.Tokens) error {
	good := bitjang.NewSecret("another good one")
	return map[string]func(ctx context.Context, r *rig, a, b bitjang.Tokens) error{
		"LoadKeys": func(ctx context.Context, r *rig, _, _ bitjang.Tokens) error { return r.LoadKeys(ctx) },
		"RotateKey": func(ctx context.Context, r *rig, _, _ bitjang.Tokens) error {
			_, err := r.RotateKey(ctx, bitjang.RotateKeyInput{Discard: true})
			return err
		},
		"SigningKeys": func(ctx context.Context, r *rig, _, _ bitjang.Tokens) error { _, err := r.SigningKeys(ctx); return err },
		"Ready":       func(ctx context.Context, r *rig, _, _ bitjang.Tokens) error { return r.Ready(ctx) },
		"Sweep":       func(ctx context.Context, r *rig, _, _ bitjang.Tokens) error { return r.Sweep(ctx) },
		"Login": func(ctx context.Context, r *rig, _, _ bitjang.Tokens) error {
			_, err := r.Login(ctx, loginAs(ada, rightPass, fromLaptop))
			return err
		},
		"Login elsewhere": func(ctx context.Context, r *rig, _, _ bitjang.Tokens) error {
			_, err := r.Login(ctx, loginAs(ada, rightPass, fromThief))
			return err
		},
		"Login with an imported hash": func(ctx context.Context, r *rig, _, _ bitjang.Tokens) error {
			_, err := r.Login(ctx, loginAs("old@example.com", "the old password", fromThief))
			return err
		},
		"Refresh, the usual": func(ctx context.Context, r *rig, _, b bitjang.Tokens) error {
			_, err := r.Refresh(ctx, bitjang.RefreshInput{Token: b.Refresh, Caller: fromPhone})
			return err
		},
		"Refresh, the first": func(ctx context.Context, r *rig, a, _ bitjang.Tokens) error {
			_, err := r.Refresh(ctx, bitjang.RefreshInput{Token: a.Refresh, Caller: fromLaptop})
			return err
		},
		"Refresh, from afar": func(ctx context.Context, r *rig, _, b bitjang.Tokens) error {
			_, err := r.Refresh(ctx, bitjang.RefreshInput{Token: b.Refresh, Caller: caller("203.0.113.9", "phone", fromPhone.Device.UserAgent)})
			return err
		},
		"Authenticate": func(ctx context.Context, r *rig, a, _ bitjang.Tokens) error {
			_, err := r.Authenticate(ctx, a.Access)
			return err
		},
		"Authenticate, child": func(ctx context.Context, r *rig, _, b bitjang.Tokens) error {
			_, err := r.Authenticate(ctx, b.Access)
			return err
		},
		"Admit": func(ctx context.Context, r *rig, _, b bitjang.Tokens) error {
			_, err := r.Admit(ctx, bitjang.AdmitInput{Access: b.Access, Refresh: b.Refresh, Caller: fromPhone})
			return err
		},
		"Admit, rotating": func(ctx context.Context, r *rig, _, b bitjang.Tokens) error {
			_, err := r.Admit(ctx, bitjang.AdmitInput{Refresh: b.Refresh, Caller: fromPhone})
			return err
		},
		"Logout": func(ctx context.Context, r *rig, a, _ bitjang.Tokens) error {
			return r.Logout(ctx, bitjang.LogoutInput{Refresh: a.Refresh})
		},
		"Sessions": func(ctx context.Context, r *rig, a, _ bitjang.Tokens) error {
			_, err := r.Sessions(ctx, a.Session.UserID)
			return err
		},
		"EndedSessions": func(ctx context.Context, r *rig, a, _ bitjang.Tokens) error {
			_, err := r.EndedSessions(ctx, a.Session.UserID)
			return err
		},
		"SessionByID": func(ctx context.Context, r *rig, a, _ bitjang.Tokens) error {
			_, err := r.SessionByID(ctx, a.Session.ID)
			return err
		},
		"NameSession": func(ctx context.Context, r *rig, a, _ bitjang.Tokens) error {
			_, err := r.NameSession(ctx, a.Session.UserID, a.Session.ID, "x")
			return err
		},
		"EndSession": func(ctx context.Context, r *rig, a, _ bitjang.Tokens) error {
			return r.EndSession(ctx, bitjang.EndSessionInput{ID: a.Session.ID, Reason: bitjang.EndedByAdmin})
		},
		"EndSessions": func(ctx context.Context, r *rig, a, _ bitjang.Tokens) error {
			_, err := r.EndSessions(ctx, bitjang.EndSessionsInput{UserID: a.Session.UserID, Reason: bitjang.EndedByAdmin})
			return err
		},
		"ChangePassword": func(ctx context.Context, r *rig, _, b bitjang.Tokens) error {
			id := bitjang.Identity{Claims: bitjang.ClaimsOf(b), Session: b.Session}
			_, err := r.ChangePassword(ctx, bitjang.ChangePasswordInput{Identity: id, Current: bitjang.NewSecret(rightPass), New: good, Refresh: b.Refresh, Caller: fromPhone})
			return err
		},
		"SetPassword": func(ctx context.Context, r *rig, a, _ bitjang.Tokens) error {
			return r.SetPassword(ctx, a.Session.UserID, good)
		},
		"Signup": func(ctx context.Context, r *rig, _, _ bitjang.Tokens) error {
			_, err := r.Signup(ctx, bitjang.SignupInput{Email: "new@example.com", Password: good})
			return err
		},
		"Signup, known": func(ctx context.Context, r *rig, _, _ bitjang.Tokens) error {
			_, err := r.Signup(ctx, bitjang.SignupInput{Email: ada, Password: good})
			return err
		},
		"AddUser": func(ctx context.Context, r *rig, _, _ bitjang.Tokens) error {
			_, err := r.AddUser(ctx, bitjang.AddUserInput{Email: "new@example.com", Password: good})
			return err
		},
		"User": func(ctx context.Context, r *rig, a, _ bitjang.Tokens) error {
			_, err := r.User(ctx, a.Session.UserID)
			return err
		},
		"FindUser": func(ctx context.Context, r *rig, _, _ bitjang.Tokens) error {
			_, err := r.FindUser(ctx, ada)
			return err
		},
		"Users": func(ctx context.Context, r *rig, _, _ bitjang.Tokens) error { _, err := r.Users(ctx, ""); return err },
		"RenameUser": func(ctx context.Context, r *rig, a, _ bitjang.Tokens) error {
			_, err := r.RenameUser(ctx, a.Session.UserID, "x")
			return err
		},
		"DisableUser": func(ctx context.Context, r *rig, a, _ bitjang.Tokens) error {
			_, err := r.DisableUser(ctx, a.Session.UserID)
			return err
		},
		"EnableUser": func(ctx context.Context, r *rig, a, _ bitjang.Tokens) error {
			_, err := r.EnableUser(ctx, a.Session.UserID)
			return err
		},
		"Activity": func(ctx context.Context, r *rig, a, _ bitjang.Tokens) error {
			_, err := r.Activity(ctx, a.Session.UserID, 0, 0)
			return err
		},
	}
}

// inUse is a rig with ada logged in on two devices.
func inUse(t *testing.T) (r *rig, a, b bitjang.Tokens) {
	t.Helper()
	r = newRig(t, func(c *bitjang.Config) { c.SessionLimit = 2 })
	a = r.login(t, fromLaptop)
	b = r.refresh(t, r.login(t, fromPhone), fromPhone)
	if _, err := r.AddUser(t.Context(), bitjang.AddUserInput{Email: "old@example.com", PasswordHash: bcryptOf(t, "the old password")}); err != nil {
		t.Fatal(err)
	}
	r.clock.turn(time.Minute)
	return r, a, b
}

var errDown = errors.New("dial tcp 192.0.2.7:5432: connection refused")

func TestWhenTheStoreIsDownNobodyIsLoggedOut(t *testing.T) {
	t.Parallel()
	base, a, b := inUse(t)
	for name, op := range operations() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := base.copy(t)
			r.store.watch(func(string) error { return errDown }, nil)
			err := op(t.Context(), r, a, b)
			if err == nil || bitjang.AsError(err).Code != bitjang.Unavailable || !errors.Is(err, errDown) {
				t.Errorf("got %v, want unavailable because of the store", err)
			}
			if err != nil && strings.Contains(bitjang.AsError(err).Message, "192.0.2.7") {
				t.Error("the message shows the cause")
			}
			r.store.watch(nil, nil)
			r.refresh(t, r.refresh(t, a, fromLaptop), fromLaptop)
			r.refresh(t, r.refresh(t, b, fromPhone), fromPhone)
			r.noSecretsLogged(t, a, b)
		})
	}
}

// TestAStoreThatFailsAtAnyStepRefusesNobody fails each call in turn, before it
// is carried out and after: an answer may be lost although the write was made.
func TestAStoreThatFailsAtAnyStepRefusesNobody(t *testing.T) {
	t.Parallel()
	base, a, b := inUse(t)
	for name, op := range operations() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, late := range []bool{false, true} {
				for stop := 1; ; stop++ {
					r := base.copy(t)
					calls, failed := 0, ""
					fail := func(method string) error {
						if calls++; calls == stop {
							failed = method
							return errDown
						}
						return nil
					}
					if late {
						r.store.watch(nil, fail)
					} else {
						r.store.watch(fail, nil)
					}
					err := op(t.Context(), r, a, b)
					r.store.watch(nil, nil)
					r.noSecretsLogged(t, a, b)
					if calls < stop {
						if err != nil {
							t.Errorf("nothing failed: got %v", err)
						}
						break
					}
					if err != nil && bitjang.AsError(err).Code != bitjang.Unavailable {
						t.Errorf("call %d (%s, late %v): got %v, want unavailable or success", stop, failed, late, err)
					}
					if failed == "InsertEvents" && err != nil {
						t.Errorf("call %d: an event that cannot be saved failed the request: %v", stop, err)
					}
					if failed == "InsertEvents" && !strings.Contains(r.log.String(), `"msg":"event not saved"`) {
						t.Errorf("call %d: an event was lost silently", stop)
					}
				}
			}
		})
	}
}

func TestACancelledRequestIsNoRefusal(t *testing.T) {
	t.Parallel()
	base, a, b := inUse(t)
	for name, op := range operations() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := base.copy(t)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			err := op(ctx, r, a, b)
			// A refresh under way is not cancelled for those who share it, and
			// may win against its own caller's hanging up.
			if err == nil && strings.HasPrefix(name, "Refresh") || err == nil && name == "Admit, rotating" {
				return
			}
			if err == nil || bitjang.AsError(err).Code != bitjang.Unavailable || !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want unavailable because of the cancellation", err)
			}
		})
	}
}

func TestARefreshWhoseAnswerFromTheStoreWasLostCanBeRepeated(t *testing.T) {
	t.Parallel()
	for _, wait := range []time.Duration{0, rotationTime, time.Hour, 10 * 24 * time.Hour} {
		r, a, b := inUse(t)
		for _, tokens := range []bitjang.Tokens{a, b} {
			r.store.watch(nil, func(string) error { return errDown })
			from := bitjang.Caller{IP: tokens.Session.IP, Device: tokens.Session.Device}
			_, err := r.Refresh(t.Context(), bitjang.RefreshInput{Token: tokens.Refresh, Caller: from})
			checkCode(t, err, bitjang.Unavailable)
			r.store.watch(nil, nil)
			r.clock.turn(wait / 2)
			r.refresh(t, r.refresh(t, tokens, from), from)
		}
	}
}

func (r *rig) noSecretsLogged(t *testing.T, tokens ...bitjang.Tokens) {
	t.Helper()
	log := r.log.String()
	secrets := []string{rightPass, wrongPass, "another good one", "the old password", r.cfg.MasterKeys[0].Reveal(), "bjr_", "$argon2", "$2a$", "eyJ"}
	for _, tk := range tokens {
		secrets = append(secrets, tk.Access.Reveal(), tk.Refresh.Reveal())
	}
	for _, s := range secrets {
		if strings.Contains(log, s) {
			t.Errorf("the log shows a secret: %.40s", log[strings.Index(log, s):])
		}
	}
}

func TestAnEventThatCannotBeSavedIsLoggedWhole(t *testing.T) {
	t.Parallel()
	r, a, _ := inUse(t)
	r.store.watch(func(method string) error {
		if method == "InsertEvents" {
			return errDown
		}
		return nil
	}, nil)
	_, err := r.EndSessions(t.Context(), bitjang.EndSessionsInput{UserID: a.Session.UserID, Reason: bitjang.EndedByLogoutAll, Caller: fromThief})
	checkErr(t, err, nil)
	log := r.log.String()
	for _, want := range []string{"event not saved", "connection refused", "sessions_ended", a.Session.UserID, "203.0.113.66", "logout_all", "curl/8.0", `"count":2`} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q", want)
		}
	}
	r.noSecretsLogged(t)
}

func TestAnEventIsKeptThoughItsCallerHangsUp(t *testing.T) {
	t.Parallel()
	r, a, _ := inUse(t)
	ctx, cancel := context.WithCancel(t.Context())
	r.store.watch(nil, func(method string) error {
		if method == "UpdateSession" {
			cancel()
		}
		return nil
	})
	checkErr(t, r.EndSession(ctx, bitjang.EndSessionInput{ID: a.Session.ID, Reason: bitjang.EndedByAdmin}), nil)
	if got := r.eventTypes(t, a.Session.UserID)[0]; got != bitjang.EventSessionEnded {
		t.Errorf("got %s, want session_ended", got)
	}
}

func TestAContendedRecordIsTriedAgainAndThenGivenUp(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		lost int
		want bitjang.Code
	}{{1, ""}, {15, ""}, {16, bitjang.Unavailable}} {
		r, a, _ := inUse(t)
		n := 0
		r.store.watch(func(method string) error {
			if strings.HasPrefix(method, "Update") {
				if n++; n <= tt.lost {
					return bitjang.ErrConflict
				}
			}
			return nil
		}, nil)
		for name, op := range map[string]func() error{
			"a user":    func() error { _, err := r.RenameUser(t.Context(), a.Session.UserID, "x"); return err },
			"a session": func() error { _, err := r.NameSession(t.Context(), a.Session.UserID, a.Session.ID, "x"); return err },
			"a refresh": func() error {
				_, err := r.Refresh(t.Context(), bitjang.RefreshInput{Token: a.Refresh, Caller: fromLaptop})
				return err
			},
		} {
			n = 0
			err := op()
			if (err == nil) != (tt.want == "") || err != nil && bitjang.AsError(err).Code != tt.want {
				t.Errorf("%s, %d rounds lost: got %v, want %q", name, tt.lost, err, tt.want)
			}
			if n > 17 {
				t.Errorf("%s: got %d rounds, want an end", name, n)
			}
		}
	}
}

func TestSweepingIsBoundedAndTakesOnlyWhatIsLongDead(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *bitjang.Config) { c.SessionRetention, c.EventRetention = 24*time.Hour, 48*time.Hour })
	first := r.login(t, fromLaptop)
	old := first.Session
	old.EndedAt, old.EndReason = r.clock.now(), bitjang.EndedByAdmin
	const dead = 1234
	for i := range dead {
		old.ID[0], old.ID[1], old.ID[2] = byte(i), byte(i>>8), 1
		checkErr(t, r.store.InsertSession(t.Context(), old), nil)
		checkErr(t, r.store.InsertEvents(t.Context(), bitjang.Event{At: atNoon, UserID: "x"}), nil)
	}
	sweep := func() (calls []string) {
		t.Helper()
		r.store.watch(nil, nil)
		checkErr(t, r.Sweep(t.Context()), nil)
		return r.store.calls()
	}
	r.clock.turn(24 * time.Hour)
	if diff := cmp.Diff([]string{"DeleteSessions", "DeleteEvents"}, sweep()); diff != "" {
		t.Errorf("nothing is dead for longer than a day: store calls (-want +got)\n%s", diff)
	}
	if ended, err := r.EndedSessions(t.Context(), old.UserID); len(ended) < 1000 || err != nil {
		t.Errorf("got %d and %v, want all kept to explain themselves", len(ended), err)
	}
	r.clock.turn(time.Millisecond)
	want := append(slices.Repeat([]string{"DeleteSessions"}, 25), "DeleteEvents") // 50 each time
	if diff := cmp.Diff(want, sweep()); diff != "" {
		t.Errorf("store calls (-want +got)\n%s", diff)
	}
	if ended, err := r.EndedSessions(t.Context(), old.UserID); len(ended) != 0 || err != nil {
		t.Errorf("got %d and %v, want none", len(ended), err)
	}
	if events, err := r.Activity(t.Context(), "x", 0, 100); len(events) != 100 || err != nil {
		t.Errorf("got %d and %v, want events kept for two days", len(events), err)
	}
	r.refresh(t, first, fromLaptop) // what lives stays
	r.clock.turn(24 * time.Hour)
	sweep()
	if events, err := r.Activity(t.Context(), "x", 0, 100); len(events) != 0 || err != nil {
		t.Errorf("got %d and %v, want none", len(events), err)
	}
	r.refresh(t, first, fromLaptop)
}

func TestASweepEndsWithItsContext(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.store.Store = endless{r.store.Store}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	r.store.watch(func(method string) error {
		if n++; n == 10 {
			cancel()
		}
		return nil
	}, nil)
	if err := r.Sweep(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

// endless always has more to delete.
type endless struct{ bitjang.Store }

func (endless) DeleteSessions(context.Context, time.Time, int) (int, bool, error) {
	return 500, true, nil
}
