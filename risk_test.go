package bitjang_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
)

func rules(t *testing.T, text string) []bitjang.RiskRule {
	t.Helper()
	list, err := bitjang.ParseRiskRules(text)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func withRules(t *testing.T, text string) func(*bitjang.Config) {
	return func(c *bitjang.Config) { c.RiskRules = rules(t, text) }
}

func TestRiskRulesAreReadOrRefused(t *testing.T) {
	t.Parallel()
	const text = "country_changed=hold, hosting_network+browser_changed=revoke, https://app.example:os_changed=allow, kiosk:*=notify"
	var back []string
	for _, r := range rules(t, text) {
		back = append(back, r.String())
	}
	if got := strings.Join(back, ", "); got != text {
		t.Errorf("got %s, want %s", got, text)
	}
	for bad, why := range map[string]string{
		"country_changed": "form", "country_changed=block": "none of", "county_changed=hold": "no signal", "*+ip_changed=hold": "no signal",
		"=hold": "no signal", "ip_changed=hold": "by itself", "ip_changed=notify": "by itself", "x:ip_changed+ip_changed=revoke": "by itself",
		"reuse_within_grace_other_device=allow": "theft", "reuse_within_grace_other_device=notify": "theft",
	} {
		list, err := bitjang.ParseRiskRules(bad)
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: got %v, want a word about %q", bad, err, why)
		}
		if _, err := bitjang.New(bitjang.Config{Issuer: "https://x.example", MasterKeys: []bitjang.Secret{bitjang.NewMasterKey()}, Store: &spy{}, RiskRules: list}); len(list) > 0 && err == nil {
			t.Errorf("%s: New takes it", bad)
		}
	}
}

func TestTheRiskPolicyCanBeChanged(t *testing.T) {
	t.Parallel()
	abroad, curl := at("198.18.13.5", "laptop", firefox), at("198.18.11.9", "", "curl/8.5.0")
	for _, tt := range []struct {
		name, rules string
		from        bitjang.Caller
		want        string
	}{
		{"by default a journey is told", "", abroad, isTold},
		{"a line takes the place of its default", "country_changed=hold", abroad, isFrozen},
		{"a line can be worse still", "country_changed=revoke", abroad, isEnded},
		{"a milder line does not undo a worse one that applies too", "country_changed=allow, network_changed=hold", abroad, isFrozen},
		{"a new set of signals is a new line", "country_changed+network_changed=revoke", abroad, isEnded},
		{"a set applies only when all of it fires", "country_changed+browser_changed=revoke", abroad, isTold},
		{"every line at once", "*=allow", curl, carriesOn},
		{"a client's own line", "bitjang:country_changed=hold", abroad, isFrozen},
		{"another client's line", "kiosk:country_changed=hold", abroad, isTold},
		{"a client's own line stands on those for everybody", "country_changed=hold, bitjang:os_changed=allow", abroad, isFrozen},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, laptopAtHome, withRules(t, tt.rules))
			s.use(6*hour, tt.from)
			if got := s.outcome(); got != tt.want {
				t.Errorf("got %q (%v), want %q", got, s.last, tt.want)
			}
		})
	}
}

// TestALongSilenceIsSeenWhereNothingElseHasChanged has the usual case decided
// without an assessment, and an old one not.
func TestALongSilenceIsSeenWhereNothingElseHasChanged(t *testing.T) {
	t.Parallel()
	for days, want := range map[time.Duration]string{6: carriesOn, 8: isTold} {
		s := newScene(t, laptopAtHome, withRules(t, "long_silence=notify"))
		s.use(days*aDay, laptopAtHome)
		if got := s.outcome(); got != want {
			t.Errorf("after %d days: got %q, want %q", days, got, want)
		}
	}
}

func TestRiskObservedChangesNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t, laptopAtHome, func(c *bitjang.Config) { c.Risk = bitjang.RiskObserve })
	s.use(hour, at("198.18.11.9", "", "curl/8.5.0"))
	if got := s.outcome(); got != carriesOn {
		t.Errorf("got %q, want %q", got, carriesOn)
	}
	e := s.userEvents(t, s.tokens.Session.UserID)[0]
	if e.Type != bitjang.EventRisk || e.Reason != "observed_hold" || !strings.Contains(e.Detail, "country_changed=KR>US") {
		t.Errorf("got %+v, want what would have been done", e)
	}
	s = newScene(t, laptopAtHome, withoutRisk)
	s.use(hour, at("198.18.11.9", "", "curl/8.5.0"))
	if got := s.eventTypes(t, s.tokens.Session.UserID); slices.Contains(got, bitjang.EventRisk) || s.last != nil {
		t.Errorf("off: got events %v and %v", got, s.last)
	}
}

func TestAHoldSaysWhatWasNoticed(t *testing.T) {
	t.Parallel()
	mails := &postbox{}
	s := newScene(t, laptopAtHome, func(c *bitjang.Config) { c.Mailer = mails })
	s.steal(hour, at("198.18.11.9", "", "curl/8.5.0"))
	checkErr(t, s.last, bitjang.ErrStepUpRequired)
	sess := s.session(t, s.tokens)
	if sess.HeldFor != "risk" || sess.IP.String() != "198.18.1.7" || sess.Device != laptopAtHome.Device {
		t.Errorf("got held for %q at %v %+v, want risk and the owner's device", sess.HeldFor, sess.IP, sess.Device)
	}
	e := s.userEvents(t, sess.UserID)[0]
	const want = "ip_changed=198.18.1.7>198.18.11.9 network_changed=AS4766>AS16509 country_changed=KR>US impossible_travel=11137km/1.0h hosting_network=AS16509 " +
		"browser_changed=Firefox>curl os_changed=Linux> device_type_changed=desktop>unknown device_id_missing device_unproven"
	if e.Type != bitjang.EventSessionHeld || e.Reason != "risk" || e.Detail != want || e.IP.String() != "198.18.11.9" {
		t.Errorf("got %+v\nwant the signals %s", e, want)
	}
	if n := s.Stats().Risk["hold"]; n != 1 {
		t.Errorf("got %d holds counted, want 1", n)
	}
	waiting, err := s.store.ClaimMails(t.Context(), s.clock.now().Add(hour), s.clock.now().Add(2*hour), 10)
	if err != nil || len(waiting) < 1 {
		t.Errorf("got %d mails and %v, want one", len(waiting), err)
	}
}

type postbox struct{}

func (*postbox) Deliver(context.Context, bitjang.Mail) error { return nil }

func TestNoEventTellsADeviceID(t *testing.T) {
	t.Parallel()
	s := newScene(t, at("198.18.1.7", "secret-of-the-owner", firefox))
	s.steal(hour, at("198.18.11.9", "secret-of-the-thief", firefox))
	for _, e := range s.userEvents(t, s.tokens.Session.UserID) {
		if strings.Contains(e.Detail+e.Reason, "secret-of") {
			t.Errorf("got %+v", e)
		}
	}
	if strings.Contains(s.log.String(), "secret-of") {
		t.Error("the log tells a device id")
	}
}

// TestAHeldSessionIsRefusedEverywhere looks at the node that held, at another
// one, and at that one while the store is away.
func TestAHeldSessionIsRefusedEverywhere(t *testing.T) {
	t.Parallel()
	s := newScene(t, laptopAtHome, func(c *bitjang.Config) { c.AccessTTL = aDay })
	other := s.node(t, s.cfg)
	if err := other.LoadKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { _ = other.Run(ctx) }()
	s.steal(hour, at("198.18.11.9", "", "curl/8.5.0"))
	fresh := s.tokens
	checkTold := func(svc *bitjang.Service) {
		t.Helper()
		_, err := svc.Authenticate(t.Context(), fresh.Access)
		checkErr(t, err, bitjang.ErrStepUpRequired)
	}
	checkTold(s.Service)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if r, ok := other.Revoked(fresh.Session.ID); ok && r.State == bitjang.RevocationHeld && r.Reason == "risk" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the other node has not heard of it")
		}
	}
	checkTold(other)
	s.store.watch(func(string) error { return errDown }, nil)
	checkTold(other)
}

// TestAfterAHoldTheOwnerGoesOn lifts the hold by hand: what the owner holds is
// the confirmed token, without a child, and still good.
func TestAfterAHoldTheOwnerGoesOn(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*scene){
		"the thief confirms the owner's token": func(*scene) {},
		"the owner had lost an answer":         func(s *scene) { s.lost(hour, laptopAtHome) },
	} {
		s := newScene(t, laptopAtHome)
		prepare(s)
		s.steal(hour, at("198.18.4.5", "", firefox))
		sess := s.session(t, s.tokens)
		if sess.HeldAt.IsZero() {
			t.Fatalf("%s: not held", name)
		}
		if never := name == "the thief confirms the owner's token"; never && !sess.ChildAt.IsZero() {
			t.Errorf("%s: the record tells of a child that nobody got", name)
		}
		sess.HeldAt, sess.HeldFor = time.Time{}, ""
		if err := s.store.UpdateSession(t.Context(), sess, nil); err != nil {
			t.Fatal(err)
		}
		s.use(3*hour, laptopAtHome)
		if s.last != nil {
			t.Errorf("%s: got %v, want the session to go on", name, s.last)
		}
	}
}

// TestOneJourneyIsAskedAboutOnce has the owner prove who she is, far from home
// and by the challenge that the refusal brings.
func TestOneJourneyIsAskedAboutOnce(t *testing.T) {
	t.Parallel()
	abroad := at("198.18.13.20", "laptop", firefox)
	s := newScene(t, laptopAtHome, withRules(t, "country_changed=hold"))
	a, tokens := s.addApp(t, s.login(t, laptopAtHome), laptopAtHome)
	s.tokens = tokens
	thief := *s
	s.use(6*hour, abroad)
	next := s.proven(t, challengeOf(t, s.last, bitjang.ErrStepUpRequired), bitjang.FactorTOTP, a.next(), abroad)
	if next.Session.ID != tokens.Session.ID {
		t.Error("it is another session")
	}
	s.tokens = next
	for range 3 {
		s.use(hour, abroad)
		if s.last != nil {
			t.Fatalf("got %v, want nobody asked twice", s.last)
		}
	}
	thief.use(time.Second, abroad) // with what it had copied before
	checkErr(t, thief.last, bitjang.ErrTokenReused)
}

func TestAHoldThatCannotBeSavedGivesNoTokens(t *testing.T) {
	t.Parallel()
	s := newScene(t, laptopAtHome)
	s.store.watch(func(method string) error {
		if method == "UpdateSession" {
			return errDown
		}
		return nil
	}, nil)
	s.steal(hour, at("198.18.11.9", "", "curl/8.5.0"))
	checkCode(t, s.last, bitjang.Unavailable)
	s.store.watch(nil, nil)
	s.steal(time.Second, at("198.18.11.9", "", firefox))
	checkErr(t, s.last, bitjang.ErrStepUpRequired)
}

func TestALoginFromAbroadIsToldAndMayBeHeld(t *testing.T) {
	t.Parallel()
	s := newScene(t, laptopAtHome)
	s.clock.turn(hour)
	s.login(t, at("198.18.11.9", "laptop", firefox))
	e := s.userEvents(t, s.tokens.Session.UserID)
	if !slices.ContainsFunc(e, func(e bitjang.Event) bool {
		return e.Type == bitjang.EventRisk && e.Reason == "notify" && e.Detail == "impossible_travel=11137km/1.0h country_changed=KR>US hosting_network=AS16509"
	}) {
		t.Errorf("got %+v, want the login noticed", e)
	}
	s = newScene(t, laptopAtHome, withRules(t, "first_time_on_account+hosting_network=hold"))
	_, err := s.Login(t.Context(), loginAs(ada, rightPass, at("198.18.11.9", "new", firefox)))
	checkErr(t, err, bitjang.ErrStepUpRequired)
	if _, err := s.Login(t.Context(), loginAs(ada, rightPass, at("198.18.4.9", "new", firefox))); err != nil {
		t.Errorf("from a home: got %v", err)
	}
}
