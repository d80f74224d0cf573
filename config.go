package bitjang

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/bitjang/bitjang/internal/passhash"
)

// Config makes a Service. Required: Issuer, MasterKeys and Store. Every other
// zero value has the stated default.
type Config struct {
	Issuer     string   // public base URL, the `iss` of tokens
	Audience   string   // `aud` of access tokens; default: Issuer
	ClientID   string   // `client_id` of first-party access tokens; default "bitjang"
	MasterKeys []Secret // newest first; see NewMasterKey

	Store    Store
	Sessions SessionStore // default: Store

	AccessTTL        time.Duration // lifetime of an access token; default 10 m, 1 s to 24 h
	RefreshTTL       time.Duration // idle lifetime of a session, slides; default 14 days
	SessionTTL       time.Duration // absolute lifetime of a session, never slides; default 90 days
	RotationGrace    time.Duration // how late a straggler may be; default 30 s, at most 10 m
	SessionRetention time.Duration // how long a dead session is kept to explain itself; default 30 days
	EventRetention   time.Duration // how long events are kept; default 400 days

	SessionLimit int        // live sessions per user, the longest unseen is ended beyond it; 0: no limit
	OnReuse      OnReuse    // default RevokeOnReuse
	OnRollback   OnRollback // default AcceptRollback
	Risk         RiskMode   // default RiskOn; see docs/risk.md
	RiskRules    []RiskRule // changes to DefaultRiskRules
	HostingASNs  []uint32   // AS numbers of data centres, beside those that are built in
	Places       Places     // where addresses are; default: unknown, and no signal speaks of it
	NoRenewal    bool       // switches off the third of the four cases; see Service.Admit

	Signup               SignupPolicy  // default SignupOpen
	SignupDomains        []string      // only addresses at these domains may sign up; default: any
	SignupRevealExisting bool          // signing up with a known address answers ErrUserExists
	VerifyEmail          VerifyEmail   // default VerifyOptional
	DeletionGrace        time.Duration // how long a deleted account can be had back by logging in; default 14 days

	RequireFactor  []string      // roles whose users log in with a second factor only, or RequireEveryone; default: nobody's
	RememberDevice time.Duration // how long a device may do without a second factor if its user asks for that; default 30 days, negative: never
	HoldTTL        time.Duration // how long a session on hold waits for its user; default 24 h
	NoMailCode     bool          // codes by mail count nothing
	Passkeys       Passkeys      // default: there are none; see package passkey
	NoRateLimits   bool          // switches every limit of docs/limits.md off: for benchmarks and tests

	Mailer Mailer // default: no mail is sent, and what needs one answers ErrMailDisabled

	Algorithm        string        // of access tokens: ES256 (default), EdDSA or RS256
	Resources        []Resource    // audiences whose access tokens look different
	KeyRotation      time.Duration // how long a signing key is used; default 30 days
	IDTokenAlgorithm string        // of ID tokens: RS256 (default), ES256 or EdDSA
	Backchannel      Backchannel   // tells clients that a session has ended; default: they are not told
	KeyPublication   time.Duration // how long a key is published before it is used; default 24 h

	PasswordMemoryKiB uint32 // argon2id memory; default 19456 (19 MiB), at least 8192
	PasswordTime      uint32 // argon2id passes; default 2
	PasswordWorkers   int    // hashes computed at once; default half of the processors
	PasswordQueue     int    // logins that may wait for a worker; default 64 per worker

	Now    func() time.Time // default time.Now
	Logger *slog.Logger     // default: discard
}

// RequireEveryone in Config.RequireFactor means all users.
const RequireEveryone = "*"

// SignupPolicy says who makes accounts.
type SignupPolicy string

// The policies.
const (
	SignupOpen   SignupPolicy = "open"
	SignupInvite SignupPolicy = "invite" // whoever has an invitation: see Service.Invite
	SignupClosed SignupPolicy = "closed" // the operator
)

// VerifyEmail says whether a user must have shown that the mail address is theirs.
type VerifyEmail string

// The policies.
const (
	VerifyOptional VerifyEmail = "optional"
	VerifyRequired VerifyEmail = "required" // to log in
)

// OnReuse says what happens to a session whose old refresh token comes back.
type OnReuse string

// The policies.
const (
	RevokeOnReuse OnReuse = "revoke" // the session ends
	HoldOnReuse   OnReuse = "hold"   // nobody gets tokens until the user logs in again on that device
)

// OnRollback says what happens to a token that is newer than the store.
type OnRollback string

// The policies.
const (
	AcceptRollback OnRollback = "accept" // the session goes on; an event tells
	DenyRollback   OnRollback = "deny"   // refused as an unknown session
)

const day = 24 * time.Hour

// withDefaults fills in every zero value.
func (c Config) withDefaults() Config {
	setDefault(&c.Audience, c.Issuer)
	setDefault(&c.ClientID, "bitjang")
	setDefault(&c.AccessTTL, 10*time.Minute)
	setDefault(&c.RefreshTTL, 14*day)
	setDefault(&c.SessionTTL, 90*day)
	setDefault(&c.RotationGrace, 30*time.Second)
	setDefault(&c.SessionRetention, 30*day)
	setDefault(&c.EventRetention, 400*day)
	setDefault(&c.Signup, SignupOpen)
	setDefault(&c.VerifyEmail, VerifyOptional)
	setDefault(&c.DeletionGrace, 14*day)
	setDefault(&c.RememberDevice, 30*day)
	setDefault(&c.HoldTTL, day)
	setDefault(&c.OnReuse, RevokeOnReuse)
	setDefault(&c.Risk, RiskOn)
	setDefault(&c.OnRollback, AcceptRollback)
	setDefault(&c.Algorithm, "ES256")
	setDefault(&c.IDTokenAlgorithm, "RS256")
	setDefault(&c.KeyRotation, 30*day)
	setDefault(&c.KeyPublication, day)
	setDefault(&c.PasswordMemoryKiB, 19*1024)
	setDefault(&c.PasswordTime, 2)
	setDefault(&c.PasswordWorkers, (runtime.GOMAXPROCS(0)+1)/2)
	setDefault(&c.PasswordQueue, 64*c.PasswordWorkers)
	if c.Sessions == nil && c.Store != nil {
		c.Sessions = c.Store
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c Config) passwordParams() passhash.Params {
	return passhash.Params{MemoryKiB: c.PasswordMemoryKiB, Time: c.PasswordTime, Threads: 1}
}

// problems returns everything that is wrong with a Config whose defaults are
// filled in.
func (c Config) problems() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	u, err := url.Parse(c.Issuer)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(c.Issuer, "/") {
		bad("Issuer: %q is not an http or https URL without query, fragment and slash at the end", c.Issuer)
	}
	if c.Store == nil {
		bad("Store: missing")
	}
	within := func(name string, value, least, most time.Duration) {
		if value < least || value > most {
			bad("%s: %v is not within %v and %v", name, value, least, most)
		}
	}
	const decade = 3660 * day
	within("AccessTTL", c.AccessTTL, time.Second, day)
	within("RefreshTTL", c.RefreshTTL, time.Second, decade)
	within("SessionTTL", c.SessionTTL, c.RefreshTTL, decade)
	within("RotationGrace", c.RotationGrace, time.Second, 10*time.Minute)
	within("SessionRetention", c.SessionRetention, time.Minute, decade)
	within("EventRetention", c.EventRetention, time.Minute, decade)
	within("KeyRotation", c.KeyRotation, time.Minute, decade)
	within("KeyPublication", c.KeyPublication, time.Second, c.KeyRotation)
	within("HoldTTL", c.HoldTTL, time.Minute, decade)
	if c.RememberDevice > 0 {
		within("RememberDevice", c.RememberDevice, time.Minute, 366*day)
	}
	within("DeletionGrace", c.DeletionGrace, time.Minute, decade)
	if !slices.Contains([]SignupPolicy{SignupOpen, SignupInvite, SignupClosed}, c.Signup) {
		bad("Signup: %q is none of open, invite, closed", c.Signup)
	}
	for _, d := range c.SignupDomains {
		if _, err := normalizeEmail("a@" + d); err != nil || d != strings.ToLower(d) {
			bad("SignupDomains: %q is not a domain in lower case", d)
		}
	}
	switch {
	case c.VerifyEmail != VerifyOptional && c.VerifyEmail != VerifyRequired:
		bad("VerifyEmail: %q is neither optional nor required", c.VerifyEmail)
	case c.VerifyEmail == VerifyRequired && c.Mailer == nil:
		bad("VerifyEmail: nobody can verify an address without a Mailer")
	}
	if c.SessionLimit < 0 {
		bad("SessionLimit: %d is negative", c.SessionLimit)
	}
	if c.OnReuse != RevokeOnReuse && c.OnReuse != HoldOnReuse {
		bad("OnReuse: %q is neither revoke nor hold", c.OnReuse)
	}
	if !slices.Contains([]RiskMode{RiskOn, RiskObserve, RiskOff}, c.Risk) {
		bad("Risk: %q is none of on, observe, off", c.Risk)
	}
	if len(c.RiskRules) > maxRiskRules {
		bad("RiskRules: %d are more than %d", len(c.RiskRules), maxRiskRules)
	}
	for _, r := range c.RiskRules {
		if err := r.problem(); err != nil {
			bad("RiskRules: %w", err)
		}
	}
	if c.OnRollback != AcceptRollback && c.OnRollback != DenyRollback {
		bad("OnRollback: %q is neither accept nor deny", c.OnRollback)
	}
	c.checkResources(bad)
	if !slices.Contains(algorithms, c.Algorithm) {
		bad("Algorithm: %q is none of ES256, EdDSA, RS256", c.Algorithm)
	}
	if err := c.passwordParams().Check(); err != nil || c.PasswordMemoryKiB < 8*1024 {
		bad("PasswordMemoryKiB, PasswordTime: %d KiB and %d passes are too little or too much", c.PasswordMemoryKiB, c.PasswordTime)
	}
	if c.PasswordWorkers < 1 || c.PasswordQueue < 1 {
		bad("PasswordWorkers, PasswordQueue: both must be positive")
	}
	return errors.Join(errs...)
}
