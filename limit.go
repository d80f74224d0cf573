package bitjang

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// limit is how often something may happen. Its steps must all have room: a short
// one stops a quick series, a long one a patient one, and so each further try
// costs more waiting than the one before.
type limit struct {
	name  string // in headers and metrics, stays the same for ever
	per   string // whose bucket it is, for people
	what  string // what is counted, for people
	steps []allowance
}

// allowance is one bucket: burst at once, then one per refill.
type allowance struct {
	burst  int
	refill time.Duration
}

func (st allowance) capacity() time.Duration { return time.Duration(st.burst) * st.refill }

// The limits. Per network, the first step is for the near one and the second for
// the wide one: see nearAndWide. docs/limits.md says why the numbers are these.
var (
	limitAccount = limit{"login_account", "account", "wrong passwords from devices that are new to it", []allowance{
		{5, 30 * time.Second}, {15, 10 * time.Minute}, {40, 2 * time.Hour}}}
	limitDevice = limit{"login_device", "account and device known to it", "wrong passwords", []allowance{
		{10, 30 * time.Second}, {30, 10 * time.Minute}, {80, 2 * time.Hour}}}
	limitNetwork = limit{"login_network", "network", "refused logins from devices new to the account", []allowance{
		{300, 5 * time.Second}, {3000, time.Second}}}
	limitDistinct = limit{"login_accounts", "near network", "accounts that it failed to log in to, less those it logged in to", []allowance{
		{40, 4 * time.Minute}}}
	limitOnce     = limit{"login_once", "near network and account", "the same, so that each account counts once", []allowance{{1, time.Hour}}}
	limitPassword = limit{"password", "user", "wrong passwords given while logged in", []allowance{
		{5, 30 * time.Second}, {15, 10 * time.Minute}, {40, 2 * time.Hour}}}
	limitSignup    = limit{"signup", "network", "accounts asked for, with an invitation or without", []allowance{{50, time.Minute}, {1000, 6 * time.Second}}}
	limitMails     = limit{"mail_network", "network", "links asked for", []allowance{{50, time.Minute}, {1000, 6 * time.Second}}}
	limitLinks     = limit{"link", "network", "links from mails used", []allowance{{100, 10 * time.Second}, {2000, time.Second}}}
	limitMailbox   = limit{"mail_address", "mail address", "mails that strangers caused", []allowance{{5, 15 * time.Minute}}}
	limitChallenge = limit{"challenge", "challenge", "tries", []allowance{{5, challengeLife}}}
	limitFactor    = limit{"factor", "user", "codes tried", []allowance{{10, 5 * time.Minute}}}
	limitClient    = limit{"client", "client and near network, at each node", "wrong client credentials", []allowance{{30, 10 * time.Second}}}
	limitRefresh   = limit{"refresh", "session, at each node", "refreshes", []allowance{{60, time.Second}}}
)

// limits are all of them.
var limits = []limit{
	limitAccount, limitDevice, limitNetwork, limitDistinct, limitOnce, limitPassword,
	limitSignup, limitMails, limitLinks, limitMailbox, limitChallenge, limitFactor, limitClient, limitRefresh,
}

// Quota is the limit that refused something.
type Quota struct {
	Name   string        // a stable word
	Burst  int           // how many at once
	Window time.Duration // how long it takes until as many may follow
}

// charge is one bucket to spend from.
type charge struct {
	limit string
	key   string
	allowance
}

// charges are the buckets of a limit for one key, which may have several parts.
func (l limit) charges(parts ...string) []charge {
	list := make([]charge, len(l.steps))
	for i, st := range l.steps {
		list[i] = charge{l.name, bucketKey(l.name, i, parts...), st}
	}
	return list
}

// chargesFrom are the buckets of a limit per network. A caller without an
// address, as in a program that calls the Service itself, has none.
func (l limit) chargesFrom(ip netip.Addr) []charge {
	near, wide, ok := nearAndWide(ip)
	if !ok {
		return nil
	}
	list := make([]charge, len(l.steps))
	for i, st := range l.steps {
		list[i] = charge{l.name, bucketKey(l.name, i, []string{near.String(), wide.String()}[i]), st}
	}
	return list
}

// bucketKey hides addresses of both kinds from whoever reads the store in
// passing, and bounds the length of what strangers choose.
func bucketKey(name string, step int, parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return name + " " + strconv.Itoa(step) + " " + base64.RawURLEncoding.EncodeToString(sum[:])
}

// nearAndWide are the networks that an address is counted in. One customer has a
// /64 of IPv6 addresses to choose from, and often a /48.
func nearAndWide(ip netip.Addr) (near, wide netip.Prefix, ok bool) {
	if !ip.IsValid() {
		return near, wide, false
	}
	ip = ip.Unmap().WithZone("")
	bits := [2]int{64, 48}
	if ip.Is4() {
		bits = [2]int{24, 16}
	}
	near, err := ip.Prefix(bits[0])
	if err != nil {
		return near, wide, false
	}
	wide, err = ip.Prefix(bits[1])
	return near, wide, err == nil
}

// spend counts one of a limit, or refuses with ErrTooManyAttempts.
func (s *Service) spend(ctx context.Context, l limit, parts ...string) error {
	_, err := s.reserve(ctx, l.charges(parts...))
	return err
}

// spendFrom is spend per network.
func (s *Service) spendFrom(ctx context.Context, l limit, from Caller) error {
	_, err := s.reserve(ctx, l.chargesFrom(from.IP))
	return err
}

// reserve spends all charges or, if one of them is refused, none. What must not
// be counted after all is given back. It is spent beforehand, so that a thousand
// tries at once are not all let through before the first is counted. While the
// store is away nothing is let through: without it there is no session either.
func (s *Service) reserve(ctx context.Context, charges []charge) (levels []time.Duration, err error) {
	if s.cfg.NoRateLimits || len(charges) == 0 {
		return make([]time.Duration, len(charges)), nil
	}
	now := s.clock()
	type answer struct {
		empty time.Time
		ok    bool
		err   error
	}
	answers := make([]answer, len(charges))
	var all sync.WaitGroup // together, so that they share a commit where the store can
	for i, c := range charges {
		all.Go(func() {
			a := &answers[i]
			a.empty, a.ok, a.err = s.sessions.Spend(ctx, Spending{Key: c.key, Now: now, Cost: c.refill, Capacity: c.capacity()})
		})
	}
	all.Wait()
	var spent []charge
	var refusal *Error
	levels = make([]time.Duration, len(charges))
	for i, a := range answers {
		c := charges[i]
		levels[i] = a.empty.Sub(now)
		switch {
		case a.err != nil:
			err = a.err
		case a.ok:
			spent = append(spent, c)
		default:
			if r := c.refusal(a.empty, now); refusal == nil || r.RetryAfter > refusal.RetryAfter {
				refusal = r
			}
		}
	}
	switch {
	case err != nil:
		err = outage("spend limit", err)
	case refusal != nil:
		s.limited.add(refusal.Quota.Name)
		err = refusal
	default:
		return levels, nil
	}
	s.giveBack(ctx, spent)
	return nil, err
}

// refusal says how long it takes until there is room again.
func (c charge) refusal(empty, now time.Time) *Error {
	e := *ErrTooManyAttempts
	e.RetryAfter = empty.Add(c.refill - c.capacity()).Sub(now)
	e.Quota = Quota{c.limit, c.burst, c.capacity()}
	return &e
}

// farFuture is a capacity that everything fits into.
const farFuture = 3660 * day

// giveBack undoes a reservation. What the store does not take is only forgotten
// later.
func (s *Service) giveBack(ctx context.Context, charges []charge) {
	s.fill(ctx, charges, func(c charge) time.Duration { return -c.refill })
}

// forgive empties buckets, however full they are.
func (s *Service) forgive(ctx context.Context, charges []charge) {
	s.fill(ctx, charges, func(c charge) time.Duration { return -2 * c.capacity() })
}

// fill adds to buckets whether or not it fits.
func (s *Service) fill(ctx context.Context, charges []charge, cost func(charge) time.Duration) {
	if s.cfg.NoRateLimits {
		return
	}
	ctx = context.WithoutCancel(ctx) // the caller may hang up: what was spent is to come back
	now := s.clock()
	var all sync.WaitGroup
	for _, c := range charges {
		all.Go(func() {
			_, _, err := s.sessions.Spend(ctx, Spending{Key: c.key, Now: now, Cost: cost(c), Capacity: farFuture})
			if err != nil {
				s.log.Error("limit not corrected", "limit", c.limit, "error", err)
			}
		})
	}
	all.Wait()
}

// mayRefresh stops a client that refreshes one session in a tight loop, by the
// session and never by the address, which all users of a server-side renderer
// share. It protects the store and is no matter of safety, so each node counts
// for itself.
func (s *Service) mayRefresh(id SessionID) error {
	if s.cfg.NoRateLimits {
		return nil
	}
	st := limitRefresh.steps[0]
	wait := s.refreshes.spend(string(id[:]), s.clock(), st)
	if wait == 0 {
		return nil
	}
	s.limited.add(limitRefresh.name)
	return nearRefusal(limitRefresh, wait)
}

// nearRefusal is the refusal by a limit that each node keeps for itself.
func nearRefusal(l limit, wait time.Duration) error {
	e, st := *ErrTooManyAttempts, l.steps[0]
	e.RetryAfter, e.Quota = wait, Quota{l.name, st.burst, st.capacity()}
	return &e
}

// limitCounts counts refusals by the name of the limit.
type limitCounts map[string]*atomic.Int64

func newLimitCounts() limitCounts {
	c := limitCounts{}
	for _, l := range limits {
		c[l.name] = &atomic.Int64{}
	}
	return c
}

func (c limitCounts) add(name string) { c[name].Add(1) }

func (c limitCounts) snapshot() map[string]int64 {
	m := make(map[string]int64, len(c))
	for name, n := range c {
		m[name] = n.Load()
	}
	return m
}
