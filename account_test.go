package bitjang_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bitjang/bitjang"
)

func TestSigningUpMakesAUserWhoCanLogIn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	u, err := r.Signup(t.Context(), bitjang.SignupInput{Email: " Ada@EXAMPLE.com", Name: " Ada ", Password: bitjang.NewSecret(rightPass), Caller: fromLaptop})
	if err != nil {
		t.Fatal(err)
	}
	want := bitjang.User{ID: u.ID, Email: ada, Name: "Ada", PasswordHash: u.PasswordHash, CreatedAt: atNoon, UpdatedAt: atNoon, PasswordVersion: 1, Version: 1}
	if diff := cmp.Diff(want, u); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	stored, err := r.FindUser(t.Context(), "ADA@example.com")
	if diff := cmp.Diff(want, stored); diff != "" || err != nil {
		t.Errorf("stored: %v (-want +got)\n%s", err, diff)
	}
	if strings.Contains(u.PasswordHash, rightPass) || !strings.HasPrefix(u.PasswordHash, "$argon2id$") {
		t.Error("the hash is none")
	}
	r.login(t, fromLaptop)
	if got := r.eventTypes(t, u.ID); !slices.Contains(got, bitjang.EventSignup) {
		t.Errorf("got events %v, want a signup", got)
	}
}

func TestSigningUpWithAKnownAddressSaysNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	owner := r.addAda(t)
	in := bitjang.SignupInput{Email: "ADA@example.com", Name: "Eve", Password: bitjang.NewSecret("eve's own password"), Caller: fromThief}
	u, err := r.Signup(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := r.Signup(t.Context(), bitjang.SignupInput{Email: "new@example.com", Name: "Eve", Password: in.Password, Caller: fromThief})
	if err != nil {
		t.Fatal(err)
	}
	shape := func(u bitjang.User, email string) string {
		u.ID, u.PasswordHash = strings.Repeat("x", len(u.ID)), strings.Repeat("x", len(u.PasswordHash))
		return strings.ReplaceAll(fmt.Sprintf("%+v", u), email, "EMAIL")
	}
	if a, b := shape(u, ada), shape(fresh, "new@example.com"); a != b {
		t.Errorf("got %s for a known address and %s for a new one, want no difference", a, b)
	}
	if u.ID == owner.ID || u.Roles != nil {
		t.Error("the answer shows the owner")
	}
	if got, err := r.User(t.Context(), owner.ID); err != nil || got.Name != "Ada" || got.PasswordHash != owner.PasswordHash {
		t.Errorf("the owner has changed: %v", err)
	}
	if _, err := r.User(t.Context(), u.ID); !errors.Is(err, bitjang.ErrNoSuchUser) {
		t.Errorf("got %v, want no second user", err)
	}
	if _, err := r.Login(t.Context(), loginAs(ada, "eve's own password", fromThief)); !errors.Is(err, bitjang.ErrInvalidCredentials) {
		t.Errorf("got %v", err)
	}
	if e := r.userEvents(t, owner.ID); e[0].Type != bitjang.EventLoginFailed || e[1].Type != bitjang.EventSignupRepeated || e[1].IP != fromThief.IP {
		t.Errorf("got %v, want the owner to be told", r.eventTypes(t, owner.ID))
	}
}

func TestSigningUpMayBeOpenlyRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *bitjang.Config) { c.SignupRevealExisting = true })
	r.addAda(t)
	in := bitjang.SignupInput{Email: ada, Password: bitjang.NewSecret(rightPass)}
	_, err := r.Signup(t.Context(), in)
	checkErr(t, err, bitjang.ErrUserExists)

	closed := newRig(t, func(c *bitjang.Config) { c.Signup = bitjang.SignupClosed })
	closed.store.watch(nil, nil)
	_, err = closed.Signup(t.Context(), in)
	checkErr(t, err, bitjang.ErrSignupClosed)
	if got := closed.store.calls(); len(got) != 0 {
		t.Errorf("got store calls %v, want none", got)
	}
	closed.addAda(t) // the operator may
}

func TestBadInputMakesNoUser(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	good := bitjang.NewSecret(rightPass)
	for _, tt := range []struct {
		name string
		in   bitjang.AddUserInput
		want string
	}{
		{"no address", bitjang.AddUserInput{Password: good}, "email_invalid"},
		{"no password", bitjang.AddUserInput{Email: ada}, "password_too_short"},
		{"a bad name", bitjang.AddUserInput{Email: ada, Name: "a\nb", Password: good}, "name_invalid"},
		{"a bad role", bitjang.AddUserInput{Email: ada, Roles: []string{"a b"}, Password: good}, "role_invalid"},
		{"a hash that is none", bitjang.AddUserInput{Email: ada, PasswordHash: "hunter22"}, "password_hash_invalid"},
		{"a hash of a weak scheme", bitjang.AddUserInput{Email: ada, PasswordHash: "{MD5}5f4dcc3b5aa765d61d8327deb882cf99"}, "password_hash_invalid"},
		{"a password in the place of a hash", bitjang.AddUserInput{Email: ada, PasswordHash: "{noop}hunter22"}, "password_hash_invalid"},
		{"a hash with a bad address", bitjang.AddUserInput{Email: "ada", PasswordHash: bcryptOf(t, "x")}, "email_invalid"},
		{"a hash with a bad name", bitjang.AddUserInput{Email: ada, Name: "\x00", PasswordHash: bcryptOf(t, "x")}, "name_invalid"},
	} {
		_, err := r.AddUser(t.Context(), tt.in)
		if err == nil || bitjang.AsError(err).Reason != tt.want {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter22") {
			t.Errorf("%s: the error shows it", tt.name)
		}
	}
	if users, err := r.Users(t.Context(), ""); err != nil || len(users) != 0 {
		t.Errorf("got %d users and %v, want none", len(users), err)
	}
	r.addAda(t)
	_, err := r.AddUser(t.Context(), bitjang.AddUserInput{Email: ada, Password: good})
	checkErr(t, err, bitjang.ErrUserExists)
}

func TestAnAddressWorksInEverySpellingThatSignedUp(t *testing.T) {
	t.Parallel()
	for _, spelling := range []string{"Ada@Example.com", "ada＠example.com", "ａｄａ＠ｅｘａｍｐｌｅ．ｃｏｍ", " ada@example.com\n"} {
		r := newRig(t)
		if _, err := r.Signup(t.Context(), bitjang.SignupInput{Email: spelling, Password: bitjang.NewSecret(rightPass)}); err != nil {
			t.Errorf("%q: signup: %v", spelling, err)
			continue
		}
		if _, err := r.Login(t.Context(), loginAs(spelling, rightPass, fromLaptop)); err != nil {
			t.Errorf("%q: login: %v", spelling, err)
		}
		if _, err := r.FindUser(t.Context(), spelling); err != nil {
			t.Errorf("%q: find: %v", spelling, err)
		}
	}
}

func TestUsersAreFoundListedAndRenamed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	u := r.addAda(t)
	for i := range 120 {
		r.addHash(t, fmt.Sprintf("u%03d@example.com", i), "")
	}
	first, err := r.Users(t.Context(), "")
	if err != nil || len(first) != 100 {
		t.Fatalf("got %d and %v, want a page of 100", len(first), err)
	}
	rest, err := r.Users(t.Context(), first[99].ID)
	if err != nil || len(rest) != 21 || rest[0].ID <= first[99].ID {
		t.Errorf("got %d and %v, want the other 21", len(rest), err)
	}
	for _, name := range []string{u.ID, ada} {
		if got, err := r.FindUser(t.Context(), name); err != nil || got.ID != u.ID {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, name := range []string{"00000000-0000-4000-8000-000000000000", "eve@example.com"} {
		_, err := r.FindUser(t.Context(), name)
		checkErr(t, err, bitjang.ErrNoSuchUser)
	}
	for _, name := range []string{"a@@b", "nobody", "", u.ID[1:]} {
		_, err = r.FindUser(t.Context(), name)
		checkCode(t, err, bitjang.Invalid)
	}
	r.clock.turn(time.Hour)
	renamed, err := r.RenameUser(t.Context(), u.ID, " Countess ")
	if err != nil || renamed.Name != "Countess" || !renamed.UpdatedAt.Equal(r.clock.now()) || renamed.Version != 2 {
		t.Errorf("got %+v and %v", renamed, err)
	}
	_, err = r.RenameUser(t.Context(), u.ID, "\x1b")
	checkCode(t, err, bitjang.Invalid)
	_, err = r.RenameUser(t.Context(), "nobody", "x")
	checkErr(t, err, bitjang.ErrNoSuchUser)
}

func TestADeviceHasOneSessionOfEachUser(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first, phone := r.login(t, fromLaptop), r.login(t, fromPhone)
	if _, err := r.AddUser(t.Context(), bitjang.AddUserInput{Email: "bob@example.com", Password: bitjang.NewSecret(rightPass)}); err != nil {
		t.Fatal(err)
	}
	bob, err := r.Login(t.Context(), loginAs("bob@example.com", rightPass, fromLaptop))
	if err != nil {
		t.Fatal(err)
	}
	second := r.login(t, fromLaptop)
	r.refused(t, first, fromLaptop, bitjang.ErrSessionRevoked)
	if got := r.session(t, first).EndReason; got != bitjang.EndedByReplaced {
		t.Errorf("got %q, want replaced", got)
	}
	r.refresh(t, second, fromLaptop)
	r.refresh(t, phone, fromPhone)
	r.refresh(t, bob, fromLaptop)
	// Devices without an id are not one device.
	anonymous := fromLaptop
	anonymous.Device.ID = ""
	a, b := r.login(t, anonymous), r.login(t, anonymous)
	r.refresh(t, a, anonymous)
	r.refresh(t, b, anonymous)
	if got := r.live(t); got != 4 {
		t.Errorf("got %d sessions, want 4", got)
	}
}

func TestBeyondTheLimitTheLongestUnseenSessionEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *bitjang.Config) { c.SessionLimit = 3 })
	var all []bitjang.Tokens
	for i := range 3 {
		r.clock.turn(time.Minute)
		all = append(all, r.login(t, caller("192.0.2.1", fmt.Sprint("d", i), "x")))
	}
	r.clock.turn(time.Minute)
	all[0] = r.refresh(t, all[0], caller("192.0.2.1", "d0", "x")) // seen: now d1 is the longest unseen
	r.clock.turn(time.Minute)
	newest := r.login(t, fromLaptop)
	if got := r.session(t, all[1]).EndReason; got != bitjang.EndedByLimit {
		t.Errorf("the longest unseen: got %q, want session_limit", got)
	}
	for _, tokens := range []bitjang.Tokens{all[0], all[2], newest} {
		r.refresh(t, tokens, caller("192.0.2.1", tokens.Session.Device.ID, tokens.Session.Device.UserAgent))
	}
	if got := r.live(t); got != 3 {
		t.Errorf("got %d sessions, want 3", got)
	}
	if e := r.userEvents(t, newest.Session.UserID)[0]; e.Type != bitjang.EventSessionEnded || e.Reason != "session_limit" {
		t.Errorf("got %+v, want session_ended by session_limit", e)
	}
}

func TestTheLimitHoldsWhenTheClockStandsStillOrIsAhead(t *testing.T) {
	t.Parallel()
	for name, step := range map[string]time.Duration{"still": 0, "back": -time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *bitjang.Config) { c.SessionLimit = 1 })
			r.clock.turn(time.Hour) // keys do not sign before they were made
			for i := range 12 {
				tokens := r.login(t, caller("192.0.2.1", fmt.Sprint("d", i), "x"))
				if got := r.live(t); got != 1 {
					t.Fatalf("login %d: got %d sessions, want 1", i, got)
				}
				if _, err := r.Authenticate(t.Context(), tokens.Access); err != nil {
					t.Fatalf("login %d: the newest is not the one that lives: %v", i, err)
				}
				r.clock.turn(step)
			}
		})
	}
}

func TestSessionsAreListedLastSeenFirst(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *bitjang.Config) { c.OnReuse = bitjang.HoldOnReuse })
	var tokens []bitjang.Tokens
	for i := range 150 { // more than a page
		r.clock.turn(time.Second)
		if i == 0 {
			tokens = append(tokens, r.login(t, caller("192.0.2.1", "d0", "x")))
			continue
		}
		sess := tokens[0].Session
		sess.ID[0], sess.ID[1], sess.ID[15] = byte(i*37), byte(i), byte(i)
		sess.CreatedAt, sess.LastSeenAt = r.clock.now(), r.clock.now()
		if err := r.store.InsertSession(t.Context(), sess); err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, bitjang.Tokens{Session: sess})
	}
	id := tokens[0].Session.UserID
	check := func(list []bitjang.Session, err error, want int) {
		t.Helper()
		if err != nil || len(list) != want {
			t.Fatalf("got %d and %v, want %d", len(list), err, want)
		}
		if !slices.IsSortedFunc(list, func(a, b bitjang.Session) int { return b.LastSeenAt.Compare(a.LastSeenAt) }) {
			t.Error("not in the order of last seen")
		}
	}
	list, err := r.Sessions(t.Context(), id)
	check(list, err, 150)
	for i := range 20 {
		checkErr(t, r.EndSession(t.Context(), bitjang.EndSessionInput{UserID: id, ID: list[i].ID, Reason: bitjang.EndedByUser}), nil)
	}
	list, err = r.Sessions(t.Context(), id)
	check(list, err, 130)
	ended, err := r.EndedSessions(t.Context(), id)
	check(ended, err, 20)
	other, err := r.Sessions(t.Context(), "somebody else")
	check(other, err, 0)
	held := r.session(t, tokens[0])
	held.HeldAt = r.clock.now()
	checkErr(t, r.store.UpdateSession(t.Context(), held, nil), nil)
	list, err = r.Sessions(t.Context(), id)
	check(list, err, 130)
	r.clock.turn(15 * 24 * time.Hour)
	list, err = r.Sessions(t.Context(), id)
	check(list, err, 0)
	ended, err = r.EndedSessions(t.Context(), id)
	check(ended, err, 150)
}

func TestASessionIsNamedByItsOwner(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	tokens := r.login(t, fromLaptop)
	id := tokens.Session.ID
	sess, err := r.NameSession(t.Context(), tokens.Session.UserID, id, "  책상 위 노트북 ")
	if err != nil || sess.Device.Name != "책상 위 노트북" || r.session(t, tokens).Device.Name != sess.Device.Name {
		t.Errorf("got %q and %v", sess.Device.Name, err)
	}
	for _, owner := range []string{"somebody else", ""} {
		got, err := r.NameSession(t.Context(), owner, id, "mine now")
		checkErr(t, err, bitjang.ErrNoSuchSession)
		if got.ID == id {
			t.Error("a stranger was shown the session")
		}
	}
	_, err = r.NameSession(t.Context(), tokens.Session.UserID, bitjang.SessionID{1}, "x")
	checkErr(t, err, bitjang.ErrNoSuchSession)
	_, err = r.NameSession(t.Context(), tokens.Session.UserID, id, "\x1b[2J")
	checkCode(t, err, bitjang.Invalid)
	if got := r.session(t, tokens).Device.Name; got != "책상 위 노트북" {
		t.Errorf("got %q, want the name kept", got)
	}
	r.refresh(t, r.refresh(t, tokens, fromLaptop), fromLaptop)
	if got := r.session(t, tokens).Device.Name; got != "책상 위 노트북" {
		t.Errorf("after a refresh: got %q, want the name kept", got)
	}
}

func TestEndingSomebodyElsesSessionIsNotFound(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	tokens := r.login(t, fromLaptop)
	end := func(user string, id bitjang.SessionID) error {
		return r.EndSession(t.Context(), bitjang.EndSessionInput{UserID: user, ID: id, Reason: bitjang.EndedByUser, Caller: fromThief})
	}
	foreign, missing := end("somebody else", tokens.Session.ID), end("somebody else", bitjang.SessionID{1})
	checkErr(t, foreign, bitjang.ErrNoSuchSession)
	if foreign == nil || missing == nil || foreign.Error() != missing.Error() {
		t.Errorf("got %v for another's and %v for none, want no difference", foreign, missing)
	}
	n := len(r.eventTypes(t, tokens.Session.UserID))
	r.refresh(t, tokens, fromLaptop)
	checkErr(t, end(tokens.Session.UserID, tokens.Session.ID), nil)
	if e := r.userEvents(t, tokens.Session.UserID); len(e) != n+1 || e[0].Type != bitjang.EventSessionEnded || e[0].Reason != "ended_by_user" || e[0].IP != fromThief.IP {
		t.Errorf("got %+v, want one session_ended", e[0])
	}
	r.clock.turn(time.Hour)
	checkErr(t, end(tokens.Session.UserID, tokens.Session.ID), nil) // no error, and no second end
	if got := r.session(t, tokens); !got.EndedAt.Equal(atNoon) || len(r.eventTypes(t, got.UserID)) != n+1 {
		t.Errorf("got ended at %v, want the first end kept and no second event", got.EndedAt)
	}
}

func TestTheOperatorEndsAnySession(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	tokens := r.login(t, fromLaptop)
	checkErr(t, r.EndSession(t.Context(), bitjang.EndSessionInput{ID: tokens.Session.ID, Reason: bitjang.EndedByAdmin}), nil)
	_, err := r.Refresh(t.Context(), bitjang.RefreshInput{Token: tokens.Refresh, Caller: fromLaptop})
	if !errors.Is(err, bitjang.ErrSessionRevoked) || bitjang.AsError(err).SessionEnd != bitjang.EndedByAdmin {
		t.Errorf("got %v, want ended_by_admin", err)
	}
	if bitjang.ErrSessionRevoked.SessionEnd != "" {
		t.Error("the shared error has changed")
	}
}

func TestEndingAllSessionsMaySpareOne(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b, c := r.login(t, fromLaptop), r.login(t, fromPhone), r.login(t, caller("192.0.2.9", "tv", "x"))
	n, err := r.EndSessions(t.Context(), bitjang.EndSessionsInput{UserID: a.Session.UserID, Except: a.Session.ID, Reason: bitjang.EndedByLogoutAll, Caller: fromLaptop})
	if n != 2 || err != nil {
		t.Errorf("got %d and %v, want 2", n, err)
	}
	r.refresh(t, a, fromLaptop)
	r.refused(t, b, fromPhone, bitjang.ErrSessionRevoked)
	r.refused(t, c, fromPhone, bitjang.ErrSessionRevoked)
	if e := r.userEvents(t, a.Session.UserID)[0]; e.Type != bitjang.EventSessionsEnded || e.Count != 2 || e.Reason != "logout_all" {
		t.Errorf("got %+v, want sessions_ended, 2, logout_all", e)
	}
	before := len(r.eventTypes(t, a.Session.UserID))
	in := bitjang.EndSessionsInput{UserID: a.Session.UserID, Reason: bitjang.EndedByLogoutAll}
	if n, err := r.EndSessions(t.Context(), in); n != 1 || err != nil {
		t.Errorf("got %d and %v, want 1", n, err)
	}
	if n, err := r.EndSessions(t.Context(), in); n != 0 || err != nil || len(r.eventTypes(t, a.Session.UserID)) != before+1 {
		t.Errorf("got %d and %v, want none and no event", n, err)
	}
}

// TestEndingAllSessionsReachesIdleOnes: a session that has been idle for too
// long still serves its access token and can be renewed by it, so it has to be
// ended as well.
func TestEndingAllSessionsReachesIdleOnes(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, r *rig, id string) error{
		"signed out all over": func(t *testing.T, r *rig, id string) error {
			_, err := r.EndSessions(t.Context(), bitjang.EndSessionsInput{UserID: id, Reason: bitjang.EndedByLogoutAll})
			return err
		},
		"a new password": func(t *testing.T, r *rig, id string) error {
			return r.SetPassword(t.Context(), id, bitjang.NewSecret("another good one"))
		},
		"a disabled account": func(t *testing.T, r *rig, id string) error { _, err := r.DisableUser(t.Context(), id); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *bitjang.Config) { c.AccessTTL, c.RefreshTTL = time.Hour, 10*time.Minute })
			tokens := r.login(t, fromLaptop)
			r.clock.turn(11 * time.Minute)
			checkErr(t, end(t, r, tokens.Session.UserID), nil)
			if _, err := r.Authenticate(t.Context(), tokens.Access); !errors.Is(err, bitjang.ErrSessionRevoked) {
				t.Errorf("the access token: got %v, want the session ended", err)
			}
			got, err := r.Admit(t.Context(), bitjang.AdmitInput{Access: tokens.Access, Refresh: tokens.Refresh, Caller: fromLaptop})
			if err == nil || got.Tokens != nil {
				t.Errorf("both tokens: got %v, want no renewal", err)
			}
		})
	}
}

func TestLogoutTakesEitherToken(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		in   func(old, now bitjang.Tokens, stranger bitjang.Secret) bitjang.LogoutInput
		want error
	}{
		{"the access token", func(_, now bitjang.Tokens, _ bitjang.Secret) bitjang.LogoutInput {
			return bitjang.LogoutInput{Access: now.Access}
		}, nil},
		{"the refresh token", func(_, now bitjang.Tokens, _ bitjang.Secret) bitjang.LogoutInput {
			return bitjang.LogoutInput{Refresh: now.Refresh}
		}, nil},
		{"an old refresh token", func(old, _ bitjang.Tokens, _ bitjang.Secret) bitjang.LogoutInput {
			return bitjang.LogoutInput{Refresh: old.Refresh}
		}, nil},
		{"both", func(_, now bitjang.Tokens, _ bitjang.Secret) bitjang.LogoutInput {
			return bitjang.LogoutInput{Access: now.Access, Refresh: now.Refresh}
		}, nil},
		{"a bad access and a good refresh token", func(_, now bitjang.Tokens, s bitjang.Secret) bitjang.LogoutInput {
			return bitjang.LogoutInput{Access: s, Refresh: now.Refresh}
		}, nil},
		{"a good access and a bad refresh token", func(_, now bitjang.Tokens, s bitjang.Secret) bitjang.LogoutInput {
			return bitjang.LogoutInput{Access: now.Access, Refresh: s}
		}, nil},
		{"neither", func(_, _ bitjang.Tokens, _ bitjang.Secret) bitjang.LogoutInput { return bitjang.LogoutInput{} }, bitjang.ErrAccessToken},
		{"a bad access token", func(_, _ bitjang.Tokens, s bitjang.Secret) bitjang.LogoutInput { return bitjang.LogoutInput{Access: s} }, bitjang.ErrAccessToken},
		{"a bad refresh token", func(_, _ bitjang.Tokens, s bitjang.Secret) bitjang.LogoutInput {
			return bitjang.LogoutInput{Refresh: s}
		}, bitjang.ErrTokenMalformed},
		{"two bad ones", func(_, _ bitjang.Tokens, s bitjang.Secret) bitjang.LogoutInput {
			return bitjang.LogoutInput{Access: s, Refresh: s}
		}, bitjang.ErrAccessToken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			old := r.login(t, fromLaptop)
			now := old
			for range 4 {
				r.clock.turn(time.Minute)
				now = r.refresh(t, now, fromLaptop)
			}
			in := tt.in(old, now, bitjang.NewSecret("bjr_"+strings.Repeat("A", 72)))
			for range 2 { // the second time it is gone already
				checkErr(t, r.Logout(t.Context(), in), tt.want)
			}
			want := bitjang.EndReason("")
			if tt.want == nil {
				want = bitjang.EndedByLogout
			}
			if got := r.session(t, now).EndReason; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if tt.want == nil {
				r.refused(t, now, fromLaptop, bitjang.ErrSessionRevoked)
				r.clock.turn(365 * 24 * time.Hour)
				checkErr(t, r.Sweep(t.Context()), nil)
				if in.Access.IsZero() {
					checkErr(t, r.Logout(t.Context(), in), nil) // swept: still no error
				}
			}
		})
	}
}

func TestActivityIsPagedAndOnesOwn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	u := r.addAda(t)
	for i := range 130 {
		checkErr(t, r.store.InsertEvents(t.Context(), bitjang.Event{At: atNoon, Type: bitjang.EventLogin, UserID: u.ID, Count: i}, bitjang.Event{At: atNoon, UserID: "other"}), nil)
	}
	var got []bitjang.Event
	for before := int64(0); ; before = got[len(got)-1].ID {
		page, err := r.Activity(t.Context(), u.ID, before, 0)
		if err != nil || len(page) > 50 {
			t.Fatalf("got %d and %v, want at most 50", len(page), err)
		}
		if len(page) == 0 {
			break
		}
		got = append(got, page...)
	}
	if len(got) != 131 || !slices.IsSortedFunc(got, func(a, b bitjang.Event) int { return int(b.ID - a.ID) }) {
		t.Errorf("got %d events, want 131, newest first", len(got))
	}
	for _, bad := range [][2]int64{{-1, 10}, {0, -1}, {0, 101}} {
		_, err := r.Activity(t.Context(), u.ID, bad[0], int(bad[1]))
		checkCode(t, err, bitjang.Invalid)
	}
}
