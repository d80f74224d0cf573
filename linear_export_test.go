package bitjang

import "time"

// RefreshInOrder is what a refresh does to a session when nothing else happens
// at the same time: the sequential specification that concurrent histories are
// checked against. It returns the reason of the refusal, "" when granted.
func (s *Service) RefreshInOrder(sess Session, token Secret, from Caller, now time.Time) (Session, string) {
	t, err := s.ring.parse(token)
	if err != nil {
		return sess, AsError(err).Reason
	}
	v := judge(&sess, t, now, from, s.cfg.RotationGrace)
	r := ruling{verdict: v, decision: s.risk.ofRefresh(&sess, v, sess.LastSeenAt, from, now), holdOver: v == verdictDead && sess.holdExpired(now)}
	s.follow(&sess, r, t, from, now)
	switch {
	case v.grants() && r.action.stops():
		return sess, AsError(sess.refusal(now)).Reason
	case v.grants():
		return sess, ""
	case v == verdictSuperseded:
		return sess, ErrSuperseded.Reason
	case v == verdictReplay || v == verdictElsewhere:
		return sess, ErrTokenReused.Reason
	}
	return sess, ErrSessionRevoked.Reason
}
