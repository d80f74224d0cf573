package server_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bitjang/bitjang"
)

func TestSignup(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.do("POST", "/v1/signup", object{"email": " Alice@Example.com ", "password": password, "name": "Alice", "admin": true}).want(201)
	var out struct{ User object }
	a.decode(&out)
	if out.User["email"] != alice || out.User["name"] != "Alice" {
		t.Errorf("got user %v", out.User)
	}
	r.login()

	t.Run("of a known address is answered like that of a new one", func(t *testing.T) {
		known := r.do("POST", "/v1/signup", object{"email": alice, "password": password}).want(201)
		fresh := r.do("POST", "/v1/signup", object{"email": "nobody@example.com", "password": password}).want(201)
		if diff := cmp.Diff(known.Header, fresh.Header, cmp.FilterPath(isContentLength, cmp.Ignore())); diff != "" {
			t.Errorf("headers differ:\n%s", diff)
		}
		shape := func(a *answer) []string {
			var out struct{ User object }
			a.decode(&out)
			return append(slices.Sorted(maps.Keys(out.User)), out.User["created_at"].(string))
		}
		if diff := cmp.Diff(shape(known), shape(fresh)); diff != "" {
			t.Errorf("bodies differ:\n%s", diff)
		}
		var out struct{ User object }
		known.decode(&out)
		me := r.do("GET", "/v1/me", nil, bearer(r.login().access)).want(200)
		if me.text("id") == out.User["id"] {
			t.Error("the answer shows the id of the account that exists")
		}
	})

	for code, body := range map[string]object{
		"email_invalid":      {"email": "alice", "password": password},
		"password_too_short": {"email": "b@example.com", "password": "1234567"},
		"password_too_long":  {"email": "b@example.com", "password": strings.Repeat("ab", 129)},
		"password_invalid":   {"email": "b@example.com", "password": strings.Repeat("ab", 2000)},
		"password_common":    {"email": "b@example.com", "password": "password123"},
		"name_invalid":       {"email": "b@example.com", "password": password, "name": "a\x00b"},
	} {
		t.Run("refuses with "+code, func(t *testing.T) { r.do("POST", "/v1/signup", body).want(400, code) })
	}
}

func isContentLength(p cmp.Path) bool { return p.Last().String() == `["Content-Length"]` }

func TestSignupTellsOrRefusesOnlyAsConfigured(t *testing.T) {
	t.Parallel()
	revealing := newUserRig(t, func(s *setup) { s.SignupRevealExisting = true })
	revealing.do("POST", "/v1/signup", object{"email": alice, "password": password}).want(409, "user_exists")
	closed := newRig(t, func(s *setup) { s.Signup = bitjang.SignupClosed })
	closed.do("POST", "/v1/signup", object{"email": alice, "password": password}).want(403, "signup_closed")
}

func TestLoginInTheBodySetsNoCookie(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	for _, transport := range []string{"", "body"} {
		a := r.do("POST", "/v1/login", object{"identifier": alice, "password": password, "transport": transport}).want(200)
		a.wantHeader("Cache-Control", "no-store")
		if len(a.cookies()) != 0 || a.text("token_type") != "Bearer" || a.tokens().access == "" {
			t.Errorf("got %v %s", a.Header, a.Body)
		}
		var out struct {
			ExpiresIn        int    `json:"expires_in"`
			RefreshExpiresIn int    `json:"refresh_expires_in"`
			User             object `json:"user"`
		}
		a.decode(&out)
		if out.ExpiresIn != 600 || out.RefreshExpiresIn != 14*24*3600 || out.User["email"] != alice {
			t.Errorf("got %+v", out)
		}
	}
	r.do("POST", "/v1/login", object{"identifier": alice, "password": password, "transport": "pigeon"}).want(400, "transport_invalid")
}

func TestLoginWithCookiesKeepsTokensOutOfTheBody(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	a := r.do("POST", "/v1/login", object{"identifier": alice, "password": password, "transport": "cookie"}).want(200)
	a.wantHeader("Cache-Control", "private, no-store")
	if strings.Contains(string(a.Body), "bjr_") || strings.Contains(string(a.Body), "eyJ") || a.text("access_token")+a.text("refresh_token") != "" {
		t.Errorf("tokens in the body: %s", a.Body)
	}
	ages := map[string]string{atCookie: "600", rtCookie: "7776000", deviceCookie: "34560000"}
	lines := a.Header.Values("Set-Cookie")
	if len(lines) != 3 {
		t.Fatalf("got cookies %v", lines)
	}
	for _, line := range lines {
		pair, attributes, _ := strings.Cut(line, "; ")
		name, value, _ := strings.Cut(pair, "=")
		if want := "Path=/; Max-Age=" + ages[name] + "; HttpOnly; Secure; SameSite=Lax"; attributes != want || value == "" {
			t.Errorf("got %s with %q, want %q", name, attributes, want)
		}
		if len(line) > 4096 {
			t.Errorf("%s has %d bytes, more than browsers keep", name, len(line))
		}
	}
	r.do("GET", "/v1/me", nil, a.tokens().asCookies()).want(200)

	again := r.do("POST", "/v1/login", object{"identifier": alice, "password": password, "transport": "cookie"}, cookies(a.cookie(deviceCookie))).want(200)
	if got, want := again.cookie(deviceCookie).Value, a.cookie(deviceCookie).Value; got != want {
		t.Errorf("a browser's device id changed from %q to %q", want, got)
	}
	r.do("GET", "/v1/me", nil, a.tokens().asCookies()).want(401, "session_revoked") // replaced by the login on the same device
}

func TestADeviceIdOfAnyTextSurvivesTheCookie(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	for _, id := range []string{"plain", "내 전화기", `a;b,c "d\`, "100%41"} {
		a := r.do("POST", "/v1/login", object{"identifier": alice, "password": password, "transport": "cookie", "device": object{"id": id}}).want(200)
		jar := cookies(a.cookies()...)
		for range 2 { // the second is a retry, allowed from the same device only
			r.do("POST", "/v1/refresh", nil, jar, agent(otherBrowser)).want(200)
		}
	}
}

func TestLoginDoesNotTellUnknownUsersFromWrongPasswords(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	attempt := func(id, pw string) *answer {
		began := time.Now()
		a := r.do("POST", "/v1/login", object{"identifier": id, "password": pw}).want(401, "invalid_credentials")
		if took := time.Since(began); took < 300*time.Millisecond {
			t.Errorf("the refusal of %q took %v", id, took)
		}
		return a
	}
	wrong := attempt(alice, "not this one")
	user, err := r.svc.FindUser(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []*answer{
		attempt("nobody@example.com", password), attempt("not an address", password), attempt("", ""),
		attempt(alice, ""), attempt(alice, strings.Repeat("x", 5000)), attempt(user.ID, password), // a login names a mail address
	} {
		if diff := cmp.Diff(wrong.Header, other.Header); diff != "" {
			t.Errorf("headers differ:\n%s", diff)
		}
		if diff := cmp.Diff(string(wrong.Body), string(other.Body)); diff != "" {
			t.Errorf("bodies differ:\n%s", diff)
		}
	}
}

func TestADisabledAccountIsNamedOnlyToItsOwner(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	before := r.login()
	u, _ := r.svc.FindUser(t.Context(), alice)
	if _, err := r.svc.DisableUser(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	r.do("POST", "/v1/login", object{"identifier": alice, "password": password}).want(403, "user_disabled")
	r.do("POST", "/v1/login", object{"identifier": alice, "password": "not this one"}).want(401, "invalid_credentials")
	r.do("GET", "/v1/me", nil, bearer(before.access)).want(401, "session_revoked")
	a := r.refresh(before.refresh).want(401, "session_revoked")
	if a.text("session_end") != "user_disabled" {
		t.Errorf("got %s", a.Body)
	}
}

func TestLogoutByEitherToken(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	for name, send := range map[string]func(tokens) *answer{
		"the access token in a header":  func(tk tokens) *answer { return r.do("POST", "/v1/logout", nil, bearer(tk.access)) },
		"the refresh token in the body": func(tk tokens) *answer { return r.do("POST", "/v1/logout", object{"refresh_token": tk.refresh}) },
		"the refresh token in a header": func(tk tokens) *answer {
			return r.do("POST", "/v1/logout", nil, header("Refresh-Token", tk.refresh))
		},
		"the access cookie": func(tk tokens) *answer { return r.do("POST", "/v1/logout", nil, tokens{access: tk.access}.asCookies()) },
		"the refresh cookie": func(tk tokens) *answer {
			return r.do("POST", "/v1/logout", nil, tokens{refresh: tk.refresh}.asCookies())
		},
		"an expired access token and a good refresh token": func(tk tokens) *answer {
			r.clock.advance(11 * time.Minute)
			return r.do("POST", "/v1/logout", nil, tk.asCookies())
		},
	} {
		t.Run(name, func(t *testing.T) {
			tk := r.login()
			a := send(tk).want(204)
			wantCleared(t, a)
			end := r.refresh(tk.refresh).want(401, "session_revoked")
			if end.text("session_end") != "logout" {
				t.Errorf("got %s", end.Body)
			}
			send(tk).want(204) // gone already is no error
		})
	}
}

func wantCleared(t *testing.T, a *answer) {
	t.Helper()
	got := slices.Clone(a.Header.Values("Set-Cookie"))
	want := []string{
		atCookie + "=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
		rtCookie + "=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("cookies:\n%s", diff)
	}
}

func TestLogoutWithoutASessionClearsTheCookiesAllTheSame(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	wantCleared(t, r.do("POST", "/v1/logout", nil).want(401, "access_token_invalid"))
	wantCleared(t, r.do("POST", "/v1/logout", nil, tokens{refresh: "bjr_junk"}.asCookies()).want(401, "refresh_token_malformed"))
}

func TestOnlyLogoutRemovesCookies(t *testing.T) {
	t.Parallel()
	r := newUserRig(t, func(s *setup) { s.RotationGrace = time.Second })
	login := func() tokens { return r.login() }
	dead := login()
	r.do("POST", "/v1/logout", nil, bearer(dead.access)).want(204)
	expired := login()
	r.clock.advance(15 * 24 * time.Hour)
	for name, tk := range map[string]tokens{"ended": dead, "expired": expired, "malformed": {access: "x", refresh: "y"}} {
		for _, route := range []string{"POST /v1/refresh", "GET /v1/me", "GET /v1/sessions", "POST /v1/logout-all", "POST /v1/password", "GET /forward-auth", "GET /forward-auth?login=redirect"} {
			method, path, _ := strings.Cut(route, " ")
			a := r.do(method, path, nil, tk.asCookies()).want(401)
			if len(a.cookies()) > 0 {
				t.Errorf("%s with %s tokens: got cookies %v", route, name, a.cookies())
			}
		}
	}
}

func TestCookiesAreSecureOnPlainHTTPToo(t *testing.T) {
	t.Parallel()
	r := newUserRig(t, func(s *setup) { s.Issuer = "http://localhost:8080" })
	a := r.do("POST", "/v1/login", object{"identifier": alice, "password": password, "transport": "cookie"}).want(200)
	if c := a.cookie(atCookie); c == nil || !c.Secure || c.SameSite != http.SameSiteLaxMode || c.Domain != "" {
		t.Errorf("got %v", c)
	}
	if a.Header.Get("Strict-Transport-Security") != "" {
		t.Error("plain http with HSTS")
	}
	secure := newRig(t)
	secure.do("GET", "/healthz", nil).want(200).wantHeader("Strict-Transport-Security", "max-age=63072000")
}

func TestSessionLimitNamesItself(t *testing.T) {
	t.Parallel()
	r := newUserRig(t, func(s *setup) { s.SessionLimit = 1 })
	old := r.login(header("Device-Id", "one"))
	r.clock.advance(time.Second)
	r.login(header("Device-Id", "two"))
	if a := r.refresh(old.refresh, header("Device-Id", "one")).want(401, "session_revoked"); a.text("session_end") != string(bitjang.EndedByLimit) {
		t.Errorf("got %s", a.Body)
	}
}
