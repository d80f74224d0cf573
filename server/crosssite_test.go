package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/server"
)

// changing are all operations that change something, with a session id in place.
func changing() (list []string) {
	for _, rt := range server.Routes() {
		if rt.Audience == "api" && !strings.HasPrefix(rt.Pattern, "GET ") {
			list = append(list, strings.ReplaceAll(rt.Pattern, "{id}", "00000000-0000-4000-8000-000000000000"))
		}
	}
	return list
}

func TestAnotherSitesPageCannotUseTheCookies(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	tk := r.login()
	for _, route := range changing() {
		method, path, _ := strings.Cut(route, " ")
		for name, m := range map[string]mod{
			"Sec-Fetch-Site: cross-site":   header("Sec-Fetch-Site", "cross-site"),
			"Sec-Fetch-Site: same-site":    header("Sec-Fetch-Site", "same-site"),
			"Origin of another site":       header("Origin", "https://evil.example"),
			"Origin of a sandboxed page":   header("Origin", "null"),
			"Origin that only looks alike": header("Origin", "https://id.example.com.evil.example"),
		} {
			t.Run(route+" with "+name, func(t *testing.T) {
				a := r.do(method, "https://id.example.com"+path, object{}, tk.asCookies(), m).want(403, "cross_origin")
				if len(a.cookies()) != 0 {
					t.Errorf("got cookies %v", a.cookies())
				}
			})
		}
	}
	for name, m := range map[string]mod{
		"Sec-Fetch-Site: same-origin": header("Sec-Fetch-Site", "same-origin"),
		"Sec-Fetch-Site: none":        header("Sec-Fetch-Site", "none"),
		"the site's own Origin":       header("Origin", "https://id.example.com"),
		"a program":                   func(*http.Request) {},
	} {
		t.Run("but lets pass "+name, func(t *testing.T) {
			r.do("PATCH", "https://id.example.com/v1/me", object{"name": "x"}, tk.asCookies(), m).want(200)
		})
	}
	r.do("GET", "https://id.example.com/v1/me", nil, tk.asCookies()).want(200)
}

func TestAnotherSitesPageCannotLogIn(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	for _, site := range []string{"cross-site", "same-site"} {
		a := r.do("POST", "/v1/login", object{"identifier": alice, "password": password, "transport": "cookie"}, header("Sec-Fetch-Site", site)).want(403, "cross_origin")
		if len(a.cookies()) != 0 {
			t.Errorf("got cookies %v", a.cookies())
		}
	}
	// A form needs no preflight, so it must not be read as JSON.
	r.do("POST", "/v1/login", `{"identifier":"`+alice+`","password":"`+password+`","transport":"cookie"}`,
		func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }).want(415)
}

func TestCORSIsOffByDefault(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	tk := r.login()
	a := r.do("GET", "/v1/me", nil, tk.asCookies(), header("Origin", "https://app.example.com")).want(200)
	p := r.do("OPTIONS", "/v1/me", nil, header("Origin", "https://app.example.com"), header("Access-Control-Request-Method", "GET"))
	for _, h := range []http.Header{a.Header, p.Header} {
		for name := range h {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("got %s", name)
			}
		}
	}
}

func TestCORSIsForTheConfiguredOriginsExactly(t *testing.T) {
	t.Parallel()
	const app = "https://app.example.com"
	r := newUserRig(t, func(s *setup) { s.CORSOrigins = []string{app, "http://localhost:3000"} })
	tk := r.login()
	for _, origin := range []string{app, "http://localhost:3000"} {
		a := r.do("PATCH", "/v1/me", object{"name": "x"}, tk.asCookies(), header("Origin", origin), header("Sec-Fetch-Site", "same-site")).want(200)
		a.wantHeader("Access-Control-Allow-Origin", origin).wantHeader("Access-Control-Allow-Credentials", "true")
		if !strings.Contains(strings.Join(a.Header.Values("Vary"), ","), "Origin") {
			t.Errorf("got Vary %v", a.Header.Values("Vary"))
		}
		r.do("GET", "/v1/nothing", nil, header("Origin", origin)).want(404).wantHeader("Access-Control-Allow-Origin", origin)
		p := r.do("OPTIONS", "/v1/sessions/x", nil, header("Origin", origin), header("Access-Control-Request-Method", "DELETE"), header("Access-Control-Request-Headers", "authorization,content-type,device-id,refresh-token"))
		p.want(204).wantHeader("Access-Control-Allow-Origin", origin).wantHeader("Access-Control-Allow-Methods", "DELETE").wantHeader("Access-Control-Max-Age", "600")
	}
	for _, origin := range []string{"https://evil.example", "http://app.example.com", "https://app.example.com:8443", "https://app.example.com.evil.example", "https://evil-app.example.com", "https://x.app.example.com", "null", "*"} {
		a := r.do("GET", "/v1/me", nil, tk.asCookies(), header("Origin", origin))
		p := r.do("OPTIONS", "/v1/me", nil, header("Origin", origin), header("Access-Control-Request-Method", "PATCH"))
		if got := a.Header.Get("Access-Control-Allow-Origin") + p.Header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("%s: got Access-Control-Allow-Origin %q", origin, got)
		}
		r.do("PATCH", "/v1/me", object{"name": "x"}, tk.asCookies(), header("Origin", origin), header("Sec-Fetch-Site", "cross-site")).want(403, "cross_origin")
	}
}

func TestNewNamesEveryProblemOfItsOptions(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	origins := []string{"*", "https://*.example.com", "app.example.com", "https://a.example.com/", "https://a.example.com/path", "https://u:p@a.example.com", "null", "", "https://"}
	_, err := server.New(r.svc, server.Options{CORSOrigins: origins, LoginURL: "javascript:alert(1)"})
	if err == nil {
		t.Fatal("got no error")
	}
	if n := strings.Count(err.Error(), "CORSOrigins"); n != len(origins) {
		t.Errorf("got %d problems with origins, want %d: %v", n, len(origins), err)
	}
	if !strings.Contains(err.Error(), "LoginURL") {
		t.Errorf("got %v", err)
	}
	for _, u := range []string{"/login", "//evil.example", "ftp://x/"} {
		if _, err := server.New(r.svc, server.Options{LoginURL: u}); err == nil {
			t.Errorf("LoginURL %q: got no error", u)
		}
	}
}

func TestBeforeTheKeysAreLoadedTheServerIsNotReady(t *testing.T) {
	t.Parallel()
	loaded := newUserRig(t)
	svc, err := bitjang.New(bitjang.Config{Issuer: "https://id.example.com", MasterKeys: []bitjang.Secret{bitjang.NewMasterKey()}, Store: loaded.store})
	if err != nil {
		t.Fatal(err)
	}
	h, err := server.New(svc, server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, svc: svc, h: h}
	r.do("GET", "/healthz", nil).want(200)
	for _, path := range []string{"/readyz", "/.well-known/jwks.json"} {
		r.do("GET", path, nil).want(503, "keys_unavailable")
	}
	for _, route := range authenticated("00000000-0000-4000-8000-000000000000") {
		method, path, _ := strings.Cut(route, " ")
		r.do(method, path, nil, bearer(loaded.login().access)).want(503, "keys_unavailable")
	}
}
