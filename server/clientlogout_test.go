package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
)

// loggedIn is somebody who has logged in to an application, and its tokens.
func loggedIn(t *testing.T, app relying, p *person) bitjang.Tokens {
	t.Helper()
	return app.redeem(t, app.atOnce(t, app.ask(in(p))))
}

func byes(pairs ...string) string {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return "/oauth2/logout?" + v.Encode()
}

// isOut looks for a browser without a login; isIn for one with.
func (p *person) isOut(t *testing.T) {
	t.Helper()
	p.leads(p.get("/account"), "/login?return_to=%2Faccount")
}

func (p *person) isIn(t *testing.T) {
	t.Helper()
	p.get("/account").want(t, 200)
}

func (r *rig) ended(t *testing.T, id bitjang.SessionID) bitjang.EndReason {
	t.Helper()
	s, err := r.svc.SessionByID(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return s.EndReason
}

// TestRPInitiatedLogout_2_AClientOfThisPersonEndsTheLogin, although the ID token
// has long expired.
func TestRPInitiatedLogout_2_AClientOfThisPersonEndsTheLogin(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "POST", "POST without cookies"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			r, _, visit := pageRig(t)
			app, p := r.addClient(firstParty), visit("en", browser)
			tk := loggedIn(t, app, p)
			other := r.addClient(firstParty)
			second := other.redeem(t, other.atOnce(t, other.ask(p)))
			r.clock.advance(2 * time.Hour)
			pairs := []string{"id_token_hint", tk.ID.Reveal(), "client_id", app.client.ID, "post_logout_redirect_uri", notesBye, "state", "a&b"}
			path := byes(pairs...)
			var s screen
			switch method {
			case "GET":
				s = p.get(path)
			case "POST": // of the same site
				u, _ := url.Parse(path)
				s = p.send("POST", "/oauth2/logout", u.Query())
			default:
				u, _ := url.Parse(path)
				bare := visit("en", browser).send("POST", "/oauth2/logout", u.Query(), header("Origin", "https://notes.example.com"))
				if !strings.HasPrefix(bare.want(t, 303).header.Get("Location"), "/oauth2/logout?") {
					t.Fatalf("got %q", bare.header.Get("Location"))
				}
				s = p.get(bare.header.Get("Location"))
			}
			if got := s.want(t, 303).header.Get("Location"); got != notesBye+"?state=a%26b" {
				t.Errorf("led to %q", got)
			}
			if s.header.Get("Clear-Site-Data") != `"cache"` {
				t.Errorf("got Clear-Site-Data %q", s.header.Get("Clear-Site-Data"))
			}
			p.isOut(t)
			for _, id := range []bitjang.SessionID{tk.Session.ID, second.Session.ID} {
				if why := r.ended(t, id); why != bitjang.EndedByLogout {
					t.Errorf("got %q, want what clients got from the login to have ended with it", why)
				}
			}
		})
	}
}

// TestRPInitiatedLogout_2_OtherwiseThePersonIsAsked, and nothing has ended until
// they say so.
func TestRPInitiatedLogout_2_OtherwiseThePersonIsAsked(t *testing.T) {
	t.Parallel()
	r, _, visit := pageRig(t)
	r.addUser("bob@example.com")
	app := r.addClient(firstParty)
	bob := visit("en", otherBrowser)
	bob.leads(bob.post("/login", "email", "bob@example.com", "password", password), "/account")
	theirs := app.redeem(t, app.atOnce(t, app.ask(bob)))
	for name, tt := range map[string]struct {
		path, say, to string
	}{
		"without a hint":               {byes(), "An application asks to log you out", "/login?notice=logged_out"},
		"with nonsense for a hint":     {byes("id_token_hint", "x", "post_logout_redirect_uri", notesBye), "An application asks", "/login?notice=logged_out"},
		"with an access token":         {byes("id_token_hint", theirs.Access.Reveal(), "post_logout_redirect_uri", notesBye), "An application asks", "/login?notice=logged_out"},
		"with another client's":        {byes("id_token_hint", theirs.ID.Reveal(), "client_id", "other", "post_logout_redirect_uri", notesBye), "An application asks", "/login?notice=logged_out"},
		"with a client id alone":       {byes("client_id", app.client.ID, "post_logout_redirect_uri", notesBye), "An application asks", "/login?notice=logged_out"},
		"with somebody else's":         {byes("id_token_hint", theirs.ID.Reveal(), "post_logout_redirect_uri", notesBye, "state", "s"), "Notes & Co asks to log you out", notesBye + "?state=s"},
		"with somebody else's, to bed": {byes("id_token_hint", theirs.ID.Reveal()), "Notes & Co asks", "/login?notice=logged_out"},
	} {
		t.Run(name, func(t *testing.T) {
			p := visit("en", browser)
			tk := loggedIn(t, app, p)
			s := p.get(tt.path).want(t, 200).has(t, tt.say)
			if s.header.Get("Refresh")+s.header.Get("Location") != "" || len(s.header.Values("Set-Cookie")) != 0 {
				t.Errorf("leads on, or takes cookies: %v", s.header)
			}
			p.isIn(t)
			if why := r.ended(t, tk.Session.ID); why != "" {
				t.Fatalf("ended by %s before anybody was asked", why)
			}
			foreign := p.send("POST", "/oauth2/logout/confirm", url.Values{}, func(req *http.Request) { req.Header.Set("Sec-Fetch-Site", "cross-site") })
			foreign.want(t, 403)
			p.isIn(t)
			s, left := p.follow(p.fill(s, "/oauth2/logout/confirm"))
			if left == "" {
				left = s.at
			}
			if left != tt.to {
				t.Errorf("led to %q, want %q", left, tt.to)
			}
			p.isOut(t)
		})
	}
	if why := r.ended(t, theirs.Session.ID); why != "" {
		t.Errorf("somebody else's session ended by %s", why)
	}
	p := visit("en", browser)
	s := p.get("/oauth2/logout")
	p.leads(s, "/login?notice=logged_out") // nobody is there to ask
	if got := s.header.Values("Set-Cookie"); len(got) != 0 {
		t.Errorf("takes cookies that were not there: %v", got) // they may be of a login that is just being made
	}
}

// TestRPInitiatedLogout_3_AddressesAreComparedExactly, and without a good hint
// nobody is sent anywhere.
func TestRPInitiatedLogout_3_AddressesAreComparedExactly(t *testing.T) {
	t.Parallel()
	r, _, visit := pageRig(t)
	app, p := r.addClient(firstParty), visit("en", browser)
	tk := loggedIn(t, app, p)
	for _, uri := range []string{notesBye + "/", notesBye + "?x", "https://notes.example.com/BYE", notesURI, "https://evil.test/", "javascript:alert(1)", "//evil.test"} {
		s := p.get(byes("id_token_hint", tk.ID.Reveal(), "post_logout_redirect_uri", uri)).want(t, 400).has(t, "not registered for it")
		if s.header.Get("Location")+s.header.Get("Refresh") != "" {
			t.Errorf("%q: leads to %v", uri, s.header)
		}
	}
	p.isIn(t)
	v, _ := url.ParseQuery(strings.TrimPrefix(byes("id_token_hint", tk.ID.Reveal(), "post_logout_redirect_uri", notesBye), "/oauth2/logout?"))
	v.Add("post_logout_redirect_uri", "https://evil.test/")
	p.leads(p.get("/oauth2/logout?"+v.Encode()), "/login?notice=logged_out") // of two, neither
	p.isOut(t)
	nobody := visit("en", browser)
	nobody.leads(nobody.get(byes("post_logout_redirect_uri", notesBye, "client_id", app.client.ID)), "/login?notice=logged_out")
	if got := nobody.get(byes("id_token_hint", tk.ID.Reveal(), "post_logout_redirect_uri", notesBye)).header.Get("Location"); got != notesBye {
		t.Errorf("nobody is logged in any more: led to %q", got)
	}
}

// TestALoginOnHoldCanBeEnded by its person, and by nobody's link.
func TestALoginOnHoldCanBeEnded(t *testing.T) {
	t.Parallel()
	r, _, visit := pageRig(t, func(s *setup) { s.OnReuse = bitjang.HoldOnReuse })
	app, p := r.addClient(firstParty), visit("en", browser)
	tk := loggedIn(t, app, p)
	r.holdLogin(p)
	p.get(byes("id_token_hint", tk.ID.Reveal())).want(t, 200)
	s := p.get("/oauth2/logout").want(t, 200).has(t, "An application asks")
	p.leads(p.fill(s, "/oauth2/logout/confirm"), "/login?notice=logged_out")
	p.isOut(t)
	if why := r.ended(t, tk.Session.LoginID); why != bitjang.EndedByLogout {
		t.Errorf("the login itself: got %q", why)
	}
}

// TestLogoutAndAStoreThatIsDown: the login lives on, and so must the cookies.
func TestLogoutAndAStoreThatIsDown(t *testing.T) {
	t.Parallel()
	r, _, visit := pageRig(t)
	app, p := r.addClient(firstParty), visit("en", browser)
	tk := loggedIn(t, app, p)
	r.store.down.Store(true)
	for _, s := range []screen{p.get(byes("id_token_hint", tk.ID.Reveal())), p.post("/oauth2/logout/confirm"), app.ask(p), app.ask(p, "prompt", "none")} {
		if s.status != 503 || len(s.header.Values("Set-Cookie")) != 0 || s.header.Get("Retry-After") == "" {
			t.Errorf("%s: got %d and %v", s.at, s.status, s.header)
		}
	}
	r.store.down.Store(false)
	p.isIn(t)
}
