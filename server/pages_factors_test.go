package server_test

import (
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
)

var secretShown = regexp.MustCompile(`<code>([A-Z2-7 ]+)</code>`)

// valueOf is what a hidden field of a page holds, or an attribute.
func valueOf(t *testing.T, s screen, before string) string {
	t.Helper()
	m := regexp.MustCompile(regexp.QuoteMeta(before) + `"([^"]*)"`).FindStringSubmatch(s.body)
	if m == nil {
		t.Fatalf("%s: no %s in %s", s.at, before, s.body)
	}
	return html.UnescapeString(m[1])
}

// addApp adds an authenticator app on the pages, as somebody who is logged in.
func (p *person) addApp(r *rig) app {
	p.t.Helper()
	s := p.get("/account/factors/totp").want(p.t, 200)
	a := app{r, strings.ReplaceAll(secretShown.FindStringSubmatch(s.body)[1], " ", "")}
	setup := valueOf(p.t, s, `name="setup" value=`)
	wrong := p.post("/account/factors/totp", "setup", setup, "code", "000000").want(p.t, 401)
	if again := secretShown.FindStringSubmatch(wrong.body); again == nil || strings.ReplaceAll(again[1], " ", "") != a.secret {
		p.t.Error("after a wrong code the app would have to be told another secret")
	}
	p.leads(p.post("/account/factors/totp", "setup", setup, "code", a.code(0)), "/account/security?notice=factor_added")
	r.clock.advance(time.Minute)
	return a
}

func (p *person) logIn(to string) screen {
	p.t.Helper()
	return p.leads(p.post("/login", "email", alice, "password", password), to)
}

var codeShown = regexp.MustCompile(`<code>([0-9a-z]{5}-[0-9a-z]{5})</code>`)

// TestThePageAsksForWhatThereIs: an app only, then recovery codes too, then no
// codes any more.
func TestThePageAsksForWhatThereIs(t *testing.T) {
	t.Parallel()
	r, _, visit := pageRig(t, withPasskeys)
	mine := visit("en", browser)
	mine.logIn("/account")
	a := mine.addApp(r)
	others := func(s screen) (list []string) {
		for _, m := range regexp.MustCompile(`href="/login/step-up\?factor=(\w+)`).FindAllStringSubmatch(s.body, -1) {
			list = append(list, m[1])
		}
		return list
	}
	asked := func() (*person, screen) {
		p := visit("en", browser)
		return p, p.logIn("/login/step-up").has(t, "Enter the code that your authenticator app shows.")
	}
	if _, s := asked(); len(others(s)) != 0 {
		t.Errorf("with an app only: got %v too", others(s))
	}
	codes := codeShown.FindAllStringSubmatch(mine.post("/account/recovery-codes").want(t, 200).body, -1)
	if len(codes) != 10 {
		t.Fatalf("got codes %v", codes)
	}
	for _, code := range codes {
		p, s := asked()
		if got := others(s); len(got) != 1 || got[0] != "recovery_code" {
			t.Fatalf("with codes: got %v too", got)
		}
		p.get("/login/step-up?factor=recovery_code").has(t, "Enter one of the recovery codes")
		p.get("/login/step-up?factor=passkey").has(t, "Enter the code that your authenticator app shows.") // there is none
		p.leads(p.post("/login/step-up", "factor", "recovery_code", "code", code[1], "return_to", "/account/activity"), "/account/activity")
		r.clock.advance(5 * time.Minute)
	}
	p, s := asked()
	if len(others(s)) != 0 {
		t.Errorf("without codes: got %v too", others(s))
	}
	p.leads(p.post("/login/step-up", "factor", "totp", "code", a.code(0), "return_to", ""), "/account")
}

// TestAPasskeyThatFailsLeadsOn: there is always a form to go on with.
func TestAPasskeyThatFailsLeadsOn(t *testing.T) {
	t.Parallel()
	r, _, visit := pageRig(t, withPasskeys)
	p := visit("en", browser)
	page := p.get("/login")
	challenge := valueOf(t, page, `name="challenge" value=`)
	bad := []string{"factor", "passkey", "credential", "{}", "return_to", "/account/activity", "challenge", challenge}
	again := p.post("/login/passkey", bad...).want(t, 401).has(t, "This is not right", `action="/login"`, `value="/account/activity"`)
	if valueOf(t, again, `name="challenge" value=`) == challenge {
		t.Error("the same challenge again")
	}
	p.logIn("/account")
	p.get("/account/factors/passkey").want(t, 200)
	s := p.post("/account/factors/passkey", "setup", valueOf(t, p.get("/account/factors/passkey"), `name="setup" value=`), "credential", "{}").want(t, 401)
	if !strings.Contains(valueOf(t, s, `data-passkey=`), "challenge") || valueOf(t, s, `name="setup" value=`) == "" {
		t.Error("nothing to try again with")
	}

	// While somebody installed the app, the proof went stale.
	s = p.get("/account/factors/totp").want(t, 200)
	a := app{r, strings.ReplaceAll(secretShown.FindStringSubmatch(s.body)[1], " ", "")}
	r.clock.advance(11 * time.Minute)
	s = p.leads(p.post("/account/factors/totp", "setup", valueOf(t, s, `name="setup" value=`), "code", a.code(0)), "/login/step-up?return_to=%2Faccount%2Ffactors%2Ftotp")
	s.has(t, "Enter your password.")
	p.leads(p.post("/login/step-up", "factor", "password", "code", password, "return_to", "/account/factors/totp"), "/account/factors/totp")
}

// cookie is what the person's browser keeps under a name.
func (p *person) cookie(t *testing.T, name string) string {
	t.Helper()
	base, err := url.Parse(p.base)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range p.jar.Cookies(base) {
		if c.Name == name {
			return c.Value
		}
	}
	t.Fatalf("no cookie %s", name)
	return ""
}

// TestAChallengeThatIsOverLeadsOn: whoever comes late gets another one, or goes
// where they were going.
func TestAChallengeThatIsOverLeadsOn(t *testing.T) {
	t.Parallel()
	r, box, visit := pageRig(t, func(s *setup) { s.OnReuse = bitjang.HoldOnReuse })
	p := visit("en", browser)
	p.leads(p.get("/login/step-up?return_to=/account/profile"), "/login?return_to=%2Faccount%2Fprofile") // nobody
	p.logIn("/account")
	p.leads(p.post("/login/step-up", "factor", "totp", "code", "1", "return_to", "/account/profile"), "/account/profile")
	p.leads(p.post("/login/code", "return_to", "/account/profile"), "/account/profile")

	stolen := p.cookie(t, rtCookie)
	for range 3 { // the first token is stolen, and used when it is old
		p.get("/account").want(t, 200)
		r.clock.advance(time.Hour)
	}
	r.refresh(stolen).want(403, "step_up_required")
	p.leads(p.get("/account/profile"), "/login/step-up?return_to=%2Faccount%2Fprofile").has(t, "Was this you?")
	r.clock.advance(10 * time.Minute)
	for _, late := range []func() screen{
		func() screen { return p.get("/login/step-up?return_to=/account/profile") },
		func() screen { return p.post("/login/code", "return_to", "/account/profile") },
		func() screen {
			return p.post("/login/step-up", "factor", "email", "code", "1", "return_to", "/account/profile")
		},
	} {
		p.leads(late(), "/login/step-up?return_to=%2Faccount%2Fprofile")
		r.clock.advance(10 * time.Minute)
	}
	p.leads(p.get("/login/step-up?return_to=/account/profile"), "/login/step-up?return_to=%2Faccount%2Fprofile").has(t, "Was this you?")
	p.leads(p.post("/login/code", "return_to", "/account/profile"), "/login/step-up?factor=email&return_to=%2Faccount%2Fprofile&sent=1").has(t, "Send another code")
	p.post("/login/step-up", "factor", "email", "code", "000000", "sent", "1", "return_to", "/account/profile").want(t, 401).has(t, "Send another code", `name="code"`)
	p.leads(p.post("/login/step-up", "factor", "email", "code", box.code(t), "return_to", "/account/profile"), "/account/profile")
}
