package bitjang_test

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/google/go-cmp/cmp"

	"github.com/bitjang/bitjang"
)

func bcryptOf(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

// change is a change of ada's password with everything in order.
func (r *rig) change(t *testing.T, tokens bitjang.Tokens, to string) bitjang.ChangePasswordInput {
	t.Helper()
	return bitjang.ChangePasswordInput{
		Identity: r.authenticate(t, tokens), Current: bitjang.NewSecret(rightPass), New: bitjang.NewSecret(to),
		Refresh: tokens.Refresh, Caller: fromLaptop,
	}
}

func TestAPasswordChangeEndsTheOthersAndMovesThisOneOn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	other := r.login(t, fromPhone)
	old := r.refresh(t, r.login(t, fromLaptop), fromLaptop)
	r.clock.turn(time.Hour)
	old = r.refresh(t, old, fromLaptop)
	fresh, err := r.ChangePassword(t.Context(), r.change(t, old, "another good one"))
	if err != nil {
		t.Fatal(err)
	}
	now := r.clock.now()
	r.refused(t, other, fromPhone, bitjang.ErrSessionRevoked)
	if got := r.session(t, other).EndReason; got != bitjang.EndedByPassword {
		t.Errorf("the other session: got %q, want password_changed", got)
	}
	sess := r.session(t, fresh)
	p, was := partsOf(t, fresh.Refresh), partsOf(t, old.Refresh)
	if p.generation != was.generation+1 || p.parent != was.nonce || sess.Nonce != p.nonce || sess.Generation != p.generation {
		t.Errorf("got %+v, want the child of what was presented, confirmed from birth", p)
	}
	if !sess.ChildAt.IsZero() || !sess.AuthTime.Equal(now) || !fresh.Session.AuthTime.Equal(now) {
		t.Errorf("got child at %v and authenticated at %v, want none and now", sess.ChildAt, sess.AuthTime)
	}
	r.clock.turn(rotationTime)
	r.refused(t, old, fromLaptop, bitjang.ErrSuperseded)
	next := r.refresh(t, fresh, fromLaptop)
	r.refresh(t, next, fromLaptop)
	if _, err := r.Login(t.Context(), loginAs(ada, rightPass, fromPhone)); !errors.Is(err, bitjang.ErrInvalidCredentials) {
		t.Errorf("the old password: got %v", err)
	}
	if _, err := r.Login(t.Context(), loginAs(ada, "another good one", fromPhone)); err != nil {
		t.Errorf("the new password: got %v", err)
	}
}

func TestOldTokensNeverReachTheStateAfterAPasswordChange(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	old := r.refresh(t, r.login(t, fromLaptop), fromLaptop)
	fresh, err := r.ChangePassword(t.Context(), r.change(t, old, "another good one"))
	if err != nil {
		t.Fatal(err)
	}
	r.refused(t, old, fromThief, bitjang.ErrSuperseded)
	r.clock.turn(rotationTime + time.Millisecond)
	r.refused(t, old, fromThief, bitjang.ErrTokenReused)
	r.refused(t, fresh, fromLaptop, bitjang.ErrSessionRevoked)
}

func TestAPasswordChangeWhoseResponseWasLost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	old := r.refresh(t, r.login(t, fromLaptop), fromLaptop)
	if _, err := r.ChangePassword(t.Context(), r.change(t, old, "another good one")); err != nil {
		t.Fatal(err)
	}
	// The client still has the access token and tries again with it; the
	// password it knows as current is not that any more.
	if _, err := r.ChangePassword(t.Context(), r.change(t, old, "another good one")); !errors.Is(err, bitjang.ErrInvalidCredentials) {
		t.Errorf("the change repeated: got %v, want invalid_credentials", err)
	}
	in := r.change(t, old, "yet another good one")
	in.Current = bitjang.NewSecret("another good one")
	fresh, err := r.ChangePassword(t.Context(), in)
	if err != nil {
		t.Fatalf("with the password that is current now: got %v", err)
	}
	r.refresh(t, fresh, fromLaptop)
	r.login2(t, "yet another good one")
}

func (r *rig) login2(t *testing.T, password string) {
	t.Helper()
	if _, err := r.Login(t.Context(), loginAs(ada, password, fromPhone)); err != nil {
		t.Errorf("login: %v", err)
	}
}

func TestAPasswordChangeWithoutARefreshTokenStillMovesOn(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(t *testing.T, r *rig, in *bitjang.ChangePasswordInput){
		"none":                func(_ *testing.T, _ *rig, in *bitjang.ChangePasswordInput) { in.Refresh = bitjang.Secret{} },
		"one that is mangled": func(_ *testing.T, _ *rig, in *bitjang.ChangePasswordInput) { in.Refresh = bitjang.NewSecret("bjr_x") },
		"one of another service": func(t *testing.T, r *rig, in *bitjang.ChangePasswordInput) {
			in.Refresh = newRig(t).login(t, fromThief).Refresh
		},
		"one of another session, further on": func(t *testing.T, r *rig, in *bitjang.ChangePasswordInput) {
			other := r.login(t, fromPhone)
			for range 5 {
				other = r.refresh(t, other, fromPhone)
			}
			in.Refresh = other.Refresh
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			old := r.refresh(t, r.login(t, fromLaptop), fromLaptop)
			in := r.change(t, old, "another good one")
			edit(t, r, &in)
			fresh, err := r.ChangePassword(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			if p := partsOf(t, fresh.Refresh); p.generation != 2 || p.session != old.Session.ID {
				t.Errorf("got generation %d of %s, want one beyond any that was handed out, of the same session", p.generation, p.session)
			}
			r.refresh(t, r.refresh(t, fresh, fromLaptop), fromLaptop)
		})
	}
}

// A straggler that was under way when the password was changed is honest.
func TestAStragglerDuringAPasswordChangeIsNotTakenForAThief(t *testing.T) {
	t.Parallel()
	for name, refresh := range map[string]bool{"sent along": true, "not sent along": false} {
		t.Run("refresh token "+name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			old := r.refresh(t, r.login(t, fromLaptop), fromLaptop)
			in := r.change(t, old, "another good one")
			if !refresh {
				in.Refresh = bitjang.Secret{}
			}
			fresh, err := r.ChangePassword(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			r.clock.turn(time.Second)
			r.refused(t, old, fromLaptop, bitjang.ErrSuperseded) // sent before the answer came
			r.refresh(t, fresh, fromLaptop)
		})
	}
}

func TestAPasswordIsChangedOnlyWithTheCurrentOneAndForAGoodOne(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, current, next string
		want                string
	}{
		{"a wrong current one", wrongPass, "another good one", "invalid_credentials"},
		{"no current one", "", "another good one", "invalid_credentials"},
		{"a short new one", rightPass, "short", "password_too_short"},
		{"a common new one", rightPass, "password", "password_common"},
		{"the own address", rightPass, ada, "password_common"},
		{"no new one", rightPass, "", "password_too_short"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			other, mine := r.login(t, fromPhone), r.login(t, fromLaptop)
			before := r.session(t, mine)
			in := r.change(t, mine, tt.next)
			in.Current = bitjang.NewSecret(tt.current)
			_, err := r.ChangePassword(t.Context(), in)
			if err == nil || bitjang.AsError(err).Reason != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if diff := cmp.Diff(before, r.session(t, mine), cmpAddr); diff != "" {
				t.Errorf("the session has changed\n%s", diff)
			}
			r.refresh(t, other, fromPhone)
			r.login(t, fromLaptop)
		})
	}
}

func TestAFailedPasswordChangeIsAnEvent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	mine := r.login(t, fromLaptop)
	in := r.change(t, mine, "another good one")
	in.Current = bitjang.NewSecret(wrongPass)
	_, err := r.ChangePassword(t.Context(), in)
	checkErr(t, err, bitjang.ErrInvalidCredentials)
	if e := r.userEvents(t, mine.Session.UserID)[0]; e.Type != bitjang.EventLoginFailed || e.Reason != "password_change" || e.SessionID != mine.Session.ID {
		t.Errorf("got %+v, want login_failed at a password change", e)
	}
	if _, err := r.ChangePassword(t.Context(), bitjang.ChangePasswordInput{Current: bitjang.NewSecret(rightPass), New: bitjang.NewSecret("another good one")}); err == nil {
		t.Error("nobody has changed a password")
	}
}

func TestAPasswordChangeOnAnEndedSessionHandsOutNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	mine := r.login(t, fromLaptop)
	in := r.change(t, mine, "another good one")
	checkErr(t, r.Logout(t.Context(), bitjang.LogoutInput{Refresh: mine.Refresh}), nil)
	before := r.session(t, mine)
	tokens, err := r.ChangePassword(t.Context(), in)
	if err == nil || !tokens.Refresh.IsZero() {
		t.Errorf("got %v and tokens, want a refusal", err)
	}
	if diff := cmp.Diff(before, r.session(t, mine), cmpAddr); diff != "" {
		t.Errorf("the ended session has changed\n%s", diff)
	}
}

func TestTheOperatorSetsAPasswordAndEverybodyIsOut(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b := r.login(t, fromLaptop), r.login(t, fromPhone)
	checkErr(t, r.SetPassword(t.Context(), a.Session.UserID, bitjang.NewSecret("another good one")), nil)
	for _, tokens := range []bitjang.Tokens{a, b} {
		r.refused(t, tokens, fromLaptop, bitjang.ErrSessionRevoked)
	}
	r.login2(t, "another good one")
	checkErr(t, r.SetPassword(t.Context(), "nobody", bitjang.NewSecret("another good one")), bitjang.ErrNoSuchUser)
	if err := r.SetPassword(t.Context(), a.Session.UserID, bitjang.NewSecret("x")); bitjang.AsError(err).Reason != "password_too_short" {
		t.Errorf("got %v, want the policy for the operator too", err)
	}
}

func TestAPasswordChangeFollowsTheNewestTokenThatIsPresented(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	older := r.refresh(t, r.login(t, fromLaptop), fromLaptop)
	newer := r.refresh(t, older, fromLaptop)
	in := r.change(t, older, "another good one") // with the access token from before
	in.Refresh = newer.Refresh
	fresh, err := r.ChangePassword(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if p, was := partsOf(t, fresh.Refresh), partsOf(t, newer.Refresh); p.generation != was.generation+1 || p.parent != was.nonce {
		t.Errorf("got %+v, want the child of %+v", p, was)
	}
	r.refused(t, newer, fromLaptop, bitjang.ErrSuperseded)
	r.refresh(t, fresh, fromLaptop)
}

// A crash in the middle leaves too few sessions, never too many.
func TestAPasswordChangeEndsTheOthersFirst(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	tokens := r.login(t, fromLaptop)
	r.store.watch(func(method string) error {
		if method == "UpdateUser" {
			return errDown
		}
		return nil
	}, nil)
	checkErr(t, r.SetPassword(t.Context(), tokens.Session.UserID, bitjang.NewSecret("another good one")), errDown)
	r.store.watch(nil, nil)
	if got := r.live(t); got != 0 {
		t.Errorf("got %d live sessions, want none", got)
	}
}

func TestAPasswordTypedOnAnotherSystemIsTheSame(t *testing.T) {
	t.Parallel()
	for _, tt := range [][2]string{
		{"caf\u00e9 au lait, s'il vous pla\u00eet", "cafe\u0301 au lait, s'il vous plai\u0302t"},
		{"\ube57\uc7a5 1 \ube44\ubc00\ubc88\ud638", "\u1107\u1175\u11ba\u110c\u1161\u11bc 1 \u1107\u1175\u1106\u1175\u11af\u1107\u1165\u11ab\u1112\u1169"},
		{"plain ascii letters", "ｐｌａｉｎ　ａｓｃｉｉ　ｌｅｔｔｅｒｓ"},
	} {
		for _, way := range [][2]string{{tt[0], tt[1]}, {tt[1], tt[0]}} {
			r := newRig(t)
			if _, err := r.AddUser(t.Context(), bitjang.AddUserInput{Email: ada, Password: bitjang.NewSecret(way[0])}); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Login(t.Context(), loginAs(ada, way[1], fromLaptop)); err != nil {
				t.Errorf("set as %+q, typed as %+q: got %v", way[0], way[1], err)
			}
		}
	}
}
