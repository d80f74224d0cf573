package bitjang

import (
	"context"
	"errors"
	"strings"
	"time"
)

// loginTry is a password on trial. What it reserved stays spent unless the
// password turns out to be right.
type loginTry struct {
	account  string // whose, in one spelling, whether or not there is such an account
	from     Caller
	known    bool // the device has logged in to this account before
	reserved []charge
	failing  bool // its network has had failures lately
}

// beginLogin says whether a password may be tried at all, before it is looked
// at: during a lockout a right one is refused like a wrong one, and costs no
// hash. u is nil if there is no such account, which is limited like any other.
//
// A device that has logged in to the account before has a lane of its own, and
// only that: neither guesses at the account nor neighbours in its network lock
// it out.
func (s *Service) beginLogin(ctx context.Context, identifier string, u *User, from Caller) (loginTry, error) {
	a := loginTry{account: accountKey(identifier), from: from}
	if s.cfg.NoRateLimits {
		return a, nil
	}
	var err error
	if a.known, err = s.knowsDevice(ctx, u, from.Device.bounded().ID); err != nil {
		return a, err
	}
	lane := limitAccount.charges(a.account)
	if a.known {
		lane = limitDevice.charges(a.account, from.Device.bounded().ID)
	} else {
		// First the network: one that is refused must not lock the account further.
		network := limitNetwork.chargesFrom(from.IP)
		levels, err := s.reserve(ctx, network)
		if err != nil {
			s.noteLimited(ctx, nil, from, err)
			return a, err
		}
		a.failing = len(levels) > 0 && levels[0] > network[0].refill
		a.reserved = network
	}
	if _, err := s.reserve(ctx, lane); err != nil {
		s.noteLimited(ctx, u, from, err)
		return a, err // the network has failed once more: that stays
	}
	a.reserved = append(a.reserved, lane...)
	return a, nil
}

// accountKey is the one spelling of whatever somebody calls an account.
func accountKey(identifier string) string {
	if email, err := normalizeEmail(identifier); err == nil {
		return email
	}
	return strings.ToLower(strings.TrimSpace(clip(identifier, maxEmail)))
}

// leastDeviceID is how long a device id must be to prove anything. The ids that
// we give have 26 characters of base 32 and those of platforms are UUIDs; what
// is shorter is a name, not a secret.
const leastDeviceID = 16

// knowsDevice says whether a device has logged in to the account before, by the
// sessions that are kept. The id is the proof: a random one that only the device
// and this server know. Should it leak, whoever has it gets the tries of one
// more lane and no more. A device that the user disowned proves nothing.
func (s *Service) knowsDevice(ctx context.Context, u *User, device string) (bool, error) {
	if u == nil || len(device) < leastDeviceID {
		return false, nil
	}
	q := SessionQuery{UserID: u.ID, Limit: maxPage}
	for range maxListed / maxPage {
		page, err := s.sessions.Sessions(ctx, q)
		if err != nil {
			return false, outage("list sessions", err)
		}
		for i := range page {
			if !page[i].ofClient() && page[i].Device.ID == device && page[i].EndReason != EndedByDisowner {
				return true, nil
			}
		}
		if len(page) < maxPage {
			return false, nil
		}
		q.After = page[len(page)-1].ID
	}
	return false, nil
}

// noteLimited tells of a refusal, once in an hour at each node: whoever is
// refused goes on trying.
func (s *Service) noteLimited(ctx context.Context, u *User, from Caller, err error) {
	e := AsError(err)
	if !errors.Is(err, ErrTooManyAttempts) {
		return
	}
	near, _, _ := nearAndWide(from.IP)
	whose := near.String()
	if u != nil {
		whose = u.ID
	}
	if s.told.spend(e.Quota.Name+" "+whose, s.clock(), allowance{1, time.Hour}) > 0 {
		return
	}
	s.log.Warn("logins limited", "limit", e.Quota.Name, "whose", whose, "ip", from.IP, "retry_after", e.RetryAfter.String())
	if u != nil {
		limited := by(from, EventLoginLimited, u.ID)
		limited.Reason = e.Quota.Name
		s.record(ctx, limited)
	}
}

// guessedRight gives back what the attempt reserved: only failures count. That
// the network logged in to this account also speaks for it, once in an hour.
func (s *Service) guessedRight(ctx context.Context, a loginTry) {
	if s.cfg.NoRateLimits {
		return
	}
	s.guesses.right(s.clock())
	s.giveBack(ctx, a.reserved)
	near, _, ok := nearAndWide(a.from.IP)
	if ok && a.failing && !a.known && s.firstTime(ctx, near.String(), a.account, "right") {
		s.giveBack(ctx, limitDistinct.charges(near.String()))
	}
}

// stuffingFine is what a failure at one more account costs a network that has
// been seen to try stolen passwords.
const stuffingFine = 3 * time.Minute

// guessedWrong leaves the reservation spent, and looks for somebody who tries
// many accounts (credential stuffing).
func (s *Service) guessedWrong(ctx context.Context, a loginTry) {
	if s.cfg.NoRateLimits || a.known {
		return
	}
	if n := s.guesses.wrong(a.account, s.clock()); n > 0 {
		s.noteStuffing(ctx, a.from, "everywhere", n)
	}
	near, _, ok := nearAndWide(a.from.IP)
	if !ok || !s.firstTime(ctx, near.String(), a.account, "wrong") {
		return
	}
	_, err := s.reserve(ctx, limitDistinct.charges(near.String()))
	if !errors.Is(err, ErrTooManyAttempts) {
		return
	}
	s.fill(ctx, limitNetwork.chargesFrom(a.from.IP)[:1], func(charge) time.Duration { return stuffingFine })
	if s.told.spend("stuffing "+near.String(), s.clock(), allowance{1, time.Hour}) == 0 {
		s.noteStuffing(ctx, a.from, near.String(), limitDistinct.steps[0].burst)
	}
}

// firstTime says whether something happens for the first time in an hour.
func (s *Service) firstTime(ctx context.Context, parts ...string) bool {
	c := limitOnce.charges(parts...)[0]
	_, ok, err := s.sessions.Spend(ctx, Spending{Key: c.key, Now: s.clock(), Cost: c.refill, Capacity: c.capacity()})
	if err != nil {
		s.log.Error("limit not kept", "limit", c.limit, "error", err)
	}
	return ok && err == nil
}

// noteStuffing tells the operator. It concerns no single user.
func (s *Service) noteStuffing(ctx context.Context, from Caller, where string, accounts int) {
	s.stuffing.Add(1)
	s.log.Warn("credential stuffing: failed logins to many accounts", "where", where, "accounts", accounts, "ip", from.IP)
	s.record(ctx, Event{Type: EventCredentialStuffing, IP: from.IP, UserAgent: from.Device.UserAgent, Reason: where, Count: accounts})
}

// UnlockUser lifts the lockouts that failed logins have brought upon an account,
// on new devices and on those it knows.
func (s *Service) UnlockUser(ctx context.Context, userID string) (User, error) {
	u, err := s.User(ctx, userID)
	if err != nil {
		return User{}, err
	}
	charges := append(limitAccount.charges(u.Email), limitPassword.charges(u.ID)...)
	history, err := s.listSessions(ctx, u.ID, func(sessionState) bool { return true })
	if err != nil {
		return User{}, err
	}
	done := map[string]bool{}
	for i := range history {
		if id := history[i].Device.ID; len(id) >= leastDeviceID && !done[id] {
			done[id] = true
			charges = append(charges, limitDevice.charges(u.Email, id)...)
		}
	}
	if err := s.empty(ctx, charges); err != nil {
		return User{}, err
	}
	s.record(ctx, Event{Type: EventLoginUnlocked, UserID: u.ID})
	return u, nil
}

// empty empties buckets one after the other and says if it could not.
func (s *Service) empty(ctx context.Context, charges []charge) error {
	now := s.clock()
	for _, c := range charges {
		_, _, err := s.sessions.Spend(ctx, Spending{Key: c.key, Now: now, Cost: -2 * c.capacity(), Capacity: farFuture})
		if err != nil {
			return outage("empty limit", err)
		}
	}
	return nil
}
