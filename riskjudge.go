package bitjang

import (
	"context"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"
)

// risk is the policy at work.
type risk struct {
	mode    RiskMode
	policy  riskPolicy
	places  Places
	hosting map[uint32]bool
	counts  [4]atomic.Int64 // by the rank of the action
}

func newRisk(c *Config) *risk {
	return &risk{mode: c.Risk, policy: newRiskPolicy(c.RiskRules, c.OnReuse), places: c.Places, hosting: hostingNetworks(c.HostingASNs)}
}

// decision is what the policy makes of the signals that fired.
type decision struct {
	signals  []Signal
	action   RiskAction // what is done
	observed RiskAction // what would have been done, in observe mode
}

func (d *decision) fired() bool { return len(d.signals) > 0 }

func (r *risk) sighting(ip netip.Addr, d Device, at time.Time) sighting {
	s := sighting{IP: ip, Device: d, At: at}
	if r.places != nil && ip.IsValid() {
		s.Place, _ = r.places.Locate(ip.Unmap())
		s.Hosting = r.hosting[s.Place.ASN]
	}
	return s
}

// ofRefresh judges a refresh whose verdict gives tokens, or is that of a second
// device within grace: sess is the record as it was, last seen at seen.
func (r *risk) ofRefresh(sess *Session, v verdict, seen time.Time, from Caller, now time.Time) decision {
	switch {
	case r.mode == RiskOff || (!v.grants() && v != verdictElsewhere):
		return decision{action: RiskAllow}
	case from.backend:
		return decision{action: RiskAllow} // its address says nothing about the person's
	case v != verdictElsewhere && quiet(sess, seen, from, now):
		return decision{action: RiskAllow}
	}
	is := r.sighting(from.IP, from.Device, now)
	was := sighting{IP: sess.IP, Device: sess.Device, At: seen}
	if sess.IP != from.IP {
		was = r.sighting(sess.IP, sess.Device, seen)
	}
	signals := assess(was, is)
	if v == verdictElsewhere {
		signals = append(signals, Signal{Name: signalElsewhere})
	}
	return r.decide(sess.ClientID, signals)
}

// decide looks the answer up. That no device id proves the device means nothing
// by itself.
func (r *risk) decide(client string, signals []Signal) decision {
	var fired signalSet
	for _, s := range signals {
		bit, _ := signalBit(s.Name)
		fired |= bit
	}
	if fired == setOf([]string{signalUnproven}) {
		signals, fired = nil, 0
	}
	d := decision{signals: signals, action: RiskAllow, observed: r.policy.decide(client, fired)}
	if r.mode == RiskOn {
		d.action = d.observed
	}
	return d
}

// stop carries a decision that gives no tokens into the record.
func (s *Service) stop(sess *Session, a RiskAction, why EndReason, now time.Time) {
	if a == RiskHold {
		s.hold(sess, string(why), now)
		return
	}
	sess.end(now, why)
}

// grant hands out the child of a token that the store has just confirmed,
// unless the policy says otherwise. Where nothing about the caller has changed
// that takes no call of the store.
func (s *Service) grant(ctx context.Context, sess Session, t refreshToken, from Caller, now time.Time) (Tokens, error) {
	d := s.risk.ofRefresh(&sess, verdictConfirm, sess.SeenBeforeAt, from, now)
	if d.action.stops() {
		return Tokens{}, s.stopConfirmed(ctx, sess, t, d, from)
	}
	s.tellRisk(ctx, &sess, d, from)
	return s.issue(s.noteCaller(ctx, sess, from), t.child(), now, from)
}

// stopConfirmed freezes or ends a session whose token has been confirmed and
// has no child yet. If it cannot be saved, there are no tokens either: the token
// comes back as a retry, and is judged again.
func (s *Service) stopConfirmed(ctx context.Context, confirmed Session, t refreshToken, d decision, from Caller) error {
	first, now := false, s.clock()
	sess, err := s.changeSession(ctx, confirmed.ID, func(sess *Session) bool {
		if first = sess.refusal(now) == nil; !first {
			return false // somebody else was faster
		}
		if sess.Version == confirmed.Version {
			// Nobody has a child of the confirmed token. Whoever proves to be the
			// user goes on from it, as if it had never been presented.
			sess.ChildAt = time.Time{}
		}
		s.stop(sess, d.action, EndedByRisk, now)
		return true
	})
	if err != nil {
		return err
	}
	if first {
		s.tellRisk(ctx, &sess, d, from)
	}
	return s.withChallenge(ctx, sess.refusal(now), &sess, t)
}

// freeze is stopConfirmed's part for the other verdicts that give tokens.
func (s *Service) freeze(sess *Session, v ruling, t refreshToken, now time.Time) {
	if v.verdict == verdictConfirm || v.verdict == verdictAhead {
		sess.rotate(v.verdict, t, now)
		sess.ChildAt = time.Time{}
	}
	sess.LastSeenAt, sess.IdleExpiresAt = now, now.Add(s.cfg.RefreshTTL)
	s.stop(sess, v.action, EndedByRisk, now)
}

const (
	// Signals that come with every refresh, as of a phone between two networks,
	// are told a few times and then once a day; those that mean nothing, once a week.
	riskTellings   = 3
	riskTellAgain  = day
	riskAllowAgain = 7 * day
	// riskMails is how many mails about risk a user gets at once, and then one
	// each riskMailRefill.
	riskMails      = 5
	riskMailRefill = 6 * time.Hour
)

// tellRisk records a decision and tells the user of what deserves it.
func (s *Service) tellRisk(ctx context.Context, sess *Session, d decision, from Caller) {
	if !d.fired() {
		return
	}
	s.risk.count(d.action)
	e := happened(EventRisk, sess, from, string(d.action))
	e.Detail = riskDetail(d.signals)
	switch d.action {
	case RiskHold:
		e.Type, e.Reason = EventSessionHeld, sess.HeldFor
	case RiskRevoke:
		e.Type, e.Reason = EventSessionEnded, string(sess.EndReason)
		s.wentAlong(ctx, sess, from)
	default:
		if d.observed != d.action {
			e.Reason = "observed_" + string(d.observed)
		}
		again := riskTellAgain
		if e.Reason == string(RiskAllow) {
			again = riskAllowAgain
		}
		if !s.seldom(ctx, "risk "+sess.ID.String()+" "+e.Reason, again, riskTellings) {
			return
		}
	}
	s.record(ctx, e)
	if e.Reason != string(RiskAllow) {
		s.log.Warn("unusual use of a session", "session", sess.ID.String(), "user", sess.UserID, "ip", from.IP, "answer", e.Reason, "signals", e.Detail)
	}
	s.mailRisk(ctx, sess, d, from)
}

// mailRisk tells the user, of each place and kind of signals once per session:
// a VPN that is switched on every morning must not nag.
func (s *Service) mailRisk(ctx context.Context, sess *Session, d decision, from Caller) {
	m := Mail{Kind: MailUnusual, Signals: d.signals, Link: NewSecret(s.cfg.Issuer + "/account/activity")}
	switch d.action {
	case RiskHold:
		m.Kind = MailSessionHeld
	case RiskNotify:
		what := []string{"risk mail", sess.ID.String(), s.whereabouts(from.IP)}
		for _, signal := range d.signals {
			switch signal.Name {
			case signalIP, signalNetwork, signalHosting, signalTravel, signalSilence: // said by the place
			default:
				what = append(what, signal.Name)
			}
		}
		if !s.seldom(ctx, clip(strings.Join(what, " "), 250), s.cfg.SessionTTL, 1) {
			return
		}
	case RiskRevoke:
	default:
		return
	}
	if s.cfg.Mailer == nil || !s.seldom(ctx, "risk mails "+sess.UserID, riskMailRefill, riskMails) {
		return
	}
	s.tellAbout(ctx, sess.UserID, from, m)
}

// whereabouts is the country of an address, or else its network.
func (s *Service) whereabouts(ip netip.Addr) string {
	if is := s.risk.sighting(ip, Device{}, time.Time{}); is.Place.Country != "" {
		return is.Place.Country
	} else if ip.IsValid() {
		return networkText(is)
	}
	return ""
}

// seldom says whether something may be told again. If the limit cannot be kept
// it may: once too often is better than not at all.
func (s *Service) seldom(ctx context.Context, key string, again time.Duration, burst int) bool {
	_, ok, err := s.sessions.Spend(context.WithoutCancel(ctx), Spending{Key: key, Now: s.clock(), Cost: again, Capacity: time.Duration(burst) * again})
	if err != nil {
		s.log.Error("limit of what is told not kept", "error", err)
	}
	return err != nil || ok
}

func (r *risk) count(a RiskAction) {
	for i, known := range riskActions {
		if a == known {
			r.counts[i].Add(1)
		}
	}
}

func (r *risk) snapshot() map[string]int64 {
	m := make(map[string]int64, len(riskActions))
	for i, a := range riskActions {
		m[string(a)] = r.counts[i].Load()
	}
	return m
}

// adopt makes the caller what the session is compared with from now on: the user
// has just proved, from there, who they are.
func (s *Session) adopt(from Caller) {
	if from.IP.IsValid() {
		s.IP = from.IP
	}
	if from.Device.UserAgent != "" {
		s.Device.UserAgent, s.Device.Hints = from.Device.UserAgent, from.Device.Hints
	}
	if from.Device.ID != "" {
		s.Device.ID = from.Device.ID
	}
}
