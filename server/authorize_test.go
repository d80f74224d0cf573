package server_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
)

// TestOAuth21_4_1_TheWholeWay logs in, allows, and redeems the code; the second
// time nobody is asked anything.
func TestOAuth21_4_1_TheWholeWay(t *testing.T) {
	t.Parallel()
	for lang, say := range map[string][]string{
		"en": {"Allow Notes & Co?", "Notes & Co does not belong to Bitjang.", "notes.example.com", "see your name", "keep its access", "see which roles", "<code>notes:read</code>", alice},
		"ko": {"Notes & Co에 허용하시겠습니까?", "Bitjang에서 운영하는 애플리케이션이 아닙니다", "notes.example.com", "이름 보기", "접근 유지", "역할 보기", "<code>notes:read</code>", alice},
	} {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			r, _, visit := pageRig(t)
			app, p := r.addClient(), visit(lang, browser)
			page, _ := p.follow(app.ask(p, "scope", "openid profile email offline_access roles notes:read"))
			page, _ = p.follow(p.logsIn(page))
			page.want(t, 200).has(t, say...)
			tk := app.redeem(t, app.finds(t, p, p.answers(page, "allow")))
			if tk.Session.Scope != "openid profile email offline_access roles notes:read" || tk.ID.IsZero() || tk.Refresh.IsZero() {
				t.Errorf("got scope %q, ID token %v, refresh token %v", tk.Session.Scope, !tk.ID.IsZero(), !tk.Refresh.IsZero())
			}
			if claims := claimsOf(t, tk.ID.Reveal()); claims["nonce"] != "n-0S6_WzA2Mj" || claims["aud"] != app.client.ID {
				t.Errorf("got ID token %v", claims)
			}
			app.redeem(t, app.atOnce(t, app.ask(p)))
			p.get("/account/activity").want(t, 200).has(t, "Notes & Co")
		})
	}
}

// TestOAuth21_2_3_1_RedirectURIsAreComparedExactly: whatever is not registered is
// shown a page, whoever is or is not logged in (section 2.3.5).
func TestOAuth21_2_3_1_RedirectURIsAreComparedExactly(t *testing.T) {
	t.Parallel()
	r, _, visit := pageRig(t)
	app := r.addClient()
	nobody, somebody := visit("en", browser), in(visit("ko", browser))
	for _, uri := range []string{
		"-", "", "https://notes.example.com/callback", notesURI + "&x=1", notesURI + "#x", "https://notes.example.com/callback/?tenant=7",
		"https://notes.example.com/Callback?tenant=7", "HTTPS://notes.example.com/callback?tenant=7", "https://notes.example.com:443/callback?tenant=7",
		"https://notes.example.com.evil.test/callback?tenant=7", "https://notes.example.com@evil.test/callback?tenant=7", "https://evil.test/", "javascript:alert(1)", "//evil.test",
	} {
		for p, say := range map[*person]string{nobody: "not registered for it", somebody: "등록되지 않은 주소"} {
			for _, prompt := range []string{"-", "none"} {
				s := app.ask(p, "redirect_uri", uri, "prompt", prompt).want(t, 400).has(t, say)
				if s.header.Get("Location")+s.header.Get("Refresh") != "" {
					t.Errorf("%q: leads to %q %q", uri, s.header.Get("Location"), s.header.Get("Refresh"))
				}
			}
		}
	}
	for _, id := range []string{"-", "", "nobody", app.client.ID + "x"} {
		s := app.ask(somebody, "client_id", id).want(t, 400).has(t, "등록되지 않은 애플리케이션")
		if s.header.Get("Location") != "" {
			t.Errorf("%q: leads to %q", id, s.header.Get("Location"))
		}
	}
	for _, name := range []string{"client_id", "redirect_uri"} { // of two, neither
		v := app.values()
		v.Add(name, v.Get(name))
		if s := somebody.get("/oauth2/authorize?"+v.Encode()).want(t, 400); s.header.Get("Location") != "" {
			t.Errorf("%s twice: leads to %q", name, s.header.Get("Location"))
		}
	}
	app.redeem(t, app.finds(t, somebody, somebody.answers(app.ask(somebody), "allow")))
}

func TestRFC8252_AppsOnTheDevice(t *testing.T) {
	t.Parallel()
	r, _, visit := pageRig(t)
	p := in(visit("en", browser))
	app := r.addClient(func(c *bitjang.Client) {
		c.RedirectURIs = []string{"com.example.notes:/callback"}
		c.Auth = bitjang.ClientPublic
	})
	s := app.ask(p).want(t, 200).has(t, "an app on this device", "com.example.notes")
	app.redeem(t, app.finds(t, p, p.answers(s, "allow")))
	app.redeem(t, app.atOnce(t, app.ask(p)))
	loopback := r.addClient(func(c *bitjang.Client) { c.RedirectURIs = []string{"http://[::1]/cb"}; c.Auth = bitjang.ClientPublic })
	_, left := p.follow(p.answers(loopback.ask(p, "redirect_uri", "http://[::1]:51004/cb").has(t, "an app on this device"), "allow"))
	if !strings.HasPrefix(left, "http://[::1]:51004/cb?") {
		t.Errorf("got %q", left)
	}
}

// TestOAuth21_4_1_1_TheRequest: what is wrong is told to the application.
func TestOAuth21_4_1_1_TheRequest(t *testing.T) {
	t.Parallel()
	r, _, visit := pageRig(t)
	app, p := r.addClient(firstParty), in(visit("en", browser))
	app.redeem(t, app.atOnce(t, app.ask(p, "nonce", "", "display", "popup", "claims", "{}", "anything", "x"))) // what is empty or unknown does not count
	for name, tt := range map[string]struct {
		word  string
		pairs []string
	}{
		"no PKCE":                 {"invalid_request", []string{"code_challenge", "-", "code_challenge_method", "-"}},
		"plain PKCE":              {"invalid_request", []string{"code_challenge_method", "plain"}},
		"PKCE without a method":   {"invalid_request", []string{"code_challenge_method", "-"}},
		"a challenge of 3 bytes":  {"invalid_request", []string{"code_challenge", "YWJj"}},
		"implicit":                {"unsupported_response_type", []string{"response_type", "token"}},
		"hybrid":                  {"unsupported_response_type", []string{"response_type", "code id_token"}},
		"no response type":        {"unsupported_response_type", []string{"response_type", "-"}},
		"fragment":                {"invalid_request", []string{"response_mode", "fragment"}},
		"a scope too much":        {"invalid_scope", []string{"scope", "openid admin"}},
		"somebody else's API":     {"invalid_target", []string{"resource", "https://other.example.com"}},
		"a request object":        {"request_not_supported", []string{"request", "eyJ"}},
		"a request by reference":  {"request_uri_not_supported", []string{"request_uri", "urn:x"}},
		"none with others":        {"invalid_request", []string{"prompt", "none login"}},
		"an unknown prompt":       {"invalid_request", []string{"prompt", "dance"}},
		"an age that is no age":   {"invalid_request", []string{"max_age", "-1"}},
		"a key that is no key":    {"invalid_request", []string{"dpop_jkt", "x"}},
		"a nonce without measure": {"invalid_request", []string{"nonce", strings.Repeat("n", 513)}},
	} {
		t.Run(name, func(t *testing.T) { app.fails(t, app.ask(p, tt.pairs...), tt.word) })
	}
	for _, name := range []string{"state", "scope", "nonce", "code_challenge", "prompt", "unknown"} {
		v := app.values("prompt", "login", "unknown", "x")
		v.Add(name, "openid")
		app.fails(t, p.get("/oauth2/authorize?"+v.Encode()), "invalid_request")
	}
	v := app.values("resource", "a:b")
	v.Add("resource", "a:c")
	app.fails(t, p.get("/oauth2/authorize?"+v.Encode()), "invalid_target")
	machine := r.addClient(firstParty, func(c *bitjang.Client) {
		c.GrantTypes = []string{bitjang.GrantAuthorizationCode}
		c.Scopes = []string{"openid", "profile", "offline_access"}
	})
	if tk := machine.redeem(t, machine.atOnce(t, machine.ask(p, "scope", "openid offline_access"))); tk.Session.Scope != "openid" || !tk.Refresh.IsZero() {
		t.Errorf("got scope %q", tk.Session.Scope)
	}
}

// TestOAuth21_7_13_2_NobodyIsAnOpenRedirector: an error is told to the
// application once somebody is logged in, or at once with prompt=none.
func TestOAuth21_7_13_2_NobodyIsAnOpenRedirector(t *testing.T) {
	t.Parallel()
	r, _, visit := pageRig(t)
	app, p := r.addClient(), visit("en", browser)
	s := app.ask(p, "scope", "admin")
	if !strings.HasPrefix(s.header.Get("Location"), "/login?return_to=") {
		t.Fatalf("got %d to %q, want the login page", s.status, s.header.Get("Location"))
	}
	page, _ := p.follow(s)
	if q := app.finds(t, p, p.logsIn(page)); q.Get("error") != "invalid_scope" {
		t.Errorf("got %v", q)
	}
	app.fails(t, app.ask(visit("en", browser), "scope", "admin", "prompt", "none"), "invalid_scope")
}

func TestOIDCCore_3_1_2_1_PromptNone(t *testing.T) {
	t.Parallel()
	r, _, visit := pageRig(t)
	app, p := r.addClient(), visit("en", browser)
	app.fails(t, app.ask(p, "prompt", "none"), "login_required")
	in(p)
	app.fails(t, app.ask(p, "prompt", "none"), "consent_required")
	app.finds(t, p, p.answers(app.ask(p), "allow"))
	app.redeem(t, app.atOnce(t, app.ask(p, "prompt", "none")))
	app.fails(t, app.ask(p, "prompt", "none", "scope", "openid email"), "consent_required")
	r.clock.advance(time.Hour)
	app.fails(t, app.ask(p, "prompt", "none", "max_age", "60"), "login_required")
}

// proves answers the page that asks for the password once more.
func (p *person) proves(s screen, factor, code string) screen {
	p.t.Helper()
	page, _ := p.follow(s)
	return p.fill(page, "/login/step-up", "factor", factor, "code", code)
}

func TestOIDCCore_3_1_2_1_PromptLoginAndMaxAge(t *testing.T) {
	t.Parallel()
	for name, pairs := range map[string][]string{"prompt=login": {"prompt", "login"}, "max_age=0": {"max_age", "0"}, "max_age": {"max_age", "60"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _, visit := pageRig(t, func(s *setup) { s.NoMailCode = true })
			app, p := r.addClient(firstParty), in(visit("en", browser))
			r.clock.advance(2 * time.Minute)
			s := app.ask(p, pairs...)
			if !strings.HasPrefix(s.header.Get("Location"), "/login/step-up?") {
				t.Fatalf("got %d to %q, want a proof", s.status, s.header.Get("Location"))
			}
			proved := r.clock.Now()
			tk := app.redeem(t, app.finds(t, p, p.proves(s, "password", password)))
			if !tk.Session.AuthTime.Equal(proved) {
				t.Errorf("got auth_time %v, want %v", tk.Session.AuthTime, proved)
			}
			r.clock.advance(2 * time.Minute)
			if s := app.ask(p, pairs...); s.status != 303 || !strings.HasPrefix(s.header.Get("Location"), "/login/step-up?") {
				t.Errorf("the next request: got %d to %q, want a proof", s.status, s.header.Get("Location"))
			}
			// Who is not logged in has done all that with the login.
			stranger := visit("en", otherBrowser)
			page, _ := stranger.follow(app.ask(stranger, pairs...))
			app.redeem(t, app.finds(t, stranger, stranger.logsIn(page)))
		})
	}
	r, _, visit := pageRig(t)
	app, p := r.addClient(firstParty), in(visit("en", browser))
	app.redeem(t, app.atOnce(t, app.ask(p, "max_age", "60")))
}

func TestOIDCCore_3_1_2_1_PromptConsent(t *testing.T) {
	t.Parallel()
	r, _, visit := pageRig(t)
	app, p := r.addClient(firstParty), in(visit("en", browser))
	for range 2 {
		s := app.ask(p, "prompt", "consent").want(t, 200).has(t, "Notes & Co belongs to Bitjang.")
		app.redeem(t, app.finds(t, p, p.answers(s, "allow")))
	}
	app.atOnce(t, app.ask(p))
}

func TestOIDCCore_3_1_2_1_AnotherAccount(t *testing.T) {
	t.Parallel()
	r, _, visit := pageRig(t)
	const bob = "bob@example.com"
	r.addUser(bob)
	app, p := r.addClient(firstParty), in(visit("en", browser))
	mine := app.redeem(t, app.atOnce(t, app.ask(p)))
	r.clock.advance(time.Second)

	s, _ := p.follow(app.ask(p, "prompt", "select_account"))
	s.want(t, 200).has(t, "log in with the one that you want to use there")
	theirs := app.redeem(t, app.finds(t, p, p.fill(s, "/login", "email", bob, "password", password)))
	if theirs.Session.UserID == mine.Session.UserID {
		t.Error("got the same person")
	}
	r.clock.advance(time.Second)
	// alice's ID token, and bob is logged in.
	app.fails(t, app.ask(p, "id_token_hint", mine.ID.Reveal(), "prompt", "none"), "login_required")
	s, _ = p.follow(app.ask(p, "id_token_hint", mine.ID.Reveal()))
	again := p.fill(s, "/login", "email", bob, "password", password)
	s, left := p.follow(again) // bob once more: asked once more
	if left != "" {
		t.Fatalf("led to %s as somebody else than was asked for", left)
	}
	back := app.redeem(t, app.finds(t, p, p.logsIn(s)))
	if back.Session.UserID != mine.Session.UserID {
		t.Error("got somebody else than was asked for")
	}
	app.redeem(t, app.atOnce(t, app.ask(p, "id_token_hint", back.ID.Reveal(), "prompt", "none")))
	app.atOnce(t, app.ask(p, "id_token_hint", "nonsense"))
}

// TestASVS_10_7_ConsentIsThePersonsOwn: nobody answers for somebody else.
func TestASVS_10_7_ConsentIsThePersonsOwn(t *testing.T) {
	t.Parallel()
	r, _, visit := pageRig(t)
	app, p, other := r.addClient(), in(visit("en", browser)), in(visit("en", otherBrowser))
	mine := app.ask(p)
	refused := func(s screen) {
		t.Helper()
		s.want(t, 400).has(t, "belongs to another login")
		if s.header.Get("Location")+s.header.Get("Refresh") != "" {
			t.Errorf("leads to %q", s.header)
		}
	}
	refused(other.answers(mine, "allow")) // of the same person even
	sealed := hiddenIn(t, mine, "request")
	flipped := sealed[:len(sealed)/2] + string('A'+(sealed[len(sealed)/2]-'A'+1)%26) + sealed[len(sealed)/2+1:]
	back, _ := url.Parse(hiddenIn(t, mine, "return_to"))
	for name, request := range map[string]string{"nothing": "", "nonsense": "x", "something changed": flipped, "what was sealed for the way back": back.Query().Get("asked")} {
		t.Run(name, func(t *testing.T) {
			refused(p.post("/oauth2/authorize/consent", "request", request, "answer", "allow"))
		})
	}
	app.fails(t, app.ask(p, "prompt", "none"), "consent_required") // none of that was consent

	if q := app.finds(t, p, p.answers(mine, "refuse")); q.Get("error") != "access_denied" || q.Has("code") {
		t.Errorf("refused: got %v", q)
	}
	if q := app.finds(t, p, p.answers(mine, "")); q.Get("error") != "access_denied" {
		t.Errorf("neither: got %v", q)
	}
	app.fails(t, app.ask(p, "prompt", "none"), "consent_required")
	r.clock.advance(61 * time.Minute)
	refused(p.answers(mine, "allow"))
	app.redeem(t, app.finds(t, p, p.answers(app.ask(p), "allow")))

	foreign := p.send("POST", "/oauth2/authorize/consent", url.Values{"request": {hiddenIn(t, app.ask(p, "scope", "openid email"), "request")}, "answer": {"allow"}},
		func(req *http.Request) { req.Header.Set("Sec-Fetch-Site", "cross-site") })
	foreign.want(t, 403)
	app.fails(t, app.ask(p, "scope", "openid email", "prompt", "none"), "consent_required")

	// Logged out between the question and the answer: from the beginning.
	open := app.ask(p, "scope", "openid email")
	p.leads(p.post("/logout"), "/login?notice=logged_out")
	refused(p.post("/oauth2/authorize/consent", "request", hiddenIn(t, open, "request"), "return_to", "/account", "answer", "allow"))
	page, _ := p.follow(p.answers(open, "allow"))
	page, _ = p.follow(p.logsIn(page))
	page.has(t, "Allow Notes & Co?", "see your email address")
}

func hiddenIn(t *testing.T, s screen, name string) string {
	t.Helper()
	for _, m := range hiddenField.FindAllStringSubmatch(s.body, -1) {
		if m[1] == name {
			return strings.ReplaceAll(m[2], "&amp;", "&")
		}
	}
	t.Fatalf("%s: has no field %s: %s", s.at, name, s.body)
	return ""
}

// TestASVS_10_7_ConsentIsTakenBack on the page that lists who has access.
func TestASVS_10_7_ConsentIsTakenBack(t *testing.T) {
	t.Parallel()
	r, _, visit := pageRig(t)
	app, p := r.addClient(), in(visit("en", browser))
	own := r.addClient(firstParty, func(c *bitjang.Client) { c.Name = "Wiki" })
	p.get("/account/applications").want(t, 200).has(t, "No application has access")
	tk := app.redeem(t, app.finds(t, p, p.answers(app.ask(p, "scope", "openid notes:read"), "allow")))
	kept := own.redeem(t, own.atOnce(t, own.ask(p)))
	p.get("/account").has(t, "2 applications have access", "1 device is logged in")
	p.get("/account/applications").has(t, "Notes & Co", "Wiki", "know who you are", "notes:read", "1 login")
	p.get("/account/activity").has(t, "You allowed Notes & Co access.", "Notes & Co logged you in")

	path := "/account/applications/" + app.client.ID + "/withdraw"
	stranger := visit("en", browser)
	r.addUser("eve@example.com")
	stranger.leads(stranger.post("/login", "email", "eve@example.com", "password", password), "/account")
	stranger.post(path).want(t, 404)
	p.leads(p.post(path), "/account/applications?notice=access_withdrawn").has(t, "has no access any more", "Wiki")
	p.post(path).want(t, 404)
	if s, err := r.svc.SessionByID(t.Context(), tk.Session.ID); err != nil || s.EndReason != bitjang.EndedByConsent {
		t.Errorf("got %v, %v", s.EndReason, err)
	}
	if s, err := r.svc.SessionByID(t.Context(), kept.Session.ID); err != nil || !s.EndedAt.IsZero() {
		t.Errorf("another application's: got %v, %v", s.EndReason, err)
	}
	app.ask(p, "scope", "openid notes:read").want(t, 200).has(t, "Allow Notes & Co?")
	p.get("/account/activity").has(t, "You took back the access of Notes & Co.")
}

// TestOAuth21_7_5_3_AndItsHeaders: 303, never kept, framed by nobody, read by no
// script of another origin.
func TestOAuth21_7_5_3_AndItsHeaders(t *testing.T) {
	t.Parallel()
	const friend = "https://friend.example.com"
	r, _, visit := pageRig(t, func(s *setup) { s.CORSOrigins = []string{friend} })
	app, p := r.addClient(), in(visit("en", browser))
	from := header("Origin", friend)
	consent := p.send("GET", "/oauth2/authorize?"+app.values().Encode(), nil, from).want(t, 200)
	code := app.finds(t, p, p.answers(consent, "allow"))
	answered := p.send("GET", "/oauth2/authorize?"+app.values().Encode(), nil, from).want(t, 303)
	refused := p.send("GET", "/oauth2/authorize?"+app.values("client_id", "x").Encode(), nil, from).want(t, 400)
	bye := p.send("GET", "/oauth2/logout", nil, from).want(t, 200)
	for name, s := range map[string]screen{"consent": consent, "code": answered, "error": refused, "logout": bye} {
		if !strings.HasSuffix(s.header.Get("Cache-Control"), "no-store") || !strings.Contains(s.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Errorf("%s: got %v", name, s.header)
		}
		for h := range s.header {
			if strings.HasPrefix(h, "Access-Control-") {
				t.Errorf("%s: got %s", name, h)
			}
		}
	}
	if !strings.HasPrefix(p.get("/account").header.Get("Content-Security-Policy"), "default-src 'none'") || code.Get("code") == "" {
		t.Error("the pages have lost their policy")
	}
	w := httptest.NewRecorder()
	req := httptest.NewRequest("OPTIONS", "/oauth2/authorize", nil)
	req.Header.Set("Origin", friend)
	req.Header.Set("Access-Control-Request-Method", "GET")
	r.h.ServeHTTP(w, req)
	if w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("preflight: got %v", w.Header())
	}
	if s := p.send("GET", "/v1/nothing", nil, from); s.header.Get("Access-Control-Allow-Origin") != friend {
		t.Errorf("the API has lost its CORS: %v", s.header)
	}
}

// TestOIDCCore_3_1_2_1_POST comes from another site, so without cookies at first.
func TestOIDCCore_3_1_2_1_POST(t *testing.T) {
	t.Parallel()
	r, _, visit := pageRig(t)
	app, p := r.addClient(firstParty), in(visit("en", browser))
	foreign := func(req *http.Request) {
		req.Header.Set("Sec-Fetch-Site", "cross-site")
		req.Header.Set("Origin", "https://notes.example.com")
	}
	bare := visit("en", browser) // what a browser with SameSite=Lax cookies sends
	s := bare.send("POST", "/oauth2/authorize", app.values(), foreign).want(t, 303)
	if !strings.HasPrefix(s.header.Get("Location"), "/oauth2/authorize?asked=") {
		t.Fatalf("got %q", s.header.Get("Location"))
	}
	app.redeem(t, app.atOnce(t, p.get(s.header.Get("Location"))))
	page, _ := bare.follow(s)
	page.has(t, "Log in")
	app.redeem(t, app.atOnce(t, p.send("POST", "/oauth2/authorize", app.values()))) // of the same site, with them
	s = p.send("POST", "/oauth2/authorize?client_id="+app.client.ID, url.Values{"scope": {"openid"}}).want(t, 400)
	s.has(t, "not registered with this service") // the form counts, not the address
	bare.send("POST", "/oauth2/authorize", app.values("redirect_uri", "https://evil.test/"), foreign)
	p.send("POST", "/oauth2/authorize", url.Values{"x": {strings.Repeat("x", 70<<10)}}).want(t, 400)
}

func TestAHeldLoginProvesItselfAndGoesOn(t *testing.T) {
	t.Parallel()
	r, box, visit := pageRig(t, func(s *setup) { s.OnReuse = bitjang.HoldOnReuse })
	app, p := r.addClient(firstParty), in(visit("en", browser))
	r.holdLogin(p)
	app.fails(t, app.ask(p, "prompt", "none"), "login_required")
	app.ask(p, "client_id", "x").want(t, 400)
	s := app.ask(p)
	if !strings.HasPrefix(s.header.Get("Location"), "/login/step-up?") {
		t.Fatalf("got %d to %q, want a proof", s.status, s.header.Get("Location"))
	}
	page, _ := p.follow(s)
	page, _ = p.follow(p.fill(page, "/login/code"))
	done := p.fill(page, "/login/step-up", "factor", "email", "code", box.code(t))
	app.redeem(t, app.finds(t, p, done))
}

// TestRFC9470_ASecondFactor is asked for by acr_values.
func TestRFC9470_ASecondFactor(t *testing.T) {
	t.Parallel()
	r, _, visit := pageRig(t)
	app, p := r.addClient(firstParty), in(visit("en", browser))
	app.fails(t, app.ask(p, "acr_values", "aal2"), "unmet_authentication_requirements")
	app.fails(t, app.ask(p, "acr_values", "aal2", "prompt", "none"), "login_required")
	app.atOnce(t, app.ask(p, "acr_values", "urn:x aal1 aal2"))
	authenticator, _ := r.addApp(r.login())
	s := app.ask(p, "acr_values", "aal2")
	if !strings.HasPrefix(s.header.Get("Location"), "/login/step-up?") {
		t.Fatalf("got %d to %q, want a proof", s.status, s.header.Get("Location"))
	}
	tk := app.redeem(t, app.finds(t, p, p.proves(s, "totp", authenticator.code(0))))
	if tk.Session.ACR != "aal2" {
		t.Errorf("got acr %q", tk.Session.ACR)
	}
	// A login with a second factor comes back too.
	r.clock.advance(time.Minute)
	stranger := visit("en", otherBrowser)
	page, _ := stranger.follow(app.ask(stranger))
	page, _ = stranger.follow(stranger.logsIn(page))
	app.redeem(t, app.finds(t, stranger, stranger.fill(page, "/login/step-up", "factor", "totp", "code", authenticator.code(0))))
}
