package server_test

import (
	"strings"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
)

func TestRefreshAnswersTheWayItWasAsked(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	tk := r.login()

	body := r.refresh(tk.refresh).want(200)
	if len(body.cookies()) != 0 || body.text("refresh_token") == tk.refresh || body.text("session_id") != tk.session {
		t.Errorf("by body: got %v %s", body.Header, body.Body)
	}
	tk = body.tokens()
	head := r.do("POST", "/v1/refresh", nil, header("Refresh-Token", tk.refresh)).want(200)
	if len(head.cookies()) != 0 || head.text("refresh_token") == "" {
		t.Errorf("by header: got %v %s", head.Header, head.Body)
	}
	tk = head.tokens()
	jar := r.do("POST", "/v1/refresh", nil, tk.asCookies()).want(200)
	if len(jar.cookies()) != 2 || jar.text("refresh_token")+jar.text("access_token") != "" {
		t.Errorf("by cookie: got %v %s", jar.Header, jar.Body)
	}
	jar.wantHeader("Cache-Control", "private, no-store")
	newer := jar.tokens()
	// A body goes before a header, and that before a cookie.
	mixed := r.do("POST", "/v1/refresh", object{"refresh_token": newer.refresh}, header("Refresh-Token", "junk"), tokens{refresh: "junk"}.asCookies()).want(200)
	if len(mixed.cookies()) != 0 {
		t.Errorf("got cookies %v", mixed.cookies())
	}
	mixed = r.do("POST", "/v1/refresh", nil, header("Refresh-Token", mixed.tokens().refresh), tokens{refresh: "junk"}.asCookies()).want(200)
	r.do("GET", "/v1/me", nil, bearer(mixed.tokens().access)).want(200)
}

func TestRefreshRefusals(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	other := newUserRig(t)

	t.Run("malformed", func(t *testing.T) {
		tk := r.login()
		before := r.store.calls.Load()
		for _, token := range []string{"", "x", "bjr_", tk.access, tk.refresh + "A", tk.refresh[:len(tk.refresh)-1], flip(tk.refresh, 40), flip(tk.refresh, len(tk.refresh)-1), other.login().refresh, strings.Repeat("A", 60000)} {
			r.refresh(token).want(401, "refresh_token_malformed")
		}
		if n := r.store.calls.Load() - before; n != 0 {
			t.Errorf("the store was asked %d times", n)
		}
		r.refresh(tk.refresh).want(200)
	})
	t.Run("unknown", func(t *testing.T) {
		key := []bitjang.Secret{bitjang.NewMasterKey()}
		with := func(s *setup) { s.MasterKeys = key }
		tk := newUserRig(t, with).login() // a store restored from an older copy does not know it
		r := newUserRig(t, with)
		r.refresh(tk.refresh).want(401, "session_unknown")
	})
	t.Run("expired", func(t *testing.T) {
		r := newUserRig(t)
		tk := r.login()
		r.clock.advance(14*24*time.Hour - time.Millisecond)
		tk = r.refresh(tk.refresh).tokens()
		r.clock.advance(14 * 24 * time.Hour)
		r.refresh(tk.refresh).want(401, "session_expired")
	})
	t.Run("expired for good, however often it was refreshed", func(t *testing.T) {
		r := newUserRig(t, func(s *setup) { s.SessionTTL, s.RefreshTTL = 3*time.Hour, 2*time.Hour })
		tk := r.login()
		for range 2 {
			r.clock.advance(time.Hour)
			tk = r.refresh(tk.refresh).tokens()
		}
		r.clock.advance(time.Hour)
		r.refresh(tk.refresh).want(401, "session_expired")
	})
	t.Run("revoked", func(t *testing.T) {
		tk := r.login()
		r.do("POST", "/v1/logout", nil, bearer(tk.access)).want(204)
		if a := r.refresh(tk.refresh).want(401, "session_revoked"); a.text("session_end") != "logout" {
			t.Errorf("got %s", a.Body)
		}
	})
	t.Run("reused", func(t *testing.T) {
		old := r.login()
		now := r.refresh(r.refresh(old.refresh).tokens().refresh).tokens()
		r.clock.advance(time.Minute)
		a := r.refresh(old.refresh).want(401, "refresh_token_reused")
		if a.text("session_end") != "refresh_token_reuse" {
			t.Errorf("got %s", a.Body)
		}
		r.refresh(now.refresh).want(401, "session_revoked")
		r.do("GET", "/v1/me", nil, bearer(now.access)).want(401, "session_revoked")
	})
	t.Run("retried at once from another device", func(t *testing.T) {
		tk := r.login(agent(browser))
		r.refresh(tk.refresh, agent(browser)).want(200)
		a := r.refresh(tk.refresh, agent(otherBrowser)).want(401, "refresh_token_reused")
		if a.text("session_end") != "retry_from_other_device" {
			t.Errorf("got %s", a.Body)
		}
	})
	t.Run("superseded", func(t *testing.T) {
		old := r.login()
		now := r.refresh(r.refresh(old.refresh).tokens().refresh).tokens()
		a := r.do("POST", "/v1/refresh", nil, old.asCookies()).want(409, "refresh_superseded")
		if len(a.cookies()) != 0 {
			t.Errorf("got cookies %v", a.cookies())
		}
		r.refresh(now.refresh).want(200)
	})
}

// flip changes one character of a token.
func flip(token string, i int) string {
	c := "A"
	if token[i] == 'A' {
		c = "B"
	}
	return token[:i] + c + token[i+1:]
}

func TestALostAnswerIsMadeGoodLongAfter(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	tk := r.refresh(r.login().refresh).tokens()
	r.refresh(tk.refresh).want(200) // lost on the way
	r.clock.advance(72 * time.Hour)
	r.refresh(tk.refresh).want(200)
}

func TestAHeldSessionSaysWhereToGoAndHowToEndIt(t *testing.T) {
	t.Parallel()
	r := newUserRig(t, func(s *setup) { s.OnReuse, s.LoginURL = bitjang.HoldOnReuse, "https://app.example.com/in" })
	old := r.login()
	now := r.refresh(r.refresh(old.refresh).tokens().refresh).tokens()
	r.clock.advance(time.Minute)
	for _, a := range []*answer{
		r.refresh(old.refresh), r.refresh(now.refresh),
		r.do("GET", "/forward-auth", nil, now.asCookies()).wantHeader("X-Auth-Reason", "step_up_required"),
		r.do("GET", "/v1/me", nil, bearer(now.access)), r.do("PATCH", "/v1/me", object{"name": "x"}, bearer(now.access)),
		r.do("GET", "/v1/sessions", nil, bearer(now.access)), r.do("GET", "/v1/activity", nil, bearer(now.access)),
		r.do("PATCH", "/v1/sessions/"+now.session, object{"name": "x"}, bearer(now.access)), r.do("DELETE", "/v1/sessions/"+now.session, nil, bearer(now.access)),
		r.do("POST", "/v1/logout-all", nil, bearer(now.access)),
		r.do("POST", "/v1/password", object{"current_password": password, "new_password": "another good one"}, bearer(now.access)),
		r.do("POST", "/v1/email", object{"email": carol, "password": password}, bearer(now.access)), r.do("POST", "/v1/email/verify/send", nil, bearer(now.access)),
		r.do("POST", "/v1/me/delete", object{"password": password}, bearer(now.access)), r.do("GET", "/v1/me/export", nil, bearer(now.access)),
		r.do("POST", "/v1/sessions/"+now.session+"/disown", nil, bearer(now.access)),
		r.do("POST", "/v1/step-up", object{}, bearer(now.access)), r.do("GET", "/v1/factors", nil, bearer(now.access)),
		r.do("POST", "/v1/factors/totp/begin", nil, bearer(now.access)), r.do("POST", "/v1/factors/passkey/begin", nil, bearer(now.access)),
		r.do("POST", "/v1/factors/totp/confirm", object{}, bearer(now.access)), r.do("POST", "/v1/factors/passkey/confirm", object{}, bearer(now.access)),
		r.do("POST", "/v1/recovery-codes", nil, bearer(now.access)),
		r.do("PATCH", "/v1/factors/x", object{}, bearer(now.access)), r.do("DELETE", "/v1/factors/x", nil, bearer(now.access)),
	} {
		a.want(403, "step_up_required")
		if got := a.text("step_up_url"); got != "https://id.example.com/login/step-up" || !strings.HasPrefix(a.text("challenge"), "bjc_") {
			t.Errorf("got step_up_url %q", got)
		}
	}
	var held struct{ Sessions []object }
	fresh := r.login()
	r.do("GET", "/v1/sessions", nil, bearer(fresh.access)).want(200).decode(&held)
	states := map[any]any{}
	for _, s := range held.Sessions {
		states[s["id"]] = s["state"]
	}
	if states[now.session] != "held" || states[fresh.session] != "active" {
		t.Errorf("got states %v", states)
	}
	r.do("POST", "/v1/logout", object{"refresh_token": now.refresh}).want(204)
	r.refresh(now.refresh).want(401, "session_revoked")
}

func TestAnEndedSessionIsRefusedAtOnceEverywhere(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	tk, other := r.login(), r.login()
	r.do("DELETE", "/v1/sessions/"+tk.session, nil, bearer(other.access)).want(204)
	wantRefusedEverywhere(t, r, tk.access, "session_revoked")

	key := []bitjang.Secret{bitjang.NewMasterKey()}
	here := newUserRig(t, func(s *setup) { s.MasterKeys = key })
	wantRefusedEverywhere(t, here, newUserRig(t, func(s *setup) { s.MasterKeys = key }).login().access, "access_token_invalid") // another server's
	tk = here.login()
	here.clock.advance(11 * time.Minute)
	wantRefusedEverywhere(t, here, tk.access, "access_token_invalid")
}

// authenticated are the endpoints that need an access token.
func authenticated(session string) []string {
	return []string{
		"GET /v1/me", "PATCH /v1/me", "GET /v1/sessions", "PATCH /v1/sessions/" + session, "DELETE /v1/sessions/" + session,
		"GET /v1/activity", "POST /v1/logout-all", "POST /v1/password", "GET /forward-auth",
		"POST /v1/sessions/" + session + "/disown", "GET /v1/me/export", "POST /v1/me/delete", "POST /v1/email", "POST /v1/email/verify/send",
		"POST /v1/step-up", "GET /v1/factors", "POST /v1/factors/totp/begin", "POST /v1/factors/totp/confirm", "POST /v1/factors/passkey/begin",
		"POST /v1/factors/passkey/confirm", "POST /v1/recovery-codes", "PATCH /v1/factors/x", "DELETE /v1/factors/x",
	}
}

func wantRefusedEverywhere(t *testing.T, r *rig, access, code string) {
	t.Helper()
	for _, route := range authenticated("00000000-0000-4000-8000-000000000000") {
		method, path, _ := strings.Cut(route, " ")
		a := r.do(method, path, nil, bearer(access)).want(401, code)
		a.wantHeader("WWW-Authenticate", `Bearer realm="bitjang", error="invalid_token"`)
		r.do(method, path, nil, tokens{access: access}.asCookies()).want(401, code)
	}
}

func TestAccessTokensOfSessionsThatAreNoMore(t *testing.T) {
	t.Parallel()
	long := func(s *setup) {
		s.AccessTTL, s.RefreshTTL, s.SessionTTL, s.SessionRetention = time.Hour, time.Minute, 2*time.Minute, time.Minute
	}
	t.Run("an expired session", func(t *testing.T) {
		r := newUserRig(t, long, func(s *setup) { s.AccessTTL = 24 * time.Hour })
		tk := r.login()
		r.clock.advance(time.Minute)
		r.do("GET", "/v1/me", nil, bearer(tk.access)).want(200) // the third of the four cases
		r.clock.advance(time.Minute)
		wantRefusedEverywhere(t, r, tk.access, "session_expired") // it never outlives the session
		r.clock.advance(time.Minute)
		wantRefusedEverywhere(t, r, tk.access, "access_token_invalid")
	})
	t.Run("a session that expired while it was held", func(t *testing.T) {
		r := newUserRig(t, long, func(s *setup) { s.OnReuse, s.RotationGrace = bitjang.HoldOnReuse, time.Second })
		old := r.login()
		now := r.refresh(r.refresh(old.refresh).tokens().refresh).tokens()
		r.clock.advance(2 * time.Second)
		r.refresh(old.refresh).want(403, "step_up_required")
		r.clock.advance(time.Minute)
		wantRefusedEverywhere(t, r, now.access, "session_revoked")
	})
	t.Run("a session that was swept", func(t *testing.T) {
		r := newUserRig(t, long)
		tk := r.login()
		r.do("POST", "/v1/logout", nil, bearer(tk.access)).want(204)
		r.clock.advance(90 * time.Second)
		if err := r.svc.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantRefusedEverywhere(t, r, tk.access, "session_unknown")
		r.do("POST", "/v1/logout", nil, bearer(tk.access)).want(204)
		r.refresh(tk.refresh).want(401, "session_unknown")
		a := r.do("GET", "/forward-auth", nil, tk.asCookies()).want(401, "session_unknown")
		a.wantHeader("X-Auth-Reason", "session_unknown")
	})
}
