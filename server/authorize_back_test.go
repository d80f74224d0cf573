package server_test

import (
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"

	"github.com/bitjang/bitjang"
)

// TestEveryWayOfLoggingInLeadsBackToTheApplication goes each of them, without
// JavaScript, and at the end stands there with a code.
func TestEveryWayOfLoggingInLeadsBackToTheApplication(t *testing.T) {
	t.Parallel()
	r, box, visit := pageRig(t)
	app := r.addClient(firstParty)
	link := func(t *testing.T, s screen, path string) string {
		t.Helper()
		m := regexp.MustCompile(`href="(` + regexp.QuoteMeta(path) + `\?return_to=[^"]+)"`).FindStringSubmatch(s.body)
		if m == nil {
			t.Fatalf("%s: has no link to %s that knows the way back: %s", s.at, path, s.body)
		}
		return html.UnescapeString(m[1])
	}
	begin := func() (*person, screen) {
		p := visit("en", browser)
		s, _ := p.follow(app.ask(p))
		return p, s
	}
	t.Run("after a wrong password", func(t *testing.T) {
		p, s := begin()
		s = p.fill(s, "/login", "email", alice, "password", "wrong").want(t, 401)
		app.redeem(t, app.finds(t, p, p.logsIn(s)))
	})
	t.Run("by a link in a mail", func(t *testing.T) {
		p, s := begin()
		p.fill(p.get(link(t, s, "/login/link")), "/login/link", "email", alice).want(t, 200)
		app.redeem(t, app.finds(t, p, p.press(box.link(t, bitjang.MailLoginLink))))
		// The next login leads where logins lead.
		p.post("/login/link", "email", alice)
		p.leads(p.press(box.link(t, bitjang.MailLoginLink)), "/account")
	})
	t.Run("after a forgotten password", func(t *testing.T) {
		p, s := begin()
		p.fill(p.get(link(t, s, "/login/forgot-password")), "/login/forgot-password", "email", alice).want(t, 200)
		s, _ = p.follow(p.press(box.link(t, bitjang.MailResetPassword), "password", password))
		app.redeem(t, app.finds(t, p, p.logsIn(s.has(t, "Please log in with the new one"))))
	})
	t.Run("after signing up", func(t *testing.T) {
		p, s := begin()
		const email = "eve@example.com"
		s = p.fill(p.get(link(t, s, "/signup")), "/signup", "email", email, "password", password).want(t, 200)
		app.redeem(t, app.finds(t, p, p.fill(p.get(link(t, s, "/login")), "/login", "email", email, "password", password)))
		p, s = begin()
		const second = "eva@example.com"
		p.fill(p.get(link(t, s, "/signup")), "/signup", "email", second, "password", password).want(t, 200)
		box.link(t, bitjang.MailVerifyEmail) // eve's
		s, _ = p.follow(p.press(box.link(t, bitjang.MailVerifyEmail)))
		app.redeem(t, app.finds(t, p, p.fill(s, "/login", "email", second, "password", password)))
	})
}

func TestAPasskeyLeadsBackToTheApplication(t *testing.T) {
	t.Parallel()
	r, _, visit := pageRig(t, withPasskeys)
	app := r.addClient(firstParty)
	site := virtualwebauthn.RelyingParty{ID: "id.example.com", Name: "Test", Origin: "https://id.example.com"}
	device, key := virtualwebauthn.NewAuthenticator(), virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)
	options := func(s screen) string {
		return `{"publicKey":` + html.UnescapeString(regexp.MustCompile(`data-passkey="([^"]+)"`).FindStringSubmatch(s.body)[1]) + `}`
	}
	owner := in(visit("en", otherBrowser))
	s := owner.get("/account/factors/passkey")
	wanted, err := virtualwebauthn.ParseAttestationOptions(options(s))
	if err != nil {
		t.Fatal(err)
	}
	owner.leads(owner.fill(s, "/account/factors/passkey", "credential", virtualwebauthn.CreateAttestationResponse(site, device, key, *wanted)), "/account/security?notice=factor_added")
	u, err := r.store.UserByEmail(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	device.Options.UserHandle = []byte(u.ID)
	device.AddCredential(key)

	p := visit("en", browser)
	s, _ = p.follow(app.ask(p, "acr_values", "aal2"))
	asked, err := virtualwebauthn.ParseAssertionOptions(options(s))
	if err != nil {
		t.Fatal(err)
	}
	key.Counter++
	done := p.fill(s, "/login/passkey", "credential", virtualwebauthn.CreateAssertionResponse(site, device, key, *asked))
	if tk := app.redeem(t, app.finds(t, p, done)); tk.Session.ACR != "aal2" {
		t.Errorf("got acr %q", tk.Session.ACR)
	}
}

// TestTheWayBackIsOnlyOurs: what other people make up leads nowhere.
func TestTheWayBackIsOnlyOurs(t *testing.T) {
	t.Parallel()
	r, _, visit := pageRig(t, func(s *setup) { s.NoMailCode = true })
	app, p := r.addClient(firstParty), in(visit("en", browser))
	r.clock.advance(time.Second)
	s := app.ask(p, "prompt", "login")
	to, _ := url.Parse(s.header.Get("Location"))
	back, _ := url.Parse(to.Query().Get("return_to"))
	sealed := back.Query().Get("asked")
	if len(s.header.Get("Location")) > 2000 {
		t.Errorf("the address of an ordinary request has %d characters", len(s.header.Get("Location")))
	}
	for _, text := range []string{"x", sealed + "A", sealed[:len(sealed)-4], strings.ToUpper(sealed)} {
		p.get("/oauth2/authorize?asked="+url.QueryEscape(text)).want(t, 400).has(t, "took too long")
	}
	app.finds(t, p, p.proves(s, "password", password))
	r.clock.advance(61 * time.Minute)
	p.get("/oauth2/authorize?asked="+url.QueryEscape(sealed)).want(t, 400).has(t, "took too long")

	stranger := visit("en", browser)
	long := app.redeem(t, app.atOnce(t, app.ask(p))).ID.Reveal()
	if s := app.ask(stranger, "id_token_hint", long, "state", strings.Repeat("s", 500)); s.status != 303 {
		t.Errorf("with an ID token of %d characters: got %d", len(long), s.status)
	} else if page, _ := stranger.follow(s); !strings.Contains(stranger.logsIn(page).header.Get("Refresh"), "asked=") {
		t.Errorf("with an ID token of %d characters the way back is lost", len(long))
	}
	app.ask(visit("en", browser), "state", strings.Repeat("s", 4000)).want(t, 414).has(t, "more than we can take")
	app.fails(t, app.ask(visit("en", browser), "state", "st-8 &?=#", "nonce", strings.Repeat("n", 4000), "prompt", "none"), "invalid_request")
}

// TestOIDCCore_3_1_2_1_LoginHintAndLocales: what the application knows of the
// person. What they have chosen themselves is stronger.
func TestOIDCCore_3_1_2_1_LoginHintAndLocales(t *testing.T) {
	t.Parallel()
	r, _, visit := pageRig(t)
	app := r.addClient()
	p := visit("en", browser)
	s, _ := p.follow(app.ask(p, "login_hint", `a"<b>@example.com`, "ui_locales", "fr ko en"))
	s.has(t, `lang="ko"`, "로그인").want(t, 200)
	if !strings.Contains(s.body, `value="a&#34;&lt;b&gt;@example.com"`) {
		t.Errorf("the hint is not in the form, or not as text: %s", s.body)
	}
	s = p.fill(s, "/login", "email", alice, "password", "wrong").want(t, 401).has(t, `lang="ko"`, "틀렸습니다", `value="`+alice+`"`)
	s, _ = p.follow(p.logsIn(s))
	s.has(t, `lang="ko"`, "허용하시겠습니까?")
	s, _ = p.follow(p.fill(s, "/account/language", "lang", "en")) // on the consent page itself
	s.want(t, 200).has(t, `lang="en"`, "Allow Notes & Co?")
	app.ask(p, "ui_locales", "ko").has(t, `lang="en"`)
	visitor := visit("ko", browser)
	s, _ = visitor.follow(app.ask(visitor, "ui_locales", "xx-nonsense \x00"))
	s.has(t, `lang="ko"`)
}
