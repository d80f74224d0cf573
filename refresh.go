package bitjang

import (
	"context"
	"errors"
	"strings"
	"time"
)

const (
	// casAttempts bounds every compare-and-swap loop. Each lost round means
	// that somebody else got on, so more than a few are never needed.
	casAttempts = 16
	// flightTimeout bounds a refresh that several callers wait for together
	// and that none of them can cancel for the others.
	flightTimeout = 10 * time.Second
)

// errContended is answered when a record moved under us casAttempts times.
var errContended = &Error{Code: Unavailable, Reason: "contended", Message: "Too many changes at once. Try again in a moment.", RetryAfter: time.Second}

// RefreshInput is a refresh token that came back.
type RefreshInput struct {
	Token  Secret
	Caller Caller
	terms  *terms // those of the Client that presents it
}

// Refresh exchanges a refresh token for new tokens, or says why not: see
// docs/rotation.md for the ten verdicts.
//
// Identical tokens that arrive together from one address with one User-Agent
// and device share one exchange. Without that condition a thief could share
// the victim's.
func (s *Service) Refresh(ctx context.Context, in RefreshInput) (Tokens, error) {
	t, err := s.ring.parseFor(in.Token, in.terms)
	if err != nil {
		s.counts[verdictMalformed].Add(1)
		return Tokens{}, err
	}
	if err := s.showKey(&in.Caller); err != nil {
		return Tokens{}, err
	}
	in.Caller.Device = in.Caller.Device.bounded()
	d := in.Caller.Device
	key := strings.Join([]string{in.Token.Reveal(), in.Caller.IP.String(), d.ID, d.UserAgent, in.Caller.key, in.terms.wish()}, "\x00")
	return s.flights.join(ctx, key, func() (Tokens, error) {
		// Others may wait for this exchange: nobody's hanging up may stop it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightTimeout)
		defer cancel()
		if err := s.mayRefresh(t.session); err != nil {
			return Tokens{}, err
		}
		return s.refresh(ctx, t, in.Caller)
	})
}

func (s *Service) refresh(ctx context.Context, t refreshToken, from Caller) (Tokens, error) {
	now := s.clock()
	if t.generation > 0 && from.key == "" { // whoever shows a key may have a session that is bound to it
		sess, err := s.sessions.ConfirmSession(ctx, Confirmation{
			ID: t.session, Generation: t.generation, Nonce: t.nonce, Parent: t.parent,
			Now: now, IdleExpiresAt: now.Add(t.terms.refreshTTL(s.cfg.RefreshTTL)),
		})
		switch {
		case err == nil:
			s.counts[verdictConfirm].Add(1)
			return s.grant(ctx, sess, t, from, now)
		case !errors.Is(err, ErrConflict):
			return Tokens{}, outage("confirm refresh", err)
		}
	}
	return s.refreshUnusual(ctx, t, from)
}

// refreshUnusual is every row of the table but the usual one: read, judge,
// compare-and-swap.
func (s *Service) refreshUnusual(ctx context.Context, t refreshToken, from Caller) (Tokens, error) {
	return s.exchange(ctx, t, from, func(sess *Session, now time.Time) verdict {
		return judge(sess, t, now, from, s.cfg.RotationGrace)
	})
}

// exchange gives a child for t if opinion, asked anew each time the session
// has moved, finds that t deserves one.
func (s *Service) exchange(ctx context.Context, t refreshToken, from Caller, opinion func(*Session, time.Time) verdict) (Tokens, error) {
	var v ruling
	now := s.clock()
	sess, err := s.changeSession(ctx, t.session, func(sess *Session) bool {
		now = s.clock()
		v.verdict = opinion(sess, now)
		v.decision = s.risk.ofRefresh(sess, v.verdict, sess.LastSeenAt, from, now)
		v.holdOver = v.verdict == verdictDead && sess.holdExpired(now)
		return s.follow(sess, v, t, from, now)
	})
	if errors.Is(err, ErrNoSuchSession) {
		s.counts[verdictUnknown].Add(1)
		return Tokens{}, ErrSessionUnknown
	} else if err != nil {
		return Tokens{}, err
	}
	s.counts[v.verdict].Add(1)
	if err := s.report(ctx, &sess, v, from, now); err != nil {
		return Tokens{}, s.withChallenge(ctx, err, &sess, t)
	}
	if !v.grants() {
		// The session is alive and its token no good: somebody was faster.
		return Tokens{}, ErrSuperseded
	}
	return s.issue(sess, t.child(), now, from)
}

// ruling is a verdict, and what the risk policy makes of one that gives tokens.
type ruling struct {
	verdict
	decision
	holdOver bool // nobody has answered the session's hold in time, and now it ends
}

// follow carries a verdict and the policies into the record, and reports
// whether it is to be saved.
func (s *Service) follow(sess *Session, v ruling, t refreshToken, from Caller, now time.Time) bool {
	switch {
	case v.verdict == verdictAhead && s.cfg.OnRollback == DenyRollback:
		return false
	case v.grants() && v.action.stops():
		s.freeze(sess, v, t, now)
		return true
	case sess.rotate(v.verdict, t, now):
		sess.LastSeenAt, sess.IdleExpiresAt = now, now.Add(t.terms.refreshTTL(s.cfg.RefreshTTL))
		sess.noteCaller(from)
		return true
	case v.verdict == verdictElsewhere && v.action.stops():
		s.stop(sess, v.action, EndedByStranger, now)
		return true
	case v.verdict == verdictElsewhere: // the risk policy is off, or only looks on
		s.stop(sess, RiskAction(s.cfg.OnReuse), EndedByStranger, now)
		return true
	case v.verdict == verdictReplay:
		s.stop(sess, RiskAction(s.cfg.OnReuse), EndedByReuse, now)
		return true
	case v.holdOver:
		sess.end(now, EndedByHold)
		return true
	}
	return false
}

// report tells what happened, after it was saved, and returns the refusal if
// there is one.
func (s *Service) report(ctx context.Context, sess *Session, v ruling, from Caller, now time.Time) error {
	switch v.verdict {
	case verdictRecover:
		s.record(ctx, happened(EventRefreshRecover, sess, from, ""))
	case verdictAhead:
		s.record(ctx, happened(EventRefreshAhead, sess, from, string(s.cfg.OnRollback)))
		if s.cfg.OnRollback == DenyRollback {
			return ErrSessionUnknown
		}
	case verdictSuperseded:
		return ErrSuperseded
	case verdictUnproven:
		return unproven(from)
	case verdictDead:
		if v.holdOver {
			s.record(ctx, happened(EventSessionEnded, sess, from, string(EndedByHold)))
		}
		return sess.refusal(now)
	case verdictReplay, verdictElsewhere:
		s.log.Warn("refresh token reuse", "session", sess.ID.String(), "user", sess.UserID, "ip", from.IP, "verdict", v.String())
		ended := happened(EventSessionEnded, sess, from, string(sess.EndReason))
		if sess.EndedAt.IsZero() {
			ended = happened(EventSessionHeld, sess, from, sess.HeldFor)
		}
		ended.Detail = riskDetail(v.signals)
		s.record(ctx, happened(EventRefreshReuse, sess, from, v.String()), ended)
		m := Mail{Kind: MailSessionReuse, Link: NewSecret(s.cfg.Issuer + "/account/activity")}
		if sess.EndedAt.IsZero() {
			m.Kind = MailSessionHeld
		}
		s.tellAbout(ctx, sess.UserID, from, m)
		if sess.EndedAt.IsZero() {
			return ErrStepUpRequired
		}
		s.wentAlong(ctx, sess, from)
		e := *ErrTokenReused
		e.SessionEnd = sess.EndReason
		return &e
	}
	s.tellRisk(ctx, sess, v.decision, from)
	if v.action.stops() {
		return sess.refusal(now)
	}
	return nil
}

// noteCaller writes down that a session's device has a new address or a new
// browser version. It is a second write, but a rare one; the usual refresh
// leaves both columns alone, and so a policy can still see the old ones.
func (s *Service) noteCaller(ctx context.Context, sess Session, from Caller) Session {
	noted := sess
	if !noted.noteCaller(from) {
		return sess
	}
	if err := s.sessions.UpdateSession(ctx, noted, nil); err != nil {
		return sess // the next refresh notes it
	}
	noted.Version++
	return noted
}

// noteCaller takes over the address, and of the device what may change about
// it. What another device says of itself stays out of the record: the session
// goes on being the one that was logged in on its own.
func (s *Session) noteCaller(from Caller) bool {
	if from.backend {
		return false
	}
	old := *s
	if from.IP.IsValid() {
		s.IP = from.IP
	}
	if from.Device.UserAgent != "" && (s.own(from) || sameDevice(s.Device, from.Device)) {
		s.Device.UserAgent, s.Device.Hints = from.Device.UserAgent, from.Device.Hints
		setDefault(&s.Device.ID, from.Device.ID)
	}
	return old.IP != s.IP || old.Device != s.Device
}

// changeSession is the compare-and-swap loop for sessions. change decides anew
// on what it finds each round, and says whether there is anything to save.
func (s *Service) changeSession(ctx context.Context, id SessionID, change func(*Session) bool) (Session, error) {
	for range casAttempts {
		sess, err := s.sessions.Session(ctx, id)
		if errors.Is(err, ErrNotFound) {
			return Session{}, ErrNoSuchSession
		} else if err != nil {
			return Session{}, outage("load session", err)
		}
		before := sess
		if !change(&sess) {
			return sess, nil
		}
		err = s.sessions.UpdateSession(ctx, sess, revocation(&before, &sess, s.clock()))
		switch {
		case err == nil:
			sess.Version++
			return sess, nil
		case !errors.Is(err, ErrConflict):
			return Session{}, outage("save session", err)
		}
	}
	return Session{}, errContended
}
