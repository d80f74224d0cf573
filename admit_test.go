package bitjang_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bitjang/bitjang"
)

// idleSoon is a service whose access tokens outlive the refresh tokens, so that
// the third of the four cases comes about.
func idleSoon(c *bitjang.Config) {
	c.AccessTTL, c.RefreshTTL, c.SessionTTL = time.Hour, 20*time.Minute, 10*time.Hour
}

func (r *rig) admit(t *testing.T, tokens bitjang.Tokens, from bitjang.Caller) (bitjang.Admission, error) {
	t.Helper()
	return r.Admit(t.Context(), bitjang.AdmitInput{Access: tokens.Access, Refresh: tokens.Refresh, Caller: from})
}

func TestTheFourCases(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		edit      func(*bitjang.Config)
		wait      time.Duration
		access    bool // is it still valid?
		admitted  bool
		newTokens bool
		want      error
	}{
		{"expired and expired is refused", nil, 15 * 24 * time.Hour, false, false, false, bitjang.ErrSessionExpired},
		{"expired and valid is rotated", nil, 10*time.Minute + clockSkew, false, true, true, nil},
		{"valid and expired is renewed", idleSoon, 30 * time.Minute, true, true, true, nil},
		{"just valid and valid is served", nil, 10*time.Minute + clockSkew - time.Second, true, true, false, nil},
		{"valid and valid is served", nil, time.Minute, true, true, false, nil},
		{"valid and expired is served where renewal is off", func(c *bitjang.Config) { idleSoon(c); c.NoRenewal = true }, 30 * time.Minute, true, true, false, nil},
		{"valid and just valid is served", idleSoon, 20*time.Minute - time.Millisecond, true, true, false, nil},
		{"valid and just expired is renewed", idleSoon, 20 * time.Minute, true, true, true, nil},
		{"just expired and expired is refused", idleSoon, time.Hour + clockSkew, false, false, false, bitjang.ErrSessionExpired},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *bitjang.Config) {
				if tt.edit != nil {
					tt.edit(c)
				}
			})
			tokens := r.refresh(t, r.login(t, fromLaptop), fromLaptop)
			r.clock.turn(tt.wait)
			got, err := r.admit(t, tokens, fromLaptop)
			if !errors.Is(err, tt.want) || (err == nil) != tt.admitted || (got.Tokens != nil) != tt.newTokens {
				t.Fatalf("got %v, new tokens %v", err, got.Tokens != nil)
			}
			if !tt.admitted {
				if got.Claims != nil || !got.Session.ID.IsZero() {
					t.Error("a refusal came with an identity")
				}
				return
			}
			if got.Claims == nil || got.Claims.Subject != tokens.Session.UserID || got.Session.ID != tokens.Session.ID {
				t.Errorf("got %+v, want ada's identity", got.Claims)
			}
			if tt.newTokens {
				if p, was := partsOf(t, got.Tokens.Refresh), partsOf(t, tokens.Refresh); p.generation != was.generation+1 || p.parent != was.nonce {
					t.Errorf("got %+v, want the child of what was presented", p)
				}
				if _, claims := foreign(t, r.Service, got.Tokens.Access); claims["jti"] != got.Claims.ID {
					t.Error("the identity is not that of the new access token")
				}
				next := r.refresh(t, *got.Tokens, fromLaptop)
				r.authenticate(t, next)
			}
			renewed := r.eventTypes(t, tokens.Session.UserID)[0] == bitjang.EventSessionRenewed
			if renewed != (tt.access && tt.newTokens) {
				t.Errorf("session_renewed told: %v", renewed)
			}
		})
	}
}

func TestWithoutTokensNobodyIsAdmitted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	tokens := r.login(t, fromLaptop)
	for name, tt := range map[string]struct {
		in   bitjang.AdmitInput
		want error
	}{
		"neither":                   {bitjang.AdmitInput{}, bitjang.ErrAccessToken},
		"a bad access token alone":  {bitjang.AdmitInput{Access: bitjang.NewSecret("x")}, bitjang.ErrAccessToken},
		"a bad refresh token alone": {bitjang.AdmitInput{Refresh: bitjang.NewSecret("x")}, bitjang.ErrTokenMalformed},
		"each in the other's place": {bitjang.AdmitInput{Access: tokens.Refresh, Refresh: tokens.Access}, bitjang.ErrTokenMalformed},
	} {
		r.store.watch(nil, nil)
		got, err := r.Admit(t.Context(), tt.in)
		if !errors.Is(err, tt.want) || got.Claims != nil || got.Tokens != nil {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
		if calls := r.store.calls(); len(calls) != 0 {
			t.Errorf("%s: got store calls %v", name, calls)
		}
	}
	if got, err := r.Admit(t.Context(), bitjang.AdmitInput{Refresh: tokens.Refresh, Caller: fromLaptop}); err != nil || got.Tokens == nil {
		t.Errorf("a refresh token alone: got %v, want a rotation", err)
	}
	if got, err := r.Admit(t.Context(), bitjang.AdmitInput{Access: tokens.Access}); err != nil || got.Tokens != nil {
		t.Errorf("an access token alone: got %v, want to be served", err)
	}
}

func TestAPassiveRequestNeverRotates(t *testing.T) {
	t.Parallel()
	r := newRig(t, idleSoon)
	tokens := r.login(t, fromLaptop)
	before := r.session(t, tokens)
	for _, tt := range []struct {
		wait time.Duration
		want error
	}{{0, nil}, {30 * time.Minute, nil}, {31 * time.Minute, bitjang.ErrAccessToken}} {
		r.clock.turn(tt.wait)
		got, err := r.Admit(t.Context(), bitjang.AdmitInput{Access: tokens.Access, Refresh: tokens.Refresh, Passive: true, Caller: fromLaptop})
		if !errors.Is(err, tt.want) || got.Tokens != nil {
			t.Errorf("got %v, want %v and no tokens", err, tt.want)
		}
	}
	if diff := cmp.Diff(before, r.session(t, tokens), cmpAddr); diff != "" {
		t.Errorf("the session has changed\n%s", diff)
	}
}

func TestARenewalNeedsTheSessionsOwnTokenFromItsOwnDevice(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		refresh func(t *testing.T, r *rig, mine bitjang.Tokens) bitjang.Secret
		from    bitjang.Caller
		renewed bool
	}{
		{"the own token from the own device renews", func(_ *testing.T, _ *rig, mine bitjang.Tokens) bitjang.Secret { return mine.Refresh }, fromLaptop, true},
		{"another address is fine", func(_ *testing.T, _ *rig, mine bitjang.Tokens) bitjang.Secret { return mine.Refresh }, caller("203.0.113.1", "laptop", fromLaptop.Device.UserAgent), true},
		{"another device does not renew", func(_ *testing.T, _ *rig, mine bitjang.Tokens) bitjang.Secret { return mine.Refresh }, fromThief, false},
		{"without a refresh token nothing is renewed", func(*testing.T, *rig, bitjang.Tokens) bitjang.Secret { return bitjang.Secret{} }, fromLaptop, false},
		{"nor with a mangled one", func(_ *testing.T, _ *rig, mine bitjang.Tokens) bitjang.Secret {
			return bitjang.NewSecret(mine.Refresh.Reveal()[:75] + "-")
		}, fromLaptop, false},
		{"nor with another session's", func(t *testing.T, r *rig, _ bitjang.Tokens) bitjang.Secret {
			anonymous := fromLaptop // a session that the caller's device would be right for
			anonymous.Device.ID = ""
			return r.login(t, anonymous).Refresh
		}, fromLaptop, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, idleSoon)
			mine := r.refresh(t, r.login(t, fromLaptop), fromLaptop)
			refresh := tt.refresh(t, r, mine)
			r.clock.turn(30 * time.Minute)
			before := r.session(t, mine)
			got, err := r.Admit(t.Context(), bitjang.AdmitInput{Access: mine.Access, Refresh: refresh, Caller: tt.from})
			if err != nil {
				t.Fatalf("got %v, want the access token served", err)
			}
			if (got.Tokens != nil) != tt.renewed {
				t.Errorf("new tokens: %v", got.Tokens != nil)
			}
			if !tt.renewed {
				after := r.session(t, mine)
				after.ChildSeenAt, after.Version = before.ChildSeenAt, before.Version // a sighting is fine
				if diff := cmp.Diff(before, after, cmpAddr); diff != "" {
					t.Errorf("the session has changed\n%s", diff)
				}
				r.refused(t, mine, fromLaptop, bitjang.ErrSessionExpired)
			}
		})
	}
}

func TestAnOldRefreshTokenAtARenewalIsTheft(t *testing.T) {
	t.Parallel()
	r := newRig(t, idleSoon)
	old := r.login(t, fromLaptop)
	mine := r.refresh(t, r.refresh(t, old, fromLaptop), fromLaptop)
	r.clock.turn(30 * time.Minute)
	got, err := r.Admit(t.Context(), bitjang.AdmitInput{Access: mine.Access, Refresh: old.Refresh, Caller: fromLaptop})
	if !errors.Is(err, bitjang.ErrTokenReused) || got.Tokens != nil || got.Claims != nil {
		t.Errorf("got %v, want the reuse refused", err)
	}
	if got := r.session(t, mine).EndReason; got != bitjang.EndedByReuse {
		t.Errorf("got %q, want refresh_token_reuse", got)
	}
	if _, err := r.admit(t, mine, fromLaptop); !errors.Is(err, bitjang.ErrSessionRevoked) {
		t.Errorf("then: got %v, want the session ended", err)
	}
}

func TestARenewalStaysWithinTheAbsoluteLifetime(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *bitjang.Config) {
		c.AccessTTL, c.RefreshTTL, c.SessionTTL = time.Hour, 20*time.Minute, 50*time.Minute
	})
	tokens := r.login(t, fromLaptop)
	r.clock.turn(30 * time.Minute)
	got, err := r.admit(t, tokens, fromLaptop)
	if err != nil || got.Tokens == nil {
		t.Fatalf("got %v, want a renewal", err)
	}
	end := atNoon.Add(50 * time.Minute)
	if !got.Tokens.RefreshExpiresAt.Equal(end) || !got.Tokens.AccessExpiresAt.Equal(end) || !got.Session.ExpiresAt.Equal(end) {
		t.Errorf("got %v and %v, want %v", got.Tokens.RefreshExpiresAt, got.Tokens.AccessExpiresAt, end)
	}
	r.clock.turn(20 * time.Minute)
	if _, err := r.admit(t, *got.Tokens, fromLaptop); !errors.Is(err, bitjang.ErrSessionExpired) {
		t.Errorf("got %v, want the session expired", err)
	}
}

// TestARenewalThatLostARaceGivesNothingAway: between the look at the session
// and the renewal somebody else has renewed it. What is presented then is no
// longer judged as expired, and must not be exchanged unjudged.
func TestARenewalThatLostARaceGivesNothingAway(t *testing.T) {
	t.Parallel()
	for name, from := range map[string]bitjang.Caller{"an old token": fromLaptop, "another device": fromThief} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, idleSoon)
			old := r.login(t, fromLaptop)
			mine := r.refresh(t, r.refresh(t, old, fromLaptop), fromLaptop)
			presented := old
			if name == "another device" {
				presented = mine
			}
			r.authenticate(t, mine)
			r.clock.turn(30 * time.Minute)
			looks := 0
			r.store.watch(func(method string) error {
				if method == "Session" {
					looks++
				}
				if method != "Session" || looks != 2 {
					return nil
				}
				r.store.watch(nil, nil)
				if got, err := r.admit(t, mine, fromLaptop); err != nil || got.Tokens == nil {
					t.Errorf("the winner: got %v, want a renewal", err)
				}
				return nil
			}, nil)
			got, err := r.Admit(t.Context(), bitjang.AdmitInput{Access: mine.Access, Refresh: presented.Refresh, Caller: from})
			if err != nil {
				t.Errorf("the loser: got %v, want the access token served", err)
			}
			if looks != 2 {
				t.Fatalf("got %d looks, want a race at the second", looks)
			}
			if got.Tokens != nil {
				t.Errorf("the loser was given tokens for %s (%v)", name, err)
			}
		})
	}
}

func TestAServedRequestIsOneReadAndNothingElse(t *testing.T) {
	t.Parallel()
	r := newRig(t, idleSoon)
	tokens := r.refresh(t, r.login(t, fromLaptop), fromLaptop)
	r.authenticate(t, tokens) // the sighting is a write, once
	for range 3 {
		r.clock.turn(time.Minute)
		r.store.watch(nil, nil)
		if _, err := r.admit(t, tokens, fromLaptop); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"Session"}, r.store.calls()); diff != "" {
			t.Errorf("store calls (-want +got)\n%s", diff)
		}
	}
}

func TestAHeldSessionIsNotRenewed(t *testing.T) {
	t.Parallel()
	r := newRig(t, idleSoon, func(c *bitjang.Config) { c.OnReuse = bitjang.HoldOnReuse })
	first := r.login(t, fromLaptop)
	mine := r.refresh(t, r.refresh(t, first, fromLaptop), fromLaptop)
	r.clock.turn(time.Minute)
	r.refused(t, first, fromThief, bitjang.ErrStepUpRequired)
	r.clock.turn(30 * time.Minute)
	if _, err := r.Authenticate(t.Context(), mine.Access); !errors.Is(err, bitjang.ErrSessionRevoked) || bitjang.AsError(err).SessionEnd != bitjang.EndedByHold {
		t.Errorf("the access token: got %v, want a session that nobody answered for", err)
	}
	if got, err := r.admit(t, mine, fromLaptop); err == nil || got.Tokens != nil {
		t.Errorf("both tokens: got %v, want a refusal", err)
	}
}

func TestAnAdmissionRotatesNothingWhileTheStoreCannotSay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	tokens := r.refresh(t, r.login(t, fromLaptop), fromLaptop)
	r.store.watch(func(method string) error {
		if method == "Session" {
			return errDown
		}
		return nil
	}, nil)
	got, err := r.admit(t, tokens, fromLaptop)
	checkErr(t, err, errDown)
	if diff := cmp.Diff([]string{"Session"}, r.store.calls()); diff != "" || got.Tokens != nil {
		t.Errorf("store calls (-want +got)\n%s", diff)
	}
}

func TestASightingIsSetOncePerGenerationAndClosesRecoveryAfterGrace(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := r.login(t, fromLaptop)
	r.authenticate(t, first)
	if !r.session(t, first).ChildSeenAt.IsZero() {
		t.Error("the confirmed token's own access token counts as its child's")
	}
	second := r.refresh(t, first, fromLaptop)
	r.authenticate(t, first)
	if !r.session(t, first).ChildSeenAt.IsZero() {
		t.Error("an access token from before counts as the child's")
	}
	r.clock.turn(time.Minute)
	seen := r.clock.now()
	r.store.watch(nil, nil)
	id := r.authenticate(t, second)
	if diff := cmp.Diff([]string{"Session", "UpdateSession"}, r.store.calls()); diff != "" {
		t.Errorf("store calls (-want +got)\n%s", diff)
	}
	if !id.Session.ChildSeenAt.Equal(seen) || id.Session.Version != r.session(t, second).Version {
		t.Errorf("got %v, want the sighting in what is returned", id.Session.ChildSeenAt)
	}
	for range 3 {
		r.clock.turn(time.Second)
		r.store.watch(nil, nil)
		r.authenticate(t, second)
		if diff := cmp.Diff([]string{"Session"}, r.store.calls()); diff != "" {
			t.Errorf("store calls (-want +got)\n%s", diff)
		}
	}
	if got := r.session(t, second).ChildSeenAt; !got.Equal(seen) {
		t.Errorf("got %v, want the first sighting, %v", got, seen)
	}
	r.clock.turn(seen.Add(rotationTime).Sub(r.clock.now()))
	r.refresh(t, first, fromLaptop) // grace after the sighting: still a lost response
	r.clock.turn(time.Millisecond)
	r.refused(t, first, fromLaptop, bitjang.ErrTokenReused)
}

func TestASightingIsForgottenWithTheNextGeneration(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	second := r.refresh(t, r.login(t, fromLaptop), fromLaptop)
	r.authenticate(t, second)
	r.clock.turn(time.Hour)
	r.refresh(t, second, fromLaptop)
	if got := r.session(t, second).ChildSeenAt; !got.IsZero() {
		t.Errorf("got %v, want unset", got)
	}
	r.clock.turn(9 * time.Hour)
	r.refresh(t, second, fromLaptop) // its child was never seen: a lost response
}
