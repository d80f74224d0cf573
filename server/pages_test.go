package server_test

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/server"
)

// person is somebody with a browser: cookies, a language, and no JavaScript.
type person struct {
	t      *testing.T
	base   string
	client *http.Client
	jar    *cookiejar.Jar
	agent  string
	lang   string
}

// pageRig is a server that people can reach. The issuer is its own address.
func pageRig(t *testing.T, choose ...func(*setup)) (*rig, letterbox, func(lang, agent string) *person) {
	t.Helper()
	var front http.Handler
	listener := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { front.ServeHTTP(w, r) }))
	t.Cleanup(listener.Close)
	r, box := mailRig(t, append([]func(*setup){func(s *setup) { s.Issuer = listener.URL }}, choose...)...)
	front = r.h
	return r, box, func(lang, agent string) *person {
		jar, _ := cookiejar.New(nil)
		client := listener.Client()
		return &person{t, listener.URL, &http.Client{
			Transport: client.Transport, Jar: jar,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}, jar, agent, lang}
	}
}

// screen is what a person sees.
type screen struct {
	status int
	header http.Header
	body   string
	at     string
	form   bool // it answers one
}

func (p *person) send(method, path string, form url.Values, mods ...mod) screen {
	p.t.Helper()
	target := path
	if strings.HasPrefix(path, "/") {
		target = p.base + path
	}
	req, err := http.NewRequestWithContext(p.t.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	req.Header.Set("Accept-Language", p.lang)
	req.Header.Set("User-Agent", p.agent)
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	for _, m := range mods {
		m(req)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	s := screen{resp.StatusCode, resp.Header, string(raw), path, form != nil}
	p.check(method, s)
	return s
}

var inline = regexp.MustCompile(`(?i)<script(?: [^>]*)?>[^<]|<style|\son[a-z]+=|javascript:|style="`)
var foreign = regexp.MustCompile(`(?:src|href|action)="(?:https?:)?//`)

// check is what holds for every page.
func (p *person) check(method string, s screen) {
	p.t.Helper()
	what := method + " " + s.at
	if !strings.HasSuffix(s.header.Get("Cache-Control"), "no-store") && !strings.Contains(s.at, "/account/assets/") {
		p.t.Errorf("%s: got Cache-Control %q", what, s.header.Get("Cache-Control"))
	}
	if !strings.HasPrefix(s.header.Get("Content-Type"), "text/html") || s.status/100 == 3 {
		return
	}
	policy := s.header.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'", "script-src 'self'"} {
		if !strings.Contains(policy, part) {
			p.t.Errorf("%s: got policy %q without %s", what, policy, part)
		}
	}
	if strings.Contains(policy, "unsafe") || s.header.Get("X-Frame-Options") != "DENY" || s.header.Get("Cross-Origin-Opener-Policy") != "same-origin" {
		p.t.Errorf("%s: got headers %v", what, s.header)
	}
	if m := inline.FindString(s.body); m != "" {
		p.t.Errorf("%s: has %q inline", what, m)
	}
	if m := foreign.FindString(s.body); m != "" && !(strings.Contains(s.body, `id="onward"`) && strings.Count(s.body, m) == 1) { // the way back to an application
		p.t.Errorf("%s: asks somebody else: %q", what, m)
	}
	if n := len(s.body); n > 30<<10 {
		p.t.Errorf("%s: %d bytes", what, n)
	}
	if strings.Contains(s.body, "ZgotmplZ") || regexp.MustCompile(`>(?:nav|field|login|event|reason|error|notice|device|account|consent|scope|applications|onward)\.[a-z.]+`).MatchString(s.body) {
		p.t.Errorf("%s: a text is missing: %s", what, s.body)
	}
}

func (p *person) get(path string, mods ...mod) screen {
	p.t.Helper()
	return p.send("GET", path, nil, mods...)
}

func (p *person) post(path string, pairs ...string) screen {
	p.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return p.send("POST", path, form)
}

// leads checks for a redirect and follows it.
func (p *person) leads(s screen, to string) screen {
	p.t.Helper()
	if s.status != http.StatusSeeOther || s.header.Get("Location") != to {
		p.t.Fatalf("%s: got %d to %q, want 303 to %q; %s", s.at, s.status, s.header.Get("Location"), to, problemIn(s))
	}
	if !strings.HasPrefix(to, "/") {
		return s
	}
	return p.get(to)
}

var problemText = regexp.MustCompile(`(?s)id="problem"[^>]*>(.*?)</p>`)

func problemIn(s screen) string {
	if m := problemText.FindStringSubmatch(s.body); m != nil {
		return html.UnescapeString(m[1])
	}
	return ""
}

func (s screen) has(t *testing.T, texts ...string) screen {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(html.UnescapeString(s.body), text) {
			t.Errorf("%s: got no %q in %s", s.at, text, s.body)
		}
	}
	return s
}

func (s screen) want(t *testing.T, status int) screen {
	t.Helper()
	if s.status != status {
		t.Fatalf("%s: got status %d, want %d: %s", s.at, s.status, status, s.body)
	}
	return s
}

// link is the path and query of the link in the next mail of a kind.
func (l letterbox) link(t *testing.T, kind bitjang.MailKind) string {
	t.Helper()
	for {
		select {
		case m := <-l:
			if m.Kind == kind {
				u, err := url.Parse(m.Link.Reveal())
				if err != nil {
					t.Fatal(err)
				}
				return u.RequestURI()
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("no mail of kind %s", kind)
		}
	}
}

// open opens a link as a mail scanner and then as a person does, and presses the
// button.
func (p *person) press(link string, pairs ...string) screen {
	p.t.Helper()
	for range 3 {
		p.get(link).want(p.t, 200)
	}
	u, _ := url.Parse(link)
	return p.post(u.Path, append(pairs, "token", u.Query().Get("token"))...)
}

var words = map[string]struct{ login, wrong, verified, reset, devices, ended, others, wasnt, kept string }{
	"en": {"Log in", "is wrong", "is confirmed", "is changed", "Your devices", "That device is logged out", "All other devices", "This wasn't you?", "kept"},
	"ko": {"로그인", "틀렸", "확인되었습니다", "변경되었습니다", "로그인된 기기", "로그아웃되었습니다", "다른 모든 기기가", "본인이 아니셨습니까?", "취소"},
}

// TestTheWholeJourney goes through every page without JavaScript, in both
// languages.
func TestTheWholeJourney(t *testing.T) {
	t.Parallel()
	for lang, say := range words {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			r, box, visit := pageRig(t, func(s *setup) { s.VerifyEmail = bitjang.VerifyRequired })
			eve := visit(lang, browser)
			const email, first, second = "eve@example.com", "seven grey geese", "eight brown bears"
			login := func(p *person, password string) screen {
				return p.post("/login", "email", email, "password", password, "return_to", "/account/activity")
			}

			eve.leads(eve.get("/"), "/account")
			eve.leads(eve.get("/account/security?x=1"), "/login?return_to=%2Faccount%2Fsecurity%3Fx%3D1").has(t, say.login, `lang="`+lang+`"`)
			eve.get("/signup").want(t, 200)
			eve.post("/signup", "email", email, "name", "<b>Eve</b>", "password", "short").want(t, 400).has(t, email, "<b>Eve</b>")
			eve.post("/signup", "email", email, "name", "Eve", "password", first).want(t, 200).has(t, email)
			verify := box.link(t, bitjang.MailVerifyEmail)
			login(eve, first).want(t, 401).has(t, say.wrong)
			eve.leads(eve.press(verify), "/login?notice=verified").has(t, say.verified)
			eve.press(verify).want(t, 400)
			eve.leads(login(eve, first), "/account/activity").has(t, say.devices)

			phone := visit(lang, otherBrowser)
			phone.leads(login(phone, first), "/account/activity")
			seen := eve.get("/account/activity").has(t, "Firefox", "Safari")
			other := regexp.MustCompile(`/account/sessions/([0-9a-f-]{36})/end"`).FindStringSubmatch(seen.body)[1]
			eve.leads(eve.post("/account/sessions/"+other+"/name", "name", "Old phone"), "/account/activity?notice=renamed").has(t, "Old phone")
			eve.leads(eve.post("/account/sessions/"+other+"/end"), "/account/activity?notice=session_ended").has(t, say.ended)
			phone.leads(phone.get("/account"), "/login?return_to=%2Faccount")

			eve.post("/login/forgot-password", "email", email).want(t, 200).has(t, email)
			reset := box.link(t, bitjang.MailResetPassword)
			eve.press(reset, "password", "password1").want(t, 400)
			eve.leads(eve.press(reset, "password", second), "/login?notice=password_reset").has(t, say.reset)
			login(eve, first).want(t, 401)
			eve.leads(login(eve, second), "/account/activity")

			phone.post("/login/link", "email", email).want(t, 200)
			magic := box.link(t, bitjang.MailLoginLink)
			visit(lang, browser).press(magic).want(t, 400) // another browser
			phone.leads(phone.press(magic), "/account").has(t, "Eve")
			stranger := visit(lang, "curl/8.0")
			stranger.leads(login(stranger, second), "/account/activity")
			notMe := box.link(t, bitjang.MailNewDevice)
			eve.get(notMe).has(t, say.wasnt)
			form := eve.press(notMe).want(t, 200)
			stranger.leads(stranger.get("/account"), "/login?return_to=%2Faccount")
			token := regexp.MustCompile(`name="token" value="([^"]+)"`).FindStringSubmatch(form.body)[1]
			eve.leads(eve.post("/login/reset-password", "token", token, "password", first), "/login?notice=password_reset")

			eve.leads(login(eve, first), "/account/activity")
			phone.leads(login(phone, first), "/account/activity")
			eve.post("/account/password", "current_password", "wrong", "password", second).want(t, 401)
			eve.leads(eve.post("/account/password", "current_password", first, "password", second), "/account/security?notice=password_changed")
			phone.leads(phone.get("/account"), "/login?return_to=%2Faccount")
			phone.leads(login(phone, second), "/account/activity")
			eve.leads(eve.post("/account/sessions/end-others"), "/account/activity?notice=others_ended").has(t, say.others)
			phone.leads(login(phone, second), "/account/activity")
			mine := regexp.MustCompile(`/account/sessions/([0-9a-f-]{36})/not-me"`).FindStringSubmatch(eve.get("/account/activity").body)[1]
			eve.get("/account/sessions/"+mine+"/not-me").want(t, 200).has(t, say.wasnt)
			eve.leads(eve.post("/account/sessions/"+mine+"/not-me"), "/account/security?notice=disowned")

			eve.leads(eve.post("/account/profile", "name", "Eve & Co"), "/account/profile?notice=profile_saved").has(t, "Eve & Co")
			eve.post("/account/profile", "name", strings.Repeat("x", 200)).want(t, 400)
			eve.leads(eve.post("/account/email", "email", "eva@example.com", "current_password", second), "/account/security?notice=email_asked")
			eve.leads(eve.press(box.link(t, bitjang.MailEmailChange)), "/account?notice=email_half")
			eve.leads(eve.press(box.link(t, bitjang.MailEmailChangeNew)), "/account?notice=email_changed").has(t, "eva@example.com")
			if x := eve.get("/account/export"); x.status != 200 || !strings.Contains(x.body, "eva@example.com") || strings.Contains(x.body, "argon2") {
				t.Errorf("got export %d %s", x.status, x.body)
			}
			eve.get("/account/delete").want(t, 200)
			eve.post("/account/delete", "current_password", "wrong").want(t, 401)
			eve.leads(eve.post("/account/delete", "current_password", second), "/login?notice=deleted")
			eve.leads(eve.post("/login", "email", "eva@example.com", "password", second), "/account")
			eve.get("/account/activity").has(t, say.kept)
			eve.get("/logout").want(t, 200)
			eve.leads(eve.post("/logout"), "/login?notice=logged_out")
			eve.leads(eve.get("/account"), "/login?return_to=%2Faccount")
			_ = r
		})
	}
}

func TestWhereALoginMayLead(t *testing.T) {
	t.Parallel()
	_, _, visit := pageRig(t, func(s *setup) { s.ReturnURLs = []string{"https://app.example.com/shop", "http://localhost:3000"} })
	for to, want := range map[string]string{
		"":                                       "/account",
		"/account/security":                      "/account/security",
		"/account/security?a=1":                  "/account/security?a=1",
		"//evil.test":                            "/account",
		"///evil.test":                           "/account",
		`/\evil.test`:                            "/account",
		`\\evil.test`:                            "/account",
		"/%2f%2fevil.test":                       "/account",
		"/%2fevil.test":                          "/account",
		"/%5cevil.test":                          "/account",
		"/..//evil.test":                         "/account",
		"/./\t/evil.test":                        "/account",
		"/\t/evil.test":                          "/account",
		"/\n/evil.test":                          "/account",
		" //evil.test":                           "/account",
		"https:evil.test":                        "/account",
		"https://evil.test":                      "/account",
		"javascript:alert(1)":                    "/account",
		"data:text/html,x":                       "/account",
		"evil.test":                              "/account",
		"?notice=deleted":                        "/account",
		"https://app.example.com/shop":           "https://app.example.com/shop",
		"https://app.example.com/shop/cart?id=1": "https://app.example.com/shop/cart?id=1",
		"https://app.example.com/shopping":       "/account",
		"https://app.example.com/shop/../admin":  "/account",
		"https://app.example.com/shop/%2e%2e/x":  "/account",
		"https://app.example.com/":               "/account",
		"https://app.example.com.evil.test/shop": "/account",
		"https://app.example.com@evil.test/shop": "/account",
		"https://a@app.example.com/shop":         "/account",
		"http://app.example.com/shop":            "/account",
		"https://app.example.com:444/shop":       "/account",
		"http://localhost:3000/deep/down":        "http://localhost:3000/deep/down",
		"http://localhost:3001/":                 "/account",
		"//app.example.com/shop":                 "/account",
		"/" + strings.Repeat("a", 5000):          "/account",
	} {
		p := visit("en", browser)
		s := p.post("/login", "email", alice, "password", password, "return_to", to)
		if got := s.header.Get("Location"); s.status != 303 || got != want {
			t.Errorf("%q: got %d to %q, want 303 to %q", to, s.status, got, want)
		}
	}
	policy := visit("en", browser).get("/login").header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "form-action 'self' https://app.example.com http://localhost:3000;") {
		t.Errorf("got policy %q: the browser would not let the login lead back", policy)
	}
}

// TestAnotherSitesPageCannotUseThePages posts every form as a foreign page would.
func TestAnotherSitesPageCannotUseThePages(t *testing.T) {
	t.Parallel()
	_, _, visit := pageRig(t, func(s *setup) { s.CORSOrigins = []string{"https://friend.example.com"} })
	p := visit("en", browser)
	p.leads(p.post("/login", "email", alice, "password", password), "/account")
	n := 0
	for _, rt := range server.Routes() {
		path, isPost := strings.CutPrefix(rt.Pattern, "POST ")
		if rt.Audience != "page" || !isPost {
			continue
		}
		n++
		path = strings.ReplaceAll(path, "{id}", "00000000-0000-4000-8000-000000000000")
		for name, m := range map[string]mod{
			"cross-site": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
			"same-site":  func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
			"an old browser": func(r *http.Request) {
				r.Header.Del("Sec-Fetch-Site")
				r.Header.Set("Origin", "https://evil.test")
			},
			"an origin whose scripts may call the API": func(r *http.Request) {
				r.Header.Set("Sec-Fetch-Site", "cross-site")
				r.Header.Set("Origin", "https://friend.example.com")
			},
		} {
			s := p.send("POST", path, url.Values{"email": {alice}, "password": {password}, "lang": {"ko"}}, m)
			if s.status != 403 || len(s.header.Values("Set-Cookie")) != 0 || !strings.Contains(s.body, "another website") {
				t.Errorf("%s from %s: got %d and cookies %v", path, name, s.status, s.header.Values("Set-Cookie"))
			}
		}
	}
	if n < 15 {
		t.Errorf("only %d forms were tried", n)
	}
	p.get("/account").want(t, 200)
}

// TestCookiesThatAreNotOurs has a sibling domain and an attacker set cookies.
func TestCookiesThatAreNotOurs(t *testing.T) {
	t.Parallel()
	_, _, visit := pageRig(t)
	thief := visit("en", otherBrowser)
	thief.leads(thief.post("/login", "email", alice, "password", password), "/account")
	base, _ := url.Parse(thief.base)
	stolen := map[string]string{}
	for _, c := range thief.jar.Cookies(base) {
		stolen[c.Name] = c.Value
	}
	victim := visit("en", browser)
	for name, value := range stolen { // without the prefix a sibling could set them
		bare := strings.TrimPrefix(name, "__Host-")
		s := victim.get("/account", func(r *http.Request) { r.AddCookie(&http.Cookie{Name: bare, Value: value}) })
		victim.leads(s, "/login?return_to=%2Faccount")
	}
	// A session planted before the login is not the one after it.
	s := victim.send("POST", "/login", url.Values{"email": {alice}, "password": {password}}, func(r *http.Request) {
		for name, value := range stolen {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
	})
	victim.leads(s, "/account")
	for _, c := range victim.jar.Cookies(base) {
		if c.Value == stolen[c.Name] && c.Name != deviceCookie {
			t.Errorf("%s is the planted one", c.Name)
		}
	}
}

func TestPagesAndAStoreThatIsDown(t *testing.T) {
	t.Parallel()
	r, _, visit := pageRig(t)
	p := visit("ko", browser)
	p.leads(p.post("/login", "email", alice, "password", password), "/account")
	r.store.down.Store(true)
	for _, path := range []string{"/account", "/account/activity", "/account/security"} {
		s := p.get(path).want(t, 503).has(t, "잠시만 기다려 주십시오")
		if s.header.Get("Retry-After") == "" || len(s.header.Values("Set-Cookie")) != 0 {
			t.Errorf("%s: got %v", path, s.header)
		}
	}
	if s := p.post("/logout"); s.status != 503 || len(s.header.Values("Set-Cookie")) != 0 {
		t.Errorf("got %d and %v: the session lives on, so must the cookies", s.status, s.header)
	}
	p.post("/login", "email", alice, "password", password).want(t, 503)
	r.store.down.Store(false)
	p.get("/account").want(t, 200)
}

// TestTwoTabsAfterAWhile loads pages at once with an expired access token.
func TestTwoTabsAfterAWhile(t *testing.T) {
	t.Parallel()
	r, _, visit := pageRig(t)
	p := visit("en", browser)
	p.leads(p.post("/login", "email", alice, "password", password), "/account")
	for range 10 {
		r.clock.advance(11 * time.Minute)
		answers := make(chan screen, 4)
		for range 4 {
			go func() { answers <- p.get("/account") }()
		}
		for range 4 {
			if s := <-answers; s.status != 200 && s.status != 409 {
				t.Fatalf("got %d: %s", s.status, s.header.Get("Location"))
			}
		}
		p.get("/account").want(t, 200)
	}
}

func TestPagesOfNothing(t *testing.T) {
	t.Parallel()
	_, _, visit := pageRig(t)
	p := visit("ko", browser)
	p.get("/nothing").want(t, 404).has(t, "페이지를 찾을 수 없습니다")
	p.get("/account/sessions/end-others").want(t, 405)
	p.get("/account/assets/style.css").want(t, 404)
	p.get("/dev/mail").want(t, 404) // this server has no mailbox
	s := p.get("/login")
	for _, m := range regexp.MustCompile(`/account/assets/[a-z.0-9]+`).FindAllString(s.body, -1) {
		a := p.get(m).want(t, 200)
		if !strings.Contains(a.header.Get("Cache-Control"), "immutable") || len(a.body) > 15<<10 {
			t.Errorf("%s: got %q and %d bytes", m, a.header.Get("Cache-Control"), len(a.body))
		}
	}
	p.leads(p.post("/account/language", "lang", "en", "back", "//evil.test"), "/account")
	p.get("/login").has(t, "Log in", `lang="en"`)
}

func TestThemes(t *testing.T) {
	t.Parallel()
	theme := server.Theme{
		Name: "Gate & Co", Color: "#ffd400", Logo: []byte("<svg/>"), LogoType: "image/svg+xml", CSS: []byte(".card{border:9px}"),
		Templates: fstest.MapFS{"forgot.html": {Data: []byte(`{{define "title"}}Own{{end}}{{define "main"}}<h1>Own words</h1>{{end}}`)}},
	}
	_, _, visit := pageRig(t, func(s *setup) { s.Theme = theme })
	p := visit("en", browser)
	s := p.get("/login").has(t, `alt="Gate & Co"`)
	css := p.get(regexp.MustCompile(`/account/assets/style[a-z.0-9]+`).FindString(s.body)).body
	if !strings.Contains(css, "--accent:#ffd400;--on-accent:#101418") || !strings.HasSuffix(css, ".card{border:9px}") {
		t.Errorf("got %.200s", css)
	}
	p.get("/login/forgot-password").has(t, "Own words", "Own · Gate & Co")

	r := newRig(t)
	for name, bad := range map[string]server.Options{
		"login.html":   {Theme: server.Theme{Templates: fstest.MapFS{"login.html": {Data: []byte(`{{define "main"}}{{.NoSuchThing}}{{end}}`)}}}},
		"layout.html":  {Theme: server.Theme{Templates: fstest.MapFS{"layout.html": {Data: []byte(`{{if}}`)}}}},
		"not a colour": {Theme: server.Theme{Color: "red;}"}},
		"not an http":  {ReturnURLs: []string{"javascript:x"}},
	} {
		if _, err := server.New(r.svc, bad); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	off, err := server.New(r.svc, server.Options{NoPages: true})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	off.ServeHTTP(w, httptest.NewRequest("GET", "/login", nil))
	if w.Code != 404 {
		t.Errorf("got %d for a page that is switched off", w.Code)
	}
}

func TestTheMailboxOfDevelopers(t *testing.T) {
	t.Parallel()
	box, err := server.NewMailbox("https://id.example.com", server.Theme{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _, visit := pageRig(t, func(s *setup) { s.Options.Mailbox = box })
	if err := box.Deliver(t.Context(), bitjang.Mail{Kind: bitjang.MailResetPassword, To: alice, Language: "en", Link: bitjang.NewSecret("https://id.example.com/login/reset-password?token=x")}); err != nil {
		t.Fatal(err)
	}
	p := visit("en", browser)
	s := p.get("/dev/mail").want(t, 200).has(t, alice)
	one := regexp.MustCompile(`/dev/mail/\d+`).FindString(s.body)
	p.get(one).want(t, 200).has(t, "token=x")
	for _, path := range []string{"/dev/mail", one, one + "/body"} { // a name of another site that leads here
		for _, host := range []string{"evil.test", "localhost.evil.test:80", "127.0.0.1.evil.test"} {
			if s := p.get(path, func(r *http.Request) { r.Host = host }); s.status != 404 || strings.Contains(s.body, alice) {
				t.Errorf("%s by the name of %s: got %d", path, host, s.status)
			}
		}
	}
	p.client.CheckRedirect = nil
	resp, err := p.client.Get(p.base + one + "/body")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if policy := resp.Header.Get("Content-Security-Policy"); resp.StatusCode != 200 || strings.Contains(policy, "script-src") {
		t.Errorf("got %d with policy %q", resp.StatusCode, policy)
	}
}
