package bitjang

import (
	"context"
	"errors"
	"time"
)

// AdmitInput is a request that carries an access token, a refresh token, both
// or neither.
type AdmitInput struct {
	Access  Secret
	Refresh Secret
	Passive bool // never rotate: a prefetch, whose answer may be thrown away
	Caller  Caller
}

// Admission is a request that may go on. Tokens is set when the client must be
// given new ones.
type Admission struct {
	Identity
	Tokens *Tokens
}

// Admit decides the four cases of a request with two tokens:
//
//	access   refresh
//	expired  expired   refused; log in again
//	expired  valid     rotated: new tokens
//	valid    expired   a new refresh token on the strength of the access token
//	valid    valid     served as it is
//
// The third case needs the expired refresh token of the same session from the
// same device, so that a stolen access token alone never becomes a session;
// Config.NoRenewal switches it off. A missing token counts as expired.
func (s *Service) Admit(ctx context.Context, in AdmitInput) (Admission, error) {
	id, err := s.AuthenticateFrom(ctx, in.Access, in.Caller)
	switch {
	case err == nil:
		return s.admitted(ctx, id, in)
	case AsError(err).Code == Unavailable, in.Refresh.IsZero(), in.Passive:
		return Admission{}, err
	}
	tokens, err := s.Refresh(ctx, RefreshInput{Token: in.Refresh, Caller: in.Caller})
	if err != nil {
		return Admission{}, err
	}
	return Admission{Identity: Identity{Claims: tokens.claims, Session: tokens.Session}, Tokens: &tokens}, nil
}

// admitted serves a valid access token, and renews the refresh token if that
// has expired.
func (s *Service) admitted(ctx context.Context, id Identity, in AdmitInput) (Admission, error) {
	served := Admission{Identity: id}
	if s.cfg.NoRenewal || in.Passive || !id.Session.renewable(s.clock()) {
		return served, nil
	}
	t, err := s.ring.parse(in.Refresh)
	if err != nil || t.session != id.Session.ID {
		return served, nil
	}
	in.Caller.Device = in.Caller.Device.bounded()
	in.Caller.key = id.Session.KeyThumbprint // shown with the access token
	tokens, err := s.exchange(ctx, t, in.Caller, func(sess *Session, now time.Time) verdict {
		return judgeExpired(sess, t, now, in.Caller, s.cfg.RotationGrace)
	})
	switch {
	case err == nil:
		s.record(ctx, happened(EventSessionRenewed, &tokens.Session, in.Caller, ""))
		return Admission{Identity: Identity{Claims: tokens.claims, Session: tokens.Session}, Tokens: &tokens}, nil
	case errors.Is(err, ErrSessionExpired), errors.Is(err, ErrSuperseded):
		return served, nil // no new tokens, but the access token is still good
	}
	return Admission{}, err
}

// judgeExpired judges the refresh token of a session that has been idle for
// too long as if it had not been, provided the device is the same.
func judgeExpired(s *Session, t refreshToken, now time.Time, from Caller, grace time.Duration) verdict {
	if !s.renewable(now) || !s.own(from) && !sameDevice(s.Device, from.Device) {
		return verdictDead
	}
	awake := *s
	awake.IdleExpiresAt = s.ExpiresAt
	return judge(&awake, t, now, from, grace)
}

// moving is a session that moves on, and what its client is known to hold.
type moving struct {
	session   SessionID
	held      refreshToken // told by an access token or a challenge; may be zero
	presented Secret       // the refresh token sent along; may be zero
	lift      bool         // a hold does not stand in the way: its challenge was met
}

// moveOn moves the caller's session on after its user has given the password.
func (s *Service) moveOn(ctx context.Context, id Identity, presented Secret, from Caller) (Tokens, error) {
	return s.moveOnAs(ctx, id, presented, from, func(sess *Session, now time.Time) { sess.AuthTime = now })
}

func (s *Service) moveOnAs(ctx context.Context, id Identity, presented Secret, from Caller, edit func(*Session, time.Time)) (Tokens, error) {
	held, _ := heldWith(id.Claims)
	from.key = id.Session.KeyThumbprint // shown with the access token
	return s.moveAlong(ctx, moving{session: id.Session.ID, held: held, presented: presented}, from, edit)
}

// moveAlong makes the confirmed token of a session one that nobody holds yet,
// and hands it out: after a change of privilege older tokens must not reach the
// new state. What the client holds becomes the parent, so that a straggler with
// it is told to try again: the presented refresh token if it is in order, else
// the one that came with the access token.
func (s *Service) moveAlong(ctx context.Context, m moving, from Caller, edit func(*Session, time.Time)) (Tokens, error) {
	from.Device = from.Device.bounded()
	held, err := s.ring.parse(m.presented)
	known := err == nil && held.session == m.session
	var t refreshToken
	var refused error
	now := s.clock()
	sess, err := s.changeSession(ctx, m.session, func(sess *Session) bool {
		now = s.clock()
		if refused = sess.refusal(now); refused != nil && !(m.lift && errors.Is(refused, ErrStepUpRequired)) {
			return false
		}
		if sess.ofClient() { // its tokens are on the client's terms
			refused = ErrAccessToken
			return false
		}
		if refused = nil; sess.bound(from) {
			refused = unproven(from)
			return false
		}
		edit(sess, now)
		parent := refreshToken{generation: sess.Generation, nonce: sess.Nonce}
		if m.held.generation > sess.Generation {
			parent = m.held
		}
		if known && sess.rotate(judge(sess, held, now, from, s.cfg.RotationGrace), held, now) {
			parent = held
		}
		parent.session = sess.ID
		t = parent.child()
		sess.moveOn(t, now)
		sess.adopt(from)
		sess.LastSeenAt, sess.IdleExpiresAt = now, now.Add(s.cfg.RefreshTTL)
		return true
	})
	if errors.Is(err, ErrNoSuchSession) {
		return Tokens{}, ErrSessionUnknown
	} else if err != nil {
		return Tokens{}, err
	}
	if refused != nil {
		return Tokens{}, refused
	}
	return s.issue(sess, t, now, from)
}
