package server_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/server"
)

func TestGuardHandsOverTheIdentity(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	u := r.addUser(alice, "editor")
	g := newGuarded(r, server.GuardOptions{}, nil)
	tk := r.login()
	forged := []mod{header("X-Auth-User", "root"), header("X-Auth-Session", "x"), header("X-Auth-Roles", "root")}
	g.get("/page", forged...).want(401, "access_token_invalid")
	if g.served.Load() != 0 {
		t.Error("a refused request was served")
	}
	check := func(a *answer) {
		t.Helper()
		a.want(200)
		id := g.last.Load()
		if id == nil || id.Session.UserID != u.ID || id.Claims.Subject != u.ID || id.Session.ID.String() != tk.session || id.Claims.SessionID != tk.session {
			t.Errorf("got identity %+v", id)
		}
	}
	check(g.get("/page", append(forged, tk.asCookies())...))
	check(g.get("/page", bearer(tk.access)))
	r.clock.advance(11 * time.Minute)
	check(g.get("/page", tk.asCookies())) // rotated on the way
	if _, ok := server.IdentityFrom(t.Context()); ok {
		t.Error("an empty context has an identity")
	}
}

func TestGuardOptional(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	g := newGuarded(r, server.GuardOptions{Optional: true}, nil)
	tk := r.login()
	for name, m := range map[string]mod{"no tokens": func(*http.Request) {}, "junk": tokens{access: "x", refresh: "y"}.asCookies(), "a bad header": bearer("x"), "forged headers": header("X-Auth-User", "root")} {
		if a := g.get("/page", m).want(200); g.last.Load() != nil || len(a.cookies()) != 0 {
			t.Errorf("%s: got identity %v, cookies %v", name, g.last.Load(), a.cookies())
		}
	}
	g.get("/page", tk.asCookies()).want(200)
	if g.last.Load() == nil {
		t.Error("got no identity")
	}
	r.clock.advance(11 * time.Minute)
	if a := g.get("/page", tk.asCookies()).want(200); g.last.Load() == nil || len(a.cookies()) != 2 {
		t.Errorf("got identity %v, cookies %v", g.last.Load(), a.cookies())
	}
}

func TestGuardLetsStaticPathsPassUntouched(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	tk := r.login()
	r.clock.advance(11 * time.Minute)
	g := newGuarded(r, server.GuardOptions{Static: []string{"/static/", "/favicon.ico"}}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=3600")
	})
	before := r.store.calls.Load()
	for _, path := range []string{"/static/app.js", "/static/", "/favicon.ico", "/static/a/b?c=/../d"} {
		a := g.get(path, tk.asCookies()).want(200).wantHeader("Cache-Control", "public, max-age=3600")
		if len(a.cookies()) != 0 {
			t.Errorf("%s: got cookies %v", path, a.cookies())
		}
	}
	if n := r.store.calls.Load() - before; n != 0 {
		t.Errorf("the store was asked %d times", n)
	}
	for _, path := range []string{"/static", "/static/../account", "/static/%2e%2e/account", "/static/..%2faccount", `/static/..\account`, "/static/./../account", "/static//../../account", "/static/..;/account", "/Static/app.js", "//static/app.js", "/x/static/app.js"} {
		if a := g.get(path); a.Status != 401 {
			t.Errorf("%s: got status %d, want 401", path, a.Status)
		}
	}
}

func TestGuardKeepsCachesAwayFromCookies(t *testing.T) {
	t.Parallel()
	public := func(w http.ResponseWriter) {
		w.Header().Set("Cache-Control", "public, max-age=3600")
		w.Header().Set("CDN-Cache-Control", "max-age=3600")
		w.Header().Set("Surrogate-Control", "max-age=3600")
		w.Header().Set("X-Accel-Expires", "3600")
	}
	for name, app := range map[string]http.HandlerFunc{
		"writes a body":   func(w http.ResponseWriter, _ *http.Request) { public(w); _, _ = io.WriteString(w, "hello") },
		"writes a status": func(w http.ResponseWriter, _ *http.Request) { public(w); w.WriteHeader(http.StatusNotModified) },
		"writes nothing":  func(w http.ResponseWriter, _ *http.Request) { public(w) },
		"copies a stream": func(w http.ResponseWriter, _ *http.Request) { public(w); _, _ = io.Copy(w, strings.NewReader("hello")) },
		"serves a file": func(w http.ResponseWriter, r *http.Request) {
			public(w)
			http.ServeContent(w, r, "x.txt", time.Time{}, strings.NewReader("hello"))
		},
		"flushes the old way": func(w http.ResponseWriter, _ *http.Request) {
			public(w)
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, "hello")
		},
		"flushes the new way": func(w http.ResponseWriter, _ *http.Request) {
			public(w)
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, "hello")
		},
		"hints first": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			public(w)
			_, _ = io.WriteString(w, "hello")
		},
		"redirects": func(w http.ResponseWriter, r *http.Request) {
			public(w)
			http.Redirect(w, r, "/x", http.StatusMovedPermanently)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newUserRig(t)
			tk := r.login()
			srv := httptest.NewServer(newGuarded(r, server.GuardOptions{}, app).h)
			defer srv.Close()
			get := func() *http.Response {
				req, _ := http.NewRequestWithContext(t.Context(), "GET", srv.URL, nil)
				tk.asCookies()(req)
				agent(browser)(req)
				resp, err := http.DefaultTransport.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				return resp
			}
			if got := get().Header.Get("Cache-Control"); got != "public, max-age=3600" {
				t.Errorf("without cookies: got Cache-Control %q", got)
			}
			r.clock.advance(11 * time.Minute)
			resp := get()
			if got := resp.Header.Values("Cache-Control"); len(resp.Cookies()) != 2 || len(got) != 1 || got[0] != "private, no-store" {
				t.Errorf("got %d cookies with Cache-Control %q", len(resp.Cookies()), got)
			}
			for _, name := range []string{"CDN-Cache-Control", "Surrogate-Control", "X-Accel-Expires"} {
				if got := resp.Header.Get(name); got != "" {
					t.Errorf("got %s %q beside cookies", name, got)
				}
			}
		})
	}
}

func TestGuardKeepsCachesAwayFromTheHandlersOwnCookies(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	g := newGuarded(r, server.GuardOptions{Optional: true}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "public")
		http.SetCookie(w, &http.Cookie{Name: "basket", Value: "7"})
		_, _ = io.WriteString(w, "a")
		_, _ = io.WriteString(w, "b")
	})
	if a := g.get("/").want(200).wantHeader("Cache-Control", "private, no-store"); string(a.Body) != "ab" {
		t.Errorf("got body %q", a.Body)
	}
}

func TestGuardLeavesTheResponseController(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	var failure error
	g := newGuarded(r, server.GuardOptions{Optional: true}, func(w http.ResponseWriter, _ *http.Request) {
		c := http.NewResponseController(w)
		failure = errors.Join(c.SetReadDeadline(time.Now().Add(time.Minute)), c.SetWriteDeadline(time.Now().Add(time.Minute)))
		conn, buf, err := c.Hijack()
		if failure = errors.Join(failure, err); err == nil {
			_, _ = buf.WriteString("HTTP/1.1 101 Switching Protocols\r\n\r\n")
			_ = buf.Flush()
			_ = conn.Close()
		}
	})
	srv := httptest.NewServer(g.h)
	defer srv.Close()
	resp, err := http.Get(srv.URL)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols || failure != nil {
		t.Errorf("got %v, %v, %v", resp, err, failure)
	}
}

func TestGuardRefusedIsAskedAboutRefusalsOnly(t *testing.T) {
	t.Parallel()
	r := newUserRig(t, func(s *setup) { s.OnReuse = bitjang.HoldOnReuse })
	var refusal error
	g := newGuarded(r, server.GuardOptions{Refused: func(w http.ResponseWriter, req *http.Request, err error) {
		refusal = err
		http.Redirect(w, req, "/login", http.StatusSeeOther)
	}}, nil)
	a := g.get("/page").want(303).wantHeader("Location", "/login")
	if !errors.Is(refusal, bitjang.ErrAccessToken) || len(a.cookies()) != 0 {
		t.Errorf("got refusal %v, cookies %v", refusal, a.cookies())
	}
	old := r.login()
	now := r.refresh(r.refresh(old.refresh).tokens().refresh).tokens()
	g.get("/page", tokens{refresh: old.refresh}.asCookies()).want(303)
	if !errors.Is(refusal, bitjang.ErrSuperseded) {
		t.Errorf("got refusal %v", refusal)
	}
	r.clock.advance(time.Minute)
	r.refresh(old.refresh).want(403, "step_up_required")
	g.get("/page", now.asCookies()).want(303)
	if !errors.Is(refusal, bitjang.ErrStepUpRequired) || g.served.Load() != 0 {
		t.Errorf("got refusal %v", refusal)
	}
}

func TestGuardSeesTheClientBehindATrustedProxy(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	g := newGuarded(r, server.GuardOptions{TrustedProxies: prefixes("10.0.0.0/8")}, nil)
	tk := r.login()
	r.clock.advance(11 * time.Minute)
	tk = g.get("/page", tk.asCookies(), peer("10.0.0.1:1"), header("X-Forwarded-For", "203.0.113.7")).tokens()
	if a := r.do("GET", "/v1/sessions", nil, tk.asCookies()).want(200); !strings.Contains(string(a.Body), `"ip":"203.0.113.7"`) {
		t.Errorf("got %s", a.Body)
	}
}
