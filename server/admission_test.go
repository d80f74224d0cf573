package server_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bitjang/bitjang/server"
)

// Forward auth and the guard decide the same, so both run these tests.

// filter sends a request through one of the two.
type filter struct {
	name string
	make func(r *rig) func(mods ...mod) *answer
}

var filters = []filter{
	{"forward auth", func(r *rig) func(mods ...mod) *answer {
		return func(mods ...mod) *answer { r.t.Helper(); return r.do("GET", "/forward-auth", nil, mods...) }
	}},
	{"guard", func(r *rig) func(mods ...mod) *answer {
		g := newGuarded(r, server.GuardOptions{}, nil)
		return func(mods ...mod) *answer { r.t.Helper(); return g.get("/page", mods...) }
	}},
}

// forEachFilter runs a test with both, each over a server of its own.
func forEachFilter(t *testing.T, run func(t *testing.T, r *rig, ask func(...mod) *answer), choose ...func(*setup)) {
	t.Parallel()
	for _, f := range filters {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			r := newUserRig(t, choose...)
			run(t, r, f.make(r))
		})
	}
}

// ttl chooses lifetimes.
func ttl(access, refresh, session time.Duration) func(*setup) {
	return func(s *setup) { s.AccessTTL, s.RefreshTTL, s.SessionTTL = access, refresh, session }
}

func TestTheFourCases(t *testing.T) {
	t.Parallel()
	const h, m = time.Hour, time.Minute
	for _, tt := range []struct {
		name         string
		access, idle time.Duration
		later        time.Duration
		noRenewal    bool
		status       int
		code         string
		newCookies   bool
		refreshAfter int // what POST /v1/refresh says to the newest refresh token
	}{
		{"access expired, refresh expired", 1 * h, 2 * h, 2*h + m, false, 401, "session_expired", false, 401},
		{"access expired, refresh expired, renewal off", 1 * h, 2 * h, 2*h + m, true, 401, "session_expired", false, 401},
		{"access expired, refresh valid", 1 * h, 2 * h, 1*h + m, false, 200, "", true, 200},
		{"access expired, refresh valid, renewal off", 1 * h, 2 * h, 1*h + m, true, 200, "", true, 200},
		{"access valid, refresh expired", 2 * h, 1 * h, 1 * h, false, 200, "", true, 200},
		{"access valid, refresh expired, renewal off", 2 * h, 1 * h, 1 * h, true, 200, "", false, 401},
		{"access valid, refresh valid", 2 * h, 2 * h, 1 * h, false, 200, "", false, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			forEachFilter(t, func(t *testing.T, r *rig, ask func(...mod) *answer) {
				tk := r.login()
				r.clock.advance(tt.later)
				a := ask(tk.asCookies()).want(tt.status)
				if tt.code != "" {
					a.want(tt.status, tt.code)
				}
				if got := len(a.cookies()) == 2; got != tt.newCookies {
					t.Fatalf("got cookies %v, want some: %v", a.cookies(), tt.newCookies)
				}
				if tt.newCookies {
					tk = a.wantHeader("Cache-Control", "private, no-store").tokens()
					if again := ask(tk.asCookies()).want(200); len(again.cookies()) != 0 {
						t.Errorf("the new tokens are replaced at once: %v", again.cookies())
					}
				}
				r.refresh(tk.refresh).want(tt.refreshAfter)
			}, ttl(tt.access, tt.idle, 100*h), func(s *setup) { s.NoRenewal = tt.noRenewal })
		})
	}
}

func TestABrowserThatDroppedItsAccessCookieIsRefreshed(t *testing.T) {
	forEachFilter(t, func(t *testing.T, r *rig, ask func(...mod) *answer) {
		tk := r.login()
		a := ask(tokens{refresh: tk.refresh}.asCookies()).want(200)
		if len(a.cookies()) != 2 {
			t.Errorf("got cookies %v", a.cookies())
		}
		ask(a.tokens().asCookies()).want(200)
	})
}

func TestAnExpiredRefreshTokenIsRenewedOnlyForItsOwnDeviceAndSession(t *testing.T) {
	forEachFilter(t, func(t *testing.T, r *rig, ask func(...mod) *answer) {
		tk, other := r.login(), r.login()
		r.clock.advance(time.Hour)
		for name, m := range map[string]mod{
			"no refresh token":  tokens{access: tk.access}.asCookies(),
			"another session's": tokens{access: tk.access, refresh: other.refresh}.asCookies(),
			"junk":              tokens{access: tk.access, refresh: "bjr_junk"}.asCookies(),
			"a refresh token in a header": func(r *http.Request) {
				tokens{access: tk.access}.asCookies()(r)
				header("Refresh-Token", tk.refresh)(r)
			},
			"an access token in a header": func(r *http.Request) { bearer(tk.access)(r); tokens{refresh: tk.refresh}.asCookies()(r) },
			"another device":              func(r *http.Request) { tk.asCookies()(r); agent(otherBrowser)(r) },
			"a prefetch":                  func(r *http.Request) { tk.asCookies()(r); header("Sec-Purpose", "prefetch")(r) },
		} {
			if a := ask(m).want(200); len(a.cookies()) != 0 {
				t.Errorf("%s: got cookies %v", name, a.cookies())
			}
		}
		if a := ask(tk.asCookies()).want(200); len(a.cookies()) != 2 {
			t.Errorf("the same device: got cookies %v", a.cookies())
		}
	}, ttl(2*time.Hour, time.Hour, 24*time.Hour))
}

func TestRenewalEndsWithTheSession(t *testing.T) {
	forEachFilter(t, func(t *testing.T, r *rig, ask func(...mod) *answer) {
		ended := r.login()
		r.do("POST", "/v1/logout", nil, bearer(ended.access)).want(204)
		tk := r.login()
		r.clock.advance(time.Hour)
		ask(ended.asCookies()).want(401, "session_revoked")
		for range 3 { // an access token never outlives the session, so neither does what it renews
			if a := ask(tk.asCookies()); a.Status == 200 && len(a.cookies()) == 2 {
				tk = a.tokens()
			}
			r.clock.advance(time.Hour)
		}
		ask(tk.asCookies()).want(401)
	}, ttl(2*time.Hour, time.Hour, 3*time.Hour))
}

func TestTokensThatCannotBeCheckedAreNotRotated(t *testing.T) {
	forEachFilter(t, func(t *testing.T, r *rig, ask func(...mod) *answer) {
		tk := r.refresh(r.login().refresh).tokens()
		r.store.blind.Store(true)
		if a := ask(tk.asCookies()).want(503, "store_unavailable"); len(a.cookies()) != 0 {
			t.Errorf("got cookies %v", a.cookies())
		}
		if n := r.svc.Stats().Refreshes["confirm"]; n != 0 {
			t.Errorf("got %d rotations", n)
		}
		r.store.blind.Store(false)
		ask(tk.asCookies()).want(200)
	})
}

func TestTokensInAHeaderAreNeverRotated(t *testing.T) {
	forEachFilter(t, func(t *testing.T, r *rig, ask func(...mod) *answer) {
		tk := r.login()
		ask(bearer(tk.access)).want(200)
		r.clock.advance(11 * time.Minute)
		for name, mods := range map[string][]mod{
			"an expired access token alone":              {bearer(tk.access)},
			"an expired access token beside the cookies": {bearer(tk.access), tk.asCookies()},
			"junk beside the cookies":                    {bearer("junk"), tk.asCookies()},
			"a refresh token in a header":                {header("Refresh-Token", tk.refresh)},
			"both in headers":                            {bearer(tk.access), header("Refresh-Token", tk.refresh)},
		} {
			if a := ask(mods...).want(401, "access_token_invalid"); len(a.cookies()) != 0 {
				t.Errorf("%s: got cookies %v", name, a.cookies())
			}
		}
		// The proxied site's own Authorization does not stand in the way.
		if a := ask(tk.asCookies(), header("Authorization", "Basic YTpi")).want(200); len(a.cookies()) != 2 {
			t.Errorf("got cookies %v", a.cookies())
		}
	})
}

func TestAPrefetchNeverRotates(t *testing.T) {
	forEachFilter(t, func(t *testing.T, r *rig, ask func(...mod) *answer) {
		tk := r.login()
		for _, m := range []mod{header("Sec-Purpose", "prefetch"), header("Sec-Purpose", "prefetch;prerender"), header("Purpose", "prefetch"), header("X-Moz", "prefetch")} {
			if a := ask(tk.asCookies(), m).want(200); len(a.cookies()) != 0 {
				t.Errorf("got cookies %v", a.cookies())
			}
		}
		r.clock.advance(11 * time.Minute)
		before := r.svc.Stats().Refreshes
		for _, m := range []mod{header("Sec-Purpose", "prefetch"), header("Sec-Purpose", "Prefetch;prerender"), header("Purpose", "prefetch"), header("X-Moz", "prefetch")} {
			if a := ask(tk.asCookies(), m).want(401, "access_token_invalid"); len(a.cookies()) != 0 {
				t.Errorf("got cookies %v", a.cookies())
			}
		}
		for v, n := range r.svc.Stats().Refreshes {
			if n != before[v] {
				t.Errorf("a prefetch was judged %s", v)
			}
		}
		if a := ask(tk.asCookies()).want(200); len(a.cookies()) != 2 {
			t.Errorf("got cookies %v", a.cookies())
		}
	})
}

func TestParallelRequestsWithOneExpiredAccessTokenLogNobodyOut(t *testing.T) {
	t.Parallel()
	for _, f := range filters {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			r := newUserRig(t)
			var h http.Handler = r.h
			if f.name == "guard" {
				h = newGuarded(r, server.GuardOptions{}, nil).h
			}
			jar := r.login()
			for round := range 3 {
				r.clock.advance(11 * time.Minute)
				answers := atOnce(h, 32, jar)
				for i, a := range answers {
					if a.t = t; a.Status != 200 {
						t.Fatalf("round %d, request %d: got %d %s", round, i, a.Status, a.Body)
					}
				}
				jar = answers[len(answers)-1].tokens() // the last write wins
			}
			r.clock.advance(time.Minute) // beyond the grace
			r.do("GET", "/v1/me", nil, jar.asCookies()).want(200)
			r.refresh(jar.refresh).want(200)
			for _, name := range []string{"replay", "retry_elsewhere"} {
				if n := r.svc.Stats().Refreshes[name]; n != 0 {
					t.Errorf("%d requests were judged %s", n, name)
				}
			}
		})
	}
}

// atOnce sends n requests with the same cookies, from the two addresses of one
// browser, and returns the answers in the order they came.
func atOnce(h http.Handler, n int, tk tokens) (answers []*answer) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			req := httptest.NewRequest("GET", "/forward-auth", nil)
			tk.asCookies()(req)
			agent(browser)(req)
			if i%2 == 1 {
				req.RemoteAddr = "[2001:db8::1]:4711"
			}
			w := httptest.NewRecorder()
			<-start
			h.ServeHTTP(w, req)
			mu.Lock()
			defer mu.Unlock()
			answers = append(answers, &answer{Status: w.Code, Header: w.Result().Header, Body: w.Body.Bytes()})
		})
	}
	close(start)
	wg.Wait()
	return answers
}

func TestASupersededStragglerLosesNothing(t *testing.T) {
	forEachFilter(t, func(t *testing.T, r *rig, ask func(...mod) *answer) {
		old := r.login()
		r.clock.advance(11 * time.Minute)
		now := ask(old.asCookies()).tokens()
		newest := r.refresh(now.refresh).tokens()
		a := ask(old.asCookies())
		if len(a.cookies()) != 0 || a.text("code") != "refresh_superseded" {
			t.Errorf("got %d %v %s", a.Status, a.cookies(), a.Body)
		}
		ask(newest.asCookies()).want(200)
	})
}

func TestAReusedTokenEndsTheSessionHereToo(t *testing.T) {
	forEachFilter(t, func(t *testing.T, r *rig, ask func(...mod) *answer) {
		old := r.login()
		now := r.refresh(r.refresh(old.refresh).tokens().refresh).tokens()
		r.clock.advance(11 * time.Minute)
		if a := ask(old.asCookies()).want(401, "refresh_token_reused"); len(a.cookies()) != 0 {
			t.Errorf("got cookies %v", a.cookies())
		}
		ask(now.asCookies()).want(401, "session_revoked")
	})
}

func TestForwardAuthTellsWho(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	u := r.addUser(alice, "editor", "admin")
	tk := r.login()
	forged := []mod{header("X-Auth-User", "root"), header("X-Auth-Roles", "root"), header("X-Auth-Session", "x"), header("X-Auth-Reason", "x"), header("X-Auth-Cookie-Access", "x=y")}
	r.do("GET", "/forward-auth", nil, forged...).want(401, "access_token_invalid").wantHeader("X-Auth-User", "")
	a := r.do("GET", "/forward-auth", nil, append(forged, tk.asCookies())...).want(200)
	a.wantHeader("X-Auth-User", u.ID).wantHeader("X-Auth-Session", tk.session).wantHeader("X-Auth-Roles", "admin,editor").wantHeader("Cache-Control", "no-store")
	for _, name := range []string{"X-Auth-Cookie-Access", "X-Auth-Cookie-Refresh", "X-Auth-Cache-Control", "X-Auth-Reason"} {
		a.wantHeader(name, "")
	}
	for name := range a.Header {
		if strings.HasPrefix(name, "X-Auth") && len(a.Header.Values(name)) != 1 {
			t.Errorf("got %s %v", name, a.Header.Values(name))
		}
	}
	r.clock.advance(11 * time.Minute)
	a = r.do("GET", "/forward-auth", nil, tk.asCookies()).want(200).wantHeader("X-Auth-User", u.ID).wantHeader("X-Auth-Cache-Control", "private, no-store")
	if got, want := []string{a.Header.Get("X-Auth-Cookie-Access"), a.Header.Get("X-Auth-Cookie-Refresh")}, a.Header.Values("Set-Cookie"); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestForwardAuthRefusesASupersededStragglerWith401(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	old := r.login()
	r.refresh(r.refresh(old.refresh).tokens().refresh).want(200)
	for _, target := range []string{"/forward-auth", "/forward-auth?login=redirect"} { // nginx knows 401 and 403 only; a login is not needed
		a := r.do("GET", target, nil, tokens{refresh: old.refresh}.asCookies(), header("Sec-Fetch-Mode", "navigate")).want(401, "refresh_superseded")
		a.wantHeader("X-Auth-Reason", "refresh_superseded")
	}
}

func TestForwardAuthRedirectsNavigationsOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const login = "https://id.example.com/login"
	html := header("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	for name, tt := range map[string]struct {
		target string
		mods   []mod
		want   int
	}{
		"a navigation":                       {"/forward-auth?login=redirect", []mod{header("Sec-Fetch-Mode", "navigate")}, 302},
		"an old browser's navigation":        {"/forward-auth?login=redirect", []mod{html}, 302},
		"a script":                           {"/forward-auth?login=redirect", []mod{header("Sec-Fetch-Mode", "cors")}, 401},
		"a script that accepts HTML":         {"/forward-auth?login=redirect", []mod{html, header("Sec-Fetch-Mode", "cors")}, 401},
		"an image":                           {"/forward-auth?login=redirect", []mod{header("Sec-Fetch-Mode", "no-cors"), header("Accept", "image/*")}, 401},
		"a program":                          {"/forward-auth?login=redirect", []mod{header("Accept", "*/*")}, 401},
		"a navigation, redirect not asked":   {"/forward-auth", []mod{header("Sec-Fetch-Mode", "navigate")}, 401},
		"a navigation, something else asked": {"/forward-auth?login=yes", []mod{header("Sec-Fetch-Mode", "navigate")}, 401},
	} {
		a := r.do("GET", tt.target, nil, tt.mods...)
		if a.Status != tt.want || a.Header.Get("X-Auth-Reason") != "access_token_invalid" || (tt.want == 302) != (a.Header.Get("Location") == login) {
			t.Errorf("%s: got %d %v", name, a.Status, a.Header)
		}
	}
}

func TestForwardAuthBelievesOnlyATrustedProxyAboutTheWayBack(t *testing.T) {
	t.Parallel()
	trusted := func(s *setup) { s.TrustedProxies = prefixes("10.0.0.0/8") }
	r := newRig(t, trusted)
	forwarded := func(proto, host, uri string) mod {
		return func(r *http.Request) {
			header("Sec-Fetch-Mode", "navigate")(r)
			r.Header.Set("X-Forwarded-Proto", proto)
			r.Header.Set("X-Forwarded-Host", host)
			r.Header.Set("X-Forwarded-Uri", uri)
		}
	}
	const login = "https://id.example.com/login"
	way := "?return_to=https%3A%2F%2Fapp.example.com%2Fa%3Fb%3Dc"
	ask := func(r *rig, mods ...mod) *answer {
		return r.do("GET", "/forward-auth?login=redirect", nil, mods...).want(302)
	}
	ask(r, peer("10.1.2.3:1"), forwarded("https", "app.example.com", "/a?b=c")).wantHeader("Location", login+way)
	ask(r, peer("192.0.2.1:1"), forwarded("https", "app.example.com", "/a?b=c")).wantHeader("Location", login)
	ask(r, peer("10.1.2.3:1"), forwarded("https", "app.example.com", "")).wantHeader("Location", login)
	ask(r, peer("10.1.2.3:1"), forwarded("https", "", "/a")).wantHeader("Location", login)
	ask(r, peer("10.1.2.3:1"), forwarded("https", "app.example.com", "@evil.example/")).wantHeader("Location", login)
	custom := newRig(t, trusted, func(s *setup) { s.LoginURL = "https://app.example.com/in?via=proxy" })
	ask(custom, peer("10.1.2.3:1"), forwarded("https", "app.example.com", "/a?b=c")).wantHeader("Location", "https://app.example.com/in?via=proxy&"+way[1:])
}
