package server_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/server"
)

func TestAStoreThatIsDownLogsNobodyOut(t *testing.T) {
	t.Parallel()
	r, _ := mailRig(t, func(s *setup) { s.OnReuse, s.Passkeys = bitjang.HoldOnReuse, relyingParty() })
	stolen := r.login()
	r.refresh(r.refresh(stolen.refresh).tokens().refresh)
	r.clock.advance(time.Minute)
	challenge := r.refresh(stolen.refresh).want(403, "step_up_required").text("challenge")
	tk := r.login()
	confirmed := r.refresh(tk.refresh).tokens() // presenting this one is the usual case, tk the unusual
	for _, tt := range []struct {
		route string
		body  any
		mods  []mod
	}{
		{"POST /v1/signup", object{"email": "b@example.com", "password": password}, nil},
		{"POST /v1/login", object{"identifier": alice, "password": password}, nil},
		{"POST /v1/login", object{"identifier": alice, "password": password, "transport": "cookie"}, nil},
		{"POST /v1/login", object{"identifier": "nobody@example.com", "password": password}, nil},
		{"POST /v1/refresh", object{"refresh_token": confirmed.refresh}, nil},
		{"POST /v1/refresh", object{"refresh_token": tk.refresh}, nil},
		{"POST /v1/refresh", nil, []mod{confirmed.asCookies()}},
		{"POST /v1/logout", nil, []mod{confirmed.asCookies()}},
		{"POST /v1/logout", nil, []mod{bearer(tk.access)}},
		{"POST /v1/logout", object{"refresh_token": tk.refresh}, nil},
		{"POST /v1/logout-all", nil, []mod{tk.asCookies()}},
		{"GET /v1/sessions", nil, []mod{bearer(tk.access)}},
		{"PATCH /v1/sessions/" + tk.session, object{"name": "x"}, []mod{bearer(tk.access)}},
		{"DELETE /v1/sessions/" + tk.session, nil, []mod{tk.asCookies()}},
		{"GET /v1/me", nil, []mod{bearer(tk.access)}},
		{"PATCH /v1/me", object{"name": "x"}, []mod{bearer(tk.access)}},
		{"POST /v1/password", object{"current_password": password, "new_password": "a new and better one"}, []mod{tk.asCookies()}},
		{"GET /v1/activity", nil, []mod{bearer(tk.access)}},
		{"POST /v1/password/forgot", object{"email": alice}, nil},
		{"POST /v1/password/forgot", object{"email": "nobody@example.com"}, nil},
		{"POST /v1/password/reset", object{"token": aLink, "password": "a new and better one"}, nil},
		{"POST /v1/login/link", object{"email": alice}, nil},
		{"POST /v1/login/link/use", object{"token": aLink}, []mod{header("Device-Id", "laptop")}},
		{"POST /v1/email", object{"email": carol, "password": password}, []mod{bearer(tk.access)}},
		{"POST /v1/email/confirm", object{"token": aLink}, nil},
		{"POST /v1/email/verify", object{"token": aLink}, nil},
		{"POST /v1/email/verify/send", nil, []mod{bearer(tk.access)}},
		{"POST /v1/sessions/" + tk.session + "/disown", nil, []mod{bearer(tk.access)}},
		{"POST /v1/me/delete", object{"password": password}, []mod{bearer(tk.access)}},
		{"POST /v1/login/verify", object{"challenge": challenge, "factor": "email", "code": "000000"}, nil},
		{"POST /v1/login/code", object{"challenge": challenge}, nil},
		{"POST /v1/step-up", object{"max_age": 0}, []mod{bearer(tk.access)}},
		{"GET /v1/factors", nil, []mod{bearer(tk.access)}},
		{"POST /v1/factors/totp/begin", nil, []mod{bearer(tk.access)}},
		{"POST /v1/factors/totp/confirm", object{}, []mod{bearer(tk.access)}},
		{"POST /v1/factors/passkey/begin", nil, []mod{bearer(tk.access)}},
		{"POST /v1/factors/passkey/confirm", object{}, []mod{bearer(tk.access)}},
		{"POST /v1/recovery-codes", nil, []mod{bearer(tk.access)}},
		{"PATCH /v1/factors/x", object{"name": "x"}, []mod{bearer(tk.access)}},
		{"DELETE /v1/factors/x", nil, []mod{bearer(tk.access)}},
		{"GET /v1/me/export", nil, []mod{bearer(tk.access)}},
		{"GET /forward-auth", nil, []mod{tk.asCookies()}},
		{"GET /forward-auth", nil, []mod{tokens{refresh: confirmed.refresh}.asCookies()}},
		{"GET /forward-auth?login=redirect", nil, []mod{tk.asCookies(), header("Sec-Fetch-Mode", "navigate")}},
		{"GET /readyz", nil, nil},
	} {
		t.Run(tt.route, func(t *testing.T) {
			r.store.down.Store(true)
			defer r.store.down.Store(false)
			method, path, _ := strings.Cut(tt.route, " ")
			a := r.do(method, path, tt.body, tt.mods...).want(503, "store_unavailable")
			a.wantHeader("Retry-After", "1")
			if len(a.cookies()) != 0 {
				t.Errorf("got cookies %v", a.cookies())
			}
			if strings.HasPrefix(path, "/forward-auth") {
				a.wantHeader("X-Auth-Reason", "store_unavailable")
			}
		})
	}
	r.store.down.Store(true)
	r.do("GET", "/healthz", nil).want(200)
	r.do("GET", "/.well-known/jwks.json", nil).want(200)
	r.store.down.Store(false)
	r.do("GET", "/readyz", nil).want(200)
	r.refresh(r.refresh(confirmed.refresh).tokens().refresh).want(200)
}

func TestGuardAndAStoreThatIsDown(t *testing.T) {
	t.Parallel()
	for name, optional := range map[string]bool{"required": false, "optional": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newUserRig(t)
			tk := r.login()
			g := newGuarded(r, server.GuardOptions{Optional: optional, Refused: func(http.ResponseWriter, *http.Request, error) {
				t.Error("an outage is reported as a refusal")
			}}, nil)
			r.store.down.Store(true)
			for _, m := range []mod{tk.asCookies(), tokens{refresh: tk.refresh}.asCookies(), bearer(tk.access)} {
				a := g.get("/page", m).want(503, "store_unavailable").wantHeader("Retry-After", "1")
				if len(a.cookies()) != 0 || g.served.Load() != 0 {
					t.Errorf("got cookies %v and %d requests served", a.cookies(), g.served.Load())
				}
			}
			r.store.down.Store(false)
			g.get("/page", tk.asCookies()).want(200)
		})
	}
}

func TestAStoreThatHangsIsNotWaitedForLong(t *testing.T) {
	t.Parallel()
	r := newUserRig(t, func(s *setup) { s.Timeout = 50 * time.Millisecond })
	g := newGuarded(r, server.GuardOptions{Timeout: 50 * time.Millisecond}, nil)
	tk, err := r.svc.Login(t.Context(), bitjang.LoginInput{Identifier: alice, Password: bitjang.NewSecret(password)}) // without the limit
	if err != nil {
		t.Fatal(err)
	}
	r.store.stall.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	patience := func(r *http.Request) { *r = *r.WithContext(ctx) }
	r.do("GET", "/v1/me", nil, bearer(tk.Access.Reveal()), patience).want(503, "store_unavailable")
	g.get("/page", bearer(tk.Access.Reveal()), patience).want(503, "store_unavailable")
	if ctx.Err() != nil {
		t.Error("the caller had to give up first")
	}
}

func TestAPanicIsAnswered500WithoutDetails(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	r := newUserRig(t, func(s *setup) { s.Options.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	tk := r.login()
	r.store.panic.Store(true)
	for _, route := range authenticated(tk.session) {
		method, path, _ := strings.Cut(route, " ")
		a := r.do(method, path, nil, bearer(tk.access)).want(500, "internal")
		if strings.Contains(string(a.Body), "panic") || strings.Contains(string(a.Body), ".go") {
			t.Errorf("got %s", a.Body)
		}
	}
	r.store.panic.Store(false)
	r.do("GET", "/v1/me", nil, bearer(tk.access)).want(200)
	if text := log.String(); !strings.Contains(text, "the store is in panic") || strings.Contains(text, tk.access) {
		t.Errorf("got log %s", text)
	}
}

func TestAnAbortIsLeftToTheServer(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	tk := r.login()
	r.store.abort.Store(true)
	defer func() {
		if p := recover(); p != http.ErrAbortHandler {
			t.Errorf("got %v, want http.ErrAbortHandler", p)
		}
	}()
	req := httptest.NewRequest("GET", "/v1/me", nil)
	bearer(tk.access)(req)
	r.h.ServeHTTP(httptest.NewRecorder(), req)
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestTheLogHoldsNoSecrets(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r := newUserRig(t, func(s *setup) { s.Options.Logger, s.Config.Logger = logger, logger })
	tk := r.login()
	next := r.refresh(tk.refresh).tokens()
	r.do("POST", "/v1/login", object{"identifier": alice, "password": "guess-guess-guess"}).want(401)
	r.do("POST", "/v1/login", `{"identifier":`+password).want(400)
	r.do("GET", "/v1/me?access_token="+tk.access, nil, tk.asCookies(), header("Referer", "https://x/?"+tk.refresh)).want(200)
	r.refresh(next.refresh + "x").want(401)
	r.store.down.Store(true)
	r.refresh(next.refresh).want(503)
	text := log.String()
	for _, secret := range []string{tk.access, tk.refresh, next.access, next.refresh, password, "guess-guess", "?"} {
		if strings.Contains(text, secret) {
			t.Errorf("the log holds %q:\n%s", secret, text)
		}
	}
	if !strings.Contains(text, "secret-host") || strings.Count(text, "request failed") != 4 {
		t.Errorf("the log lacks a cause, or tells it twice:\n%s", text)
	}
}
