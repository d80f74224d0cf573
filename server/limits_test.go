package server_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// wantLimited checks what a refusal for coming too often has in its header.
func wantLimited(t *testing.T, header http.Header, limit, wait, policy string) {
	t.Helper()
	for name, want := range map[string]string{
		"Retry-After": wait, "RateLimit": fmt.Sprintf("%q;r=0;t=%s", limit, wait), "RateLimit-Policy": fmt.Sprintf("%q;%s", limit, policy), "Cache-Control": "no-store",
	} {
		if got := header.Get(name); got != want {
			t.Errorf("got %s: %s, want %s", name, got, want)
		}
	}
}

func TestWhatComesTooOftenIsToldWhenToComeAgain(t *testing.T) {
	t.Parallel()
	r, _ := mailRig(t)
	tk := r.login()
	r.store.full.Store(true)
	network, mails, links := "q=300;w=1500", "q=50;w=3000", "q=100;w=1000"
	for _, tt := range []struct {
		path   string
		body   object
		limit  string
		policy string
	}{
		{"/v1/login", object{"identifier": alice, "password": password}, "login_network", network},
		{"/v1/signup", object{"email": "new@example.com", "password": password}, "signup", "q=50;w=3000"},
		{"/v1/login/link", object{"email": alice, "device": object{"id": "device"}}, "mail_network", mails},
		{"/v1/login/link/use", object{"token": aLink, "device": object{"id": "device"}}, "link", links},
		{"/v1/password/forgot", object{"email": alice}, "mail_network", mails},
		{"/v1/password/reset", object{"token": aLink, "password": password}, "link", links},
		{"/v1/email", object{"email": carol, "password": password}, "mail_network", mails},
		{"/v1/email/confirm", object{"token": aLink}, "link", links},
		{"/v1/email/verify", object{"token": aLink}, "link", links},
		{"/v1/email/verify/send", object{}, "mail_network", mails},
		{"/v1/password", object{"current_password": password, "new_password": password + "!"}, "password", "q=5;w=150"},
		{"/v1/me/delete", object{"password": password}, "password", "q=5;w=150"},
	} {
		t.Run(tt.path, func(t *testing.T) {
			a := r.do("POST", tt.path, tt.body, bearer(tk.access)).want(429, "too_many_attempts")
			wantLimited(t, a.Header, tt.limit, "90", tt.policy)
		})
	}
	r.store.full.Store(false)
	r.login()
}

func TestATightLoopOfRefreshesIsTheSessionsAlone(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	tk, other := r.login(), r.login()
	for range 60 {
		tk = r.refresh(tk.refresh).tokens()
	}
	wantLimited(t, r.refresh(tk.refresh).want(429, "too_many_attempts").Header, "refresh", "1", "q=60;w=60")
	a := r.do("GET", "/forward-auth", nil, tokens{refresh: tk.refresh}.asCookies()).want(429, "too_many_attempts")
	if a.Header.Get("Set-Cookie") != "" {
		t.Error("a refusal touched a cookie")
	}
	r.refresh(other.refresh).want(200)
}

// TestGuessesFromManyAddressesBehindAProxy sends what a proxy on this machine
// would: the addresses are the clients' word only as far as the proxy vouches.
func TestGuessesFromManyAddressesBehindAProxy(t *testing.T) {
	t.Parallel()
	r := newUserRig(t, func(s *setup) { s.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	from := func(n int) mod {
		return func(req *http.Request) {
			req.RemoteAddr = "127.0.0.1:40000"
			req.Header.Set("X-Forwarded-For", fmt.Sprintf("6.6.6.6, 10.%d.0.1", n))
		}
	}
	guess := func(n int, password string) *answer {
		return r.do("POST", "/v1/login", object{"identifier": alice, "password": password}, from(n))
	}
	known := r.do("POST", "/v1/login", object{"identifier": alice, "password": password, "device": object{"id": strings.Repeat("k", 26)}}, from(200))
	known.want(200)
	for n := range 5 {
		guess(n, "wrong password").want(401, "invalid_credentials")
	}
	wantLimited(t, guess(6, "wrong password").want(429, "too_many_attempts").Header, "login_account", "30", "q=5;w=150")
	guess(7, password).want(429, "too_many_attempts")
	r.do("POST", "/v1/login", object{"identifier": alice, "password": password, "device": object{"id": strings.Repeat("k", 26)}}, from(7)).want(200)
}

func TestPagesSayHowLongToWait(t *testing.T) {
	t.Parallel()
	r, _, visit := pageRig(t)
	r.store.full.Store(true)
	for lang, want := range map[string]string{"en": "Please wait 2 minutes and try again.", "ko": "2분 뒤에 다시 시도해 주십시오."} {
		s := visit(lang, browser).send("POST", "/login", url.Values{"email": {alice}, "password": {password}})
		if s.status != http.StatusTooManyRequests || !strings.Contains(s.body, want) {
			t.Errorf("the page in %s has status %d and does not say %q", lang, s.status, want)
		}
		wantLimited(t, s.header, "login_network", "90", "q=300;w=1500")
	}
}

func TestLimitsCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	r := newUserRig(t, func(s *setup) { s.NoRateLimits = true })
	r.store.full.Store(true)
	r.login()
}
