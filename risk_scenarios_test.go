package bitjang_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
)

// atlas is where the addresses of the scenarios are.
type atlas map[string]bitjang.Place

func (a atlas) Locate(ip netip.Addr) (bitjang.Place, bool) {
	for network, p := range a {
		if netip.MustParsePrefix(network).Contains(ip) {
			return p, true
		}
	}
	return bitjang.Place{}, false
}

func in(country string, asn uint32, lat, lon float64) bitjang.Place {
	return bitjang.Place{Country: country, ASN: asn, Lat: lat, Lon: lon, Located: true}
}

// The networks of the scenarios. Their numbers are those of real ones.
var world = atlas{
	"198.18.1.0/24":   in("KR", 4766, 37.57, 126.98),  // home in Seoul
	"198.18.2.0/24":   in("KR", 9644, 37.57, 126.98),  // mobile
	"198.18.3.0/24":   in("KR", 3786, 37.40, 127.11),  // an office
	"198.18.4.0/24":   in("KR", 9318, 35.18, 129.08),  // a stranger's home in Busan
	"198.18.10.0/24":  in("US", 9009, 40.71, -74.01),  // a VPN's exit
	"198.18.11.0/24":  in("US", 16509, 39.04, -77.49), // a data centre
	"198.18.12.0/24":  in("US", 7922, 39.95, -75.17),  // a home in Philadelphia
	"198.18.13.0/24":  in("JP", 2516, 35.68, 139.69),  // a hotel in Tokyo
	"198.18.14.0/24":  in("KR", 23576, 37.40, 127.11), // a data centre near Seoul
	"198.18.20.0/24":  in("KR", 13335, 37.57, 126.98), // a relay's exit
	"198.18.21.0/24":  in("KR", 13335, 37.57, 126.98), // another one
	"198.18.30.0/23":  in("KR", 9644, 37.57, 126.98),  // carrier-grade NAT
	"2001:db8:1::/64": in("KR", 4766, 37.57, 126.98),  // home, IPv6
}

const (
	firefox  = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	firefox1 = "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0"
	android  = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile Safari/537.36"
	desktop  = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36"
	iphone   = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"
	shopApp  = "Shop/3.1 (Android 15)"
)

// What comes of a scenario, in the words of docs/risk.md.
const (
	carriesOn = "carries on"
	isTold    = "carries on, and the user is told"
	isFrozen  = "frozen, nobody gets tokens"
	isEnded   = "ended"
)

// scene is a session and what is done with its tokens.
type scene struct {
	*rig
	t      *testing.T
	tokens bitjang.Tokens // the owner's newest
	last   error          // of the last refresh
}

// use is a refresh of the owner, after a while.
func (s *scene) use(after time.Duration, from bitjang.Caller) {
	s.t.Helper()
	s.clock.turn(after)
	got, err := s.Refresh(s.t.Context(), bitjang.RefreshInput{Token: s.tokens.Refresh, Caller: from})
	if s.last = err; err == nil {
		s.tokens = got
	}
}

// lost is a refresh whose answer never arrives.
func (s *scene) lost(after time.Duration, from bitjang.Caller) {
	before := s.tokens
	s.use(after, from)
	s.tokens = before
}

// steal is a refresh of a thief with the owner's newest token.
func (s *scene) steal(after time.Duration, from bitjang.Caller) {
	s.t.Helper()
	s.clock.turn(after)
	_, s.last = s.Refresh(s.t.Context(), bitjang.RefreshInput{Token: s.tokens.Refresh, Caller: from})
}

// outcome says what has become of the session.
func (s *scene) outcome() string {
	s.t.Helper()
	sess := s.session(s.t, s.tokens)
	told := slices.ContainsFunc(s.userEvents(s.t, sess.UserID), func(e bitjang.Event) bool {
		return e.Type == bitjang.EventRisk && e.Reason == string(bitjang.RiskNotify)
	})
	switch {
	case !sess.EndedAt.IsZero():
		return isEnded
	case !sess.HeldAt.IsZero():
		return isFrozen
	case s.last != nil:
		return s.last.Error()
	case told:
		return isTold
	}
	return carriesOn
}

type scenario struct {
	name   string
	theft  bool
	login  bitjang.Caller
	play   func(s *scene)
	want   string
	behind string // what decides
}

func at(ip, device, userAgent string) bitjang.Caller { return caller(ip, device, userAgent) }

const hour, aDay = time.Hour, 24 * time.Hour

var laptopAtHome = at("198.18.1.7", "laptop", firefox)

func riskScenarios() []scenario {
	return []scenario{
		{"a phone moves from Wi-Fi to mobile and back", false, at("198.18.1.7", "phone", iphone), func(s *scene) {
			for range 5 {
				s.use(hour, at("198.18.2.9", "phone", iphone))
				s.use(hour, at("198.18.1.7", "phone", iphone))
			}
		}, carriesOn, "a network alone says nothing"},
		{"an app that sends no device id moves between networks", false, at("198.18.1.7", "", shopApp), func(s *scene) {
			s.use(hour, at("198.18.2.9", "", shopApp))
			s.use(hour, at("198.18.1.7", "", shopApp))
		}, carriesOn, "the same, within a country"},
		{"an office changes its address", false, at("198.18.3.1", "pc", firefox), func(s *scene) {
			s.use(hour, at("198.18.4.200", "pc", firefox))
			s.use(hour, at("198.18.4.200", "pc", firefox))
		}, carriesOn, "a network alone says nothing"},
		{"a browser updates itself", false, laptopAtHome, func(s *scene) {
			s.use(hour, at("198.18.1.7", "laptop", firefox1))
		}, carriesOn, "versions go up"},
		{"a VPN is switched on and off", false, laptopAtHome, func(s *scene) {
			for range 5 {
				s.use(10*time.Minute, at("198.18.10.3", "laptop", firefox))
				s.use(10*time.Minute, laptopAtHome)
			}
		}, isTold, "another country and a data centre, but the device id is right"},
		{"a traveller opens the laptop in another country", false, laptopAtHome, func(s *scene) {
			s.use(5*hour, at("198.18.13.20", "laptop", firefox))
		}, isTold, "another country, but the device id is right"},
		{"a laptop wakes after a month", false, laptopAtHome, func(s *scene) {
			s.use(30*aDay, at("198.18.1.9", "laptop", firefox1))
		}, carriesOn, "a long silence alone says nothing"},
		{"a laptop wakes after a month in a café", false, laptopAtHome, func(s *scene) {
			s.use(30*aDay, at("198.18.3.20", "laptop", firefox))
		}, carriesOn, "the same"},
		{"an IPv6 privacy address changes", false, at("2001:db8:1::a1", "laptop", firefox), func(s *scene) {
			for i := range 30 {
				s.use(aDay, at(fmt.Sprintf("2001:db8:1::%x", 0xb00+i), "laptop", firefox))
			}
		}, carriesOn, "an address alone says nothing"},
		{"carrier-grade NAT changes the address with every request", false, at("198.18.30.1", "phone", iphone), func(s *scene) {
			for i := range 60 {
				s.use(10*time.Minute, at(fmt.Sprintf("198.18.%d.%d", 30+i%2, i+1), "phone", iphone))
			}
		}, carriesOn, "a network alone says nothing"},
		{"a privacy relay is switched on", false, at("198.18.1.7", "phone", iphone), func(s *scene) {
			for range 5 {
				s.use(hour, at("198.18.20.3", "phone", iphone))
				s.use(hour, at("198.18.21.4", "phone", iphone))
			}
		}, carriesOn, "relays are not counted among the data centres"},
		{"a renderer on a server refreshes for its users", false, laptopAtHome, func(s *scene) {
			for range 5 {
				s.use(hour, at("198.18.14.1", "laptop", firefox)) // it passes cookies and User-Agent on
				s.use(hour, laptopAtHome)
			}
		}, carriesOn, "a data centre, but the device id is right"},
		{"a phone asks for the desktop version of a page", false, at("198.18.2.9", "phone", android), func(s *scene) {
			s.use(hour, at("198.18.2.9", "phone", desktop))
			s.use(hour, at("198.18.2.9", "phone", android))
		}, isTold, "another system, but the device id is right"},
		{"a train goes through a tunnel: an answer is lost, the retry comes from another network", false, at("198.18.1.7", "phone", iphone), func(s *scene) {
			s.lost(hour, at("198.18.1.7", "phone", iphone))
			s.use(5*time.Second, at("198.18.2.9", "phone", iphone))
			s.use(hour, at("198.18.2.9", "phone", iphone))
		}, carriesOn, "a network alone says nothing"},

		{"a token is copied to a server in a data centre", true, laptopAtHome, func(s *scene) {
			s.steal(hour, at("198.18.11.9", "", "curl/8.5.0"))
		}, isFrozen, "no device id, another browser, another country, a data centre"},
		{"the same, with the browser's name copied as well", true, laptopAtHome, func(s *scene) {
			s.steal(hour, at("198.18.14.9", "", firefox))
		}, isFrozen, "no device id, a data centre"},
		{"the same, with all cookies and without the browser's name", true, laptopAtHome, func(s *scene) {
			s.steal(hour, at("198.18.14.9", "laptop", "python-requests/2.32"))
		}, isFrozen, "a data centre, another browser"},
		{"a token is copied to the same type of browser in another country", true, laptopAtHome, func(s *scene) {
			s.steal(hour, at("198.18.12.5", "", firefox))
		}, isFrozen, "no device id, another country"},
		{"a token is copied to the same type of browser in the same country", true, laptopAtHome, func(s *scene) {
			s.steal(hour, at("198.18.4.5", "", firefox))
		}, isFrozen, "no device id, another network"},
		{"a thief's browser has a device id of its own", true, laptopAtHome, func(s *scene) {
			s.steal(hour, at("198.18.1.8", "thief", firefox))
		}, isFrozen, "another device id"},
		{"a token of an app that sends no device id is used abroad", true, at("198.18.1.7", "", shopApp), func(s *scene) {
			s.steal(hour, at("198.18.12.5", "", shopApp))
		}, isFrozen, "nothing proves the device, another country"},
		{"a token of an app that sends no device id is used by another program", true, at("198.18.1.7", "", shopApp), func(s *scene) {
			s.steal(hour, at("198.18.1.7", "", "curl/8.5.0"))
		}, isFrozen, "nothing proves the device, another program"},
		{"all cookies of a forgotten laptop are used abroad", true, laptopAtHome, func(s *scene) {
			s.steal(20*aDay, at("198.18.12.5", "laptop", firefox))
		}, isFrozen, "a long silence, another country"},
		{"an attacker replays within the grace window", true, laptopAtHome, func(s *scene) {
			s.lost(hour, laptopAtHome)
			s.steal(5*time.Second, at("198.18.11.9", "", "curl/8.5.0"))
		}, isEnded, "two devices with one token"},
		{"an attacker replays within the grace window with the same type of browser", true, laptopAtHome, func(s *scene) {
			s.lost(hour, laptopAtHome)
			s.steal(5*time.Second, at("198.18.4.5", "", firefox))
		}, isFrozen, "no device id, another network"},
		{"an attacker replays within the grace window with a device id of its own", true, laptopAtHome, func(s *scene) {
			s.lost(hour, laptopAtHome)
			s.steal(5*time.Second, at("198.18.1.7", "thief", firefox))
		}, isEnded, "two devices with one token"},
	}
}

func newScene(t *testing.T, login bitjang.Caller, edits ...func(*bitjang.Config)) *scene {
	t.Helper()
	edits = append([]func(*bitjang.Config){func(c *bitjang.Config) {
		c.Places, c.RefreshTTL = world, 45*aDay
	}}, edits...)
	s := &scene{rig: newRig(t, edits...), t: t}
	s.tokens = s.login(t, login)
	s.use(hour, login)
	return s
}

func TestRiskScenarios(t *testing.T) {
	t.Parallel()
	for _, tt := range riskScenarios() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, tt.login)
			tt.play(s)
			if got := s.outcome(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if events := s.userEvents(t, s.tokens.Session.UserID); len(events) > 12 {
				t.Errorf("got %d events, want no more than a handful", len(events))
			}
			if !tt.theft {
				return
			}
			if s.last == nil {
				t.Error("the thief has tokens")
			}
			s.use(time.Minute, tt.login)
			if s.last == nil {
				t.Error("the owner, who cannot be told from the thief yet, has tokens")
			}
			if _, err := s.Authenticate(t.Context(), s.tokens.Access); err == nil {
				t.Error("an access token of the session is still good")
			}
		})
	}
}

// TestHonestScenariosLogNobodyOut holds the table to its promise.
func TestHonestScenariosLogNobodyOut(t *testing.T) {
	t.Parallel()
	for _, tt := range riskScenarios() {
		if honest := tt.want == carriesOn || tt.want == isTold; honest == tt.theft {
			t.Errorf("%s: %s", tt.name, tt.want)
		}
	}
}

// TestAJarCopiedWhole is what nothing can tell from a VPN: the user is told, and
// the owner's next refresh ends it.
func TestAJarCopiedWhole(t *testing.T) {
	t.Parallel()
	s := newScene(t, laptopAtHome)
	thief := *s
	thief.use(hour, at("198.18.10.3", "laptop", firefox))
	if got := s.outcome(); got != isTold {
		t.Errorf("got %q, want %q", got, isTold)
	}
	thief.use(hour, at("198.18.10.3", "laptop", firefox)) // confirms a token minted after the theft
	s.use(hour, laptopAtHome)
	if got := s.outcome(); got != isEnded || !errors.Is(s.last, bitjang.ErrTokenReused) {
		t.Errorf("got %q and %v, want the session ended by the owner's next refresh", got, s.last)
	}
}

func TestWithoutPlacesTheOtherSignalsWork(t *testing.T) {
	t.Parallel()
	for name, from := range map[string]bitjang.Caller{
		"another browser": at("198.18.11.9", "", "curl/8.5.0"), "the same browser": at("198.18.12.5", "", firefox), "another device id": at("198.18.1.7", "x", firefox),
	} {
		s := newScene(t, laptopAtHome, func(c *bitjang.Config) { c.Places = nil })
		s.steal(hour, from)
		if got := s.outcome(); got != isFrozen {
			t.Errorf("%s: got %q, want %q", name, got, isFrozen)
		}
	}
}

const scenariosBegin, scenariosEnd = "<!-- scenarios: written by go test -run TestRiskPage . -update -->\n", "<!-- end of scenarios -->\n"

func scenarioTable() string {
	var b strings.Builder
	for _, theft := range []bool{false, true} {
		title := "Honest"
		if theft {
			title = "Theft"
		}
		fmt.Fprintf(&b, "| %s | outcome | because |\n|---|---|---|\n", title)
		for _, s := range riskScenarios() {
			if s.theft == theft {
				fmt.Fprintf(&b, "| %s | %s | %s |\n", s.name, s.want, s.behind)
			}
		}
		b.WriteByte('\n')
	}
	b.WriteString("| signals together | answer |\n|---|---|\n")
	for _, r := range bitjang.DefaultRiskRules() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", strings.Join(r.Signals, "+"), r.Action)
	}
	return b.String()
}

// TestRiskPage compares docs/risk.md with the scenarios and the policy.
func TestRiskPage(t *testing.T) {
	const file = "docs/risk.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), scenariosBegin)
	_, tail, ok2 := strings.Cut(rest, scenariosEnd)
	if !ok || !ok2 {
		t.Fatal(errors.New("docs/risk.md has lost the marks around its tables"))
	}
	want := head + scenariosBegin + scenarioTable() + scenariosEnd + tail
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(text) {
		t.Error("docs/risk.md is not what the tests say: go test -run TestRiskPage . -update")
	}
	for _, name := range bitjang.SignalNames() {
		if !strings.Contains(head+tail, "`"+name+"`") {
			t.Errorf("docs/risk.md does not say what %s is", name)
		}
	}
}
