package bitjang

import (
	"context"
	"slices"
)

// loginHistory bounds with how many earlier sessions a login is compared.
const loginHistory = 20

// judgeLogin compares a login with the account's past: a device that it has not
// seen is told, and the risk policy judges. Only that can stand in the login's
// way; what cannot be looked up does not.
func (s *Service) judgeLogin(ctx context.Context, u *User, sess *Session, from Caller) error {
	history, err := s.listSessions(ctx, u.ID, func(sessionState) bool { return true })
	if err != nil {
		s.log.Error("devices not compared", "user", u.ID, "error", err)
		return nil
	}
	known := s.knownDevice(history, sess, u.CreatedAt)
	if !known {
		s.noteNewDevice(ctx, u, sess, from)
	}
	d := s.risk.ofLogin(history, sess, known)
	if !d.action.stops() {
		if !known && d.action == RiskNotify {
			d.action = RiskAllow // there is a mail about the new device already
		}
		s.tellRisk(ctx, sess, d, from)
		return nil
	}
	now := s.clock()
	stopped, err := s.changeSession(ctx, sess.ID, func(sess *Session) bool {
		s.stop(sess, d.action, EndedByRisk, now)
		return true
	})
	if err != nil {
		return err
	}
	s.tellRisk(ctx, &stopped, d, from)
	return s.withChallenge(ctx, stopped.refusal(now), &stopped, refreshToken{})
}

// ofLogin judges a login. The password was right, and another device than ever
// before is no change of this one: only places count, and the account's past.
func (r *risk) ofLogin(history []Session, sess *Session, known bool) decision {
	if r.mode == RiskOff {
		return decision{action: RiskAllow}
	}
	past := slices.DeleteFunc(slices.Clone(history), func(old Session) bool { return old.ID == sess.ID })
	slices.SortFunc(past, func(a, b Session) int { return b.LastSeenAt.Compare(a.LastSeenAt) })
	return r.decide(sess.ClientID, r.assessLogin(past[:min(len(past), loginHistory)], sess, known))
}

// assessLogin compares with the past, the last seen first.
func (r *risk) assessLogin(past []Session, sess *Session, known bool) (signals []Signal) {
	is := r.sighting(sess.IP, sess.Device, sess.CreatedAt)
	last, home, hosted := "", false, false
	for i := range past {
		was := r.sighting(past[i].IP, past[i].Device, past[i].LastSeenAt)
		setDefault(&last, was.Place.Country)
		home = home || was.Place.Country == is.Place.Country
		hosted = hosted || was.Hosting
		if i > 0 {
			continue
		}
		if km, hours, ok := travelled(was, is); ok {
			signals = append(signals, travelSignal(km, hours))
		}
	}
	if last != "" && is.Place.Country != "" && !home {
		signals = append(signals, Signal{signalCountry, last + ">" + is.Place.Country})
	}
	if is.Hosting && !hosted {
		signals = append(signals, Signal{signalHosting, networkText(is)})
	}
	if !known {
		signals = append(signals, Signal{Name: signalFirstTime})
	}
	return signals
}
