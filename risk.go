package bitjang

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// RiskMode says what becomes of what the risk policy finds.
type RiskMode string

// The modes.
const (
	RiskOn      RiskMode = "on"
	RiskObserve RiskMode = "observe" // recorded as events, and nothing else
	RiskOff     RiskMode = "off"
)

// RiskAction is an answer of the risk policy.
type RiskAction string

// The answers, from the mildest to the worst.
const (
	RiskAllow  RiskAction = "allow"
	RiskNotify RiskAction = "notify" // carry on, and tell the user
	RiskHold   RiskAction = "hold"   // freeze the session until step-up
	RiskRevoke RiskAction = "revoke" // end it
)

var riskActions = []RiskAction{RiskAllow, RiskNotify, RiskHold, RiskRevoke}

// stops says that nobody gets tokens.
func (a RiskAction) stops() bool { return a == RiskHold || a == RiskRevoke }

// Signal is one thing that is not as it was, with what it was and is now. It
// holds no secret, and no device id: that is what a thief lacks.
type Signal struct {
	Name  string // in a word that stays the same for ever
	Value string // "KR>US"; may be empty
}

// The signals, in the order in which they are told.
const (
	signalIP         = "ip_changed"
	signalNetwork    = "network_changed" // another /24 or /64
	signalCountry    = "country_changed"
	signalTravel     = "impossible_travel" // faster than an airliner
	signalHosting    = "hosting_network"   // from a data centre, and not before
	signalBrowser    = "browser_changed"
	signalOS         = "os_changed"
	signalType       = "device_type_changed"
	signalBackwards  = "version_went_backwards"
	signalNoDevice   = "device_id_missing" // the session has one, the caller shows none
	signalDevice     = "device_id_changed"
	signalUnproven   = "device_unproven" // no device id says that it is the same device
	signalSilence    = "long_silence"
	signalFirstTime  = "first_time_on_account" // at login only
	signalElsewhere  = "reuse_within_grace_other_device"
	maxSignalValue   = 64
	maxRiskRules     = 200
	riskRuleWildcard = "*"
)

// SignalNames are all of them.
func SignalNames() []string {
	return []string{
		signalIP, signalNetwork, signalCountry, signalTravel, signalHosting, signalBrowser, signalOS, signalType, signalBackwards,
		signalNoDevice, signalDevice, signalUnproven, signalSilence, signalFirstTime, signalElsewhere,
	}
}

// RiskRule is a line of the risk policy: what to do when all of its signals
// fire at once. Of all lines that apply the worst answer wins.
type RiskRule struct {
	Client  string   // only for sessions of this client; "" for all
	Signals []string // one at least
	Action  RiskAction
}

// DefaultRiskRules is the policy unless Config.RiskRules changes lines of it.
//
// The thought behind it: the device id is a cookie or header of its own, so
// whoever has copied a refresh token alone cannot show it. With it, a new place
// is a traveller or a VPN, and the user is told; without it, a new place or
// another browser is a stranger, and nobody gets tokens until the user has
// proved who they are. A network or an address alone says nothing.
func DefaultRiskRules() []RiskRule {
	rule := func(a RiskAction, signals ...string) RiskRule { return RiskRule{Signals: signals, Action: a} }
	return []RiskRule{
		rule(RiskAllow, signalIP),
		rule(RiskAllow, signalNetwork),
		rule(RiskAllow, signalHosting),
		rule(RiskAllow, signalNoDevice),
		rule(RiskAllow, signalUnproven),
		rule(RiskAllow, signalSilence),
		rule(RiskAllow, signalFirstTime),
		rule(RiskNotify, signalCountry),
		rule(RiskNotify, signalTravel),
		rule(RiskNotify, signalBrowser),
		rule(RiskNotify, signalOS),
		rule(RiskNotify, signalType),
		rule(RiskNotify, signalBackwards),
		rule(RiskHold, signalDevice),
		rule(RiskHold, signalCountry, signalUnproven),
		rule(RiskHold, signalCountry, signalBrowser),
		rule(RiskHold, signalCountry, signalOS),
		rule(RiskHold, signalCountry, signalType),
		rule(RiskHold, signalCountry, signalSilence),
		rule(RiskHold, signalTravel, signalUnproven),
		rule(RiskHold, signalHosting, signalBrowser),
		rule(RiskHold, signalHosting, signalUnproven),
		rule(RiskHold, signalNetwork, signalNoDevice),
		rule(RiskHold, signalNetwork, signalBackwards, signalUnproven),
		rule(RiskHold, signalBrowser, signalUnproven),
		rule(RiskHold, signalOS, signalUnproven),
		rule(RiskHold, signalType, signalUnproven),
		rule(RiskRevoke, signalElsewhere),
	}
}

// ParseRiskRules reads lines of a policy, separated by commas:
//
//	country_changed=hold, hosting_network+browser_changed=revoke, kiosk:device_type_changed=allow
//
// A client before a colon makes a line its own. "*" stands for every line there
// is: "kiosk:*=allow" lets a client do anything.
func ParseRiskRules(text string) ([]RiskRule, error) {
	var rules []RiskRule
	var errs []error
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		left, action, ok := strings.Cut(part, "=")
		if !ok {
			errs = append(errs, fmt.Errorf("%q is not of the form signal+signal=action", part))
			continue
		}
		r := RiskRule{Action: RiskAction(strings.TrimSpace(action))}
		if i := strings.LastIndex(left, ":"); i >= 0 {
			r.Client, left = strings.TrimSpace(left[:i]), left[i+1:]
		}
		for s := range strings.SplitSeq(left, "+") {
			r.Signals = append(r.Signals, strings.TrimSpace(s))
		}
		if err := r.problem(); err != nil {
			errs = append(errs, err)
		}
		rules = append(rules, r)
	}
	return rules, errors.Join(errs...)
}

// String writes a rule as ParseRiskRules reads it.
func (r RiskRule) String() string {
	text := strings.Join(r.Signals, "+") + "=" + string(r.Action)
	if r.Client != "" {
		text = r.Client + ":" + text
	}
	return text
}

// problem says what is wrong with a rule.
func (r RiskRule) problem() error {
	if !slices.Contains(riskActions, r.Action) {
		return fmt.Errorf("%q: %q is none of allow, notify, hold, revoke", r.String(), r.Action)
	}
	if len(r.Signals) == 0 {
		return fmt.Errorf("%q: no signal", r.String())
	}
	for _, name := range r.Signals {
		if _, ok := signalBit(name); !ok && (name != riskRuleWildcard || len(r.Signals) > 1) {
			return fmt.Errorf("%q: there is no signal %q; there are %s", r.String(), name, strings.Join(SignalNames(), ", "))
		}
	}
	switch set := setOf(r.Signals); {
	case set == setOf([]string{signalIP}) && r.Action != RiskAllow:
		return fmt.Errorf("%q: an address changes by itself, with mobile networks, IPv6 and relays; it cannot be held against anybody", r.String())
	case set == setOf([]string{signalElsewhere}) && !r.Action.stops():
		return fmt.Errorf("%q: two devices with one token are theft: hold or revoke", r.String())
	}
	return nil
}

// signalSet is which signals fired.
type signalSet uint32

func signalBit(name string) (signalSet, bool) {
	i := slices.Index(SignalNames(), name)
	return 1 << max(i, 0), i >= 0
}

func setOf(names []string) (set signalSet) {
	for _, name := range names {
		if bit, ok := signalBit(name); ok {
			set |= bit
		}
	}
	return set
}

// riskPolicy is the lines as they are looked up: those for everybody under "",
// and whole tables for clients that have lines of their own.
type riskPolicy map[string]riskTable

type riskTable map[signalSet]RiskAction

// change puts a rule in. The answer to theft itself is no other signal's line.
func (t riskTable) change(r RiskRule) {
	if r.Signals[0] != riskRuleWildcard {
		t[setOf(r.Signals)] = r.Action
		return
	}
	for set := range t {
		if set != setOf([]string{signalElsewhere}) {
			t[set] = r.Action
		}
	}
}

// newRiskPolicy lays changes over the default lines. A line with the same
// signals takes the place of the one before it.
func newRiskPolicy(changes []RiskRule, onReuse OnReuse) riskPolicy {
	all := riskTable{}
	for _, r := range DefaultRiskRules() {
		all[setOf(r.Signals)] = r.Action
	}
	all[setOf([]string{signalElsewhere})] = RiskAction(onReuse)
	p := riskPolicy{"": all}
	for _, own := range []bool{false, true} { // a client's lines stand on the finished ones for everybody
		for _, r := range changes {
			if (r.Client != "") != own {
				continue
			}
			if p[r.Client] == nil {
				p[r.Client] = maps.Clone(all)
			}
			p[r.Client].change(r)
		}
	}
	return p
}

// decide is the worst answer of all lines whose signals are among the fired.
func (p riskPolicy) decide(client string, fired signalSet) RiskAction {
	table, ok := p[client]
	if !ok {
		table = p[""]
	}
	worst := 0
	for set, a := range table {
		if set&fired == set {
			worst = max(worst, slices.Index(riskActions, a))
		}
	}
	return riskActions[worst]
}

// riskDetail writes signals into one short line: "country_changed=KR>US long_silence".
func riskDetail(signals []Signal) string {
	var b strings.Builder
	for _, s := range signals {
		word := s.Name
		if v := strings.ReplaceAll(clip(s.Value, maxSignalValue), " ", "_"); v != "" {
			word += "=" + v
		}
		if b.Len()+len(word)+1 > maxEventDetail {
			break
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(word)
	}
	return b.String()
}

// parseRiskDetail reads what riskDetail wrote. Words that are no signals are
// left out: other events have details of their own.
func parseRiskDetail(detail string) (signals []Signal) {
	for _, word := range strings.Fields(detail) {
		name, value, _ := strings.Cut(word, "=")
		if _, ok := signalBit(name); ok {
			signals = append(signals, Signal{name, strings.ReplaceAll(value, "_", " ")})
		}
	}
	return signals
}

// PlainSignals are those that say something to people: what the others only
// repeat in other words is left out.
func PlainSignals(signals []Signal) []Signal {
	quiet := []string{signalIP, signalNetwork, signalUnproven, signalFirstTime}
	var plain []Signal
	for _, s := range signals {
		if !slices.Contains(quiet, s.Name) {
			plain = append(plain, s)
		}
	}
	if len(plain) == 0 {
		return signals
	}
	return plain
}

// Place is roughly where an address is.
type Place struct {
	Country string // ISO 3166-1, "KR"; "" if unknown
	ASN     uint32 // of the network; 0 if unknown
	ASNOrg  string
	Lat     float64
	Lon     float64
	Located bool // Lat and Lon are known
}

// Places tells where addresses are. It must be quick: it is asked in the
// refresh path whenever an address has changed.
type Places interface {
	Locate(ip netip.Addr) (Place, bool)
}

// sighting is a device at a moment: what risk compares.
type sighting struct {
	IP      netip.Addr
	Device  Device
	Place   Place
	Hosting bool // the network is a data centre's
	At      time.Time
}
