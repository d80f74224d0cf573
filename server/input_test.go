package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/bitjang/bitjang/server"
)

// bodied are the operations that read a body.
var bodied = []string{
	"POST /v1/signup", "POST /v1/login", "POST /v1/refresh", "POST /v1/logout", "POST /v1/logout-all",
	"PATCH /v1/me", "PATCH /v1/sessions/00000000-0000-4000-8000-000000000000", "POST /v1/password",
	"POST /v1/password/forgot", "POST /v1/password/reset", "POST /v1/login/link", "POST /v1/login/link/use",
	"POST /v1/email", "POST /v1/email/confirm", "POST /v1/email/verify", "POST /v1/me/delete",
	"POST /v1/login/verify", "POST /v1/login/code", "POST /v1/login/passkey", "POST /v1/step-up",
	"POST /v1/factors/totp/confirm", "POST /v1/factors/passkey/confirm", "PATCH /v1/factors/x",
}

func TestBodiesThatAreNotJSON(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	tk := r.login()
	for _, route := range bodied {
		method, path, _ := strings.Cut(route, " ")
		for name, body := range map[string]string{
			"malformed": `{"email":`, "trailing garbage": `{} {}`, "more trailing garbage": `{}x`, "not an object": `[]`, "a number": `7`, "a text": `"x"`,
			"not UTF-8": "{\"email\":\"\xff\xfe\"}", "a byte order mark": "\ufeff{}", "UTF-16": "{\x00}\x00", "blank": " ", "a comment": "{} // x", "NUL": "\x00",
			"too deep": strings.Repeat(`{"x":`, 12000),
		} {
			a := r.do(method, path, body, bearer(tk.access)).want(400, "json_malformed")
			if strings.Contains(a.text("detail"), "  ") || strings.Contains(a.text("detail"), "Go ") {
				t.Errorf("%s, %s: got detail %q", route, name, a.text("detail"))
			}
		}
		for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx", "application/json, text/plain", ";", "text/plain; application/json"} {
			r.do(method, path, "{}", bearer(tk.access), func(r *http.Request) {
				r.Header.Del("Content-Type")
				if kind != "" {
					r.Header.Set("Content-Type", kind)
				}
			}).want(415, "media_type_unsupported")
		}
		r.do(method, path, `{"x":"`+strings.Repeat("a", 64<<10)+`"}`, bearer(tk.access)).want(413, "body_too_large")
		r.do(method, path, `{"x":"`+strings.Repeat("a", 64<<10)+`"}`, bearer(tk.access), func(r *http.Request) { r.ContentLength = -1 }).want(413, "body_too_large")
	}
}

func TestMembersOfTheWrongType(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	tk := r.login()
	for route, members := range map[string][]string{
		"POST /v1/signup": {"email", "password", "name"}, "POST /v1/login": {"identifier", "password", "transport", "device"},
		"POST /v1/refresh": {"refresh_token", "device"}, "POST /v1/logout": {"refresh_token"}, "POST /v1/logout-all": {"keep_current"},
		"PATCH /v1/me": {"name"}, "PATCH /v1/sessions/" + tk.session: {"name"}, "POST /v1/password": {"current_password", "new_password", "refresh_token"},
		"POST /v1/password/forgot": {"email"}, "POST /v1/password/reset": {"token", "password"}, "POST /v1/login/link": {"email"}, "POST /v1/login/link/use": {"token", "transport"},
		"POST /v1/email": {"email", "password"}, "POST /v1/email/confirm": {"token"}, "POST /v1/email/verify": {"token"}, "POST /v1/me/delete": {"password"},
		"POST /v1/login/verify": {"challenge", "factor", "code", "refresh_token"}, "POST /v1/login/code": {"challenge"}, "POST /v1/step-up": {"acr"},
		"POST /v1/factors/totp/confirm": {"setup", "code", "name"}, "PATCH /v1/factors/x": {"name"},
	} {
		method, path, _ := strings.Cut(route, " ")
		for _, member := range members {
			for _, value := range []any{7, []string{"x"}} {
				a := r.do(method, path, object{member: value}, bearer(tk.access)).want(400, "json_malformed")
				if !strings.Contains(a.text("detail"), member) {
					t.Errorf("%s: got detail %q, want it to name %s", route, a.text("detail"), member)
				}
			}
		}
	}
	if a := r.do("POST", "/v1/login", object{"device": object{"id": 7}}).want(400, "json_malformed"); !strings.Contains(a.text("detail"), "device.id") {
		t.Errorf("got detail %q", a.text("detail"))
	}
}

func TestBodiesThatAreFine(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	tk := r.login()
	r.do("POST", "/v1/login", fmt.Sprintf(`{"identifier":%q,"password":%q,"unknown":{"deep":[1,2,{}]}}`, alice, password)).want(200)
	r.do("PATCH", "/v1/me", `null`, bearer(tk.access)).want(200)
	r.do("PATCH", "/v1/me", ``, bearer(tk.access)).want(200)
	r.do("PATCH", "/v1/me", "\n{\"name\":\"x\"}\r\n", bearer(tk.access), func(r *http.Request) { r.Header.Set("Content-Type", "Application/JSON; charset=utf-8") }).want(200)
	r.do("POST", "/v1/login", "").want(401, "invalid_credentials")
	r.do("POST", "/v1/signup", "").want(400, "email_invalid")
	r.do("POST", "/v1/password", "", bearer(tk.access)).want(401, "invalid_credentials")
	r.do("POST", "/v1/refresh", "", tk.asCookies()).want(200)
}

func TestBodyLimitAsConfigured(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(s *setup) { s.MaxBody = 100 })
	r.do("POST", "/v1/login", `{"x":"`+strings.Repeat("a", 92)+`"}`).want(401)
	r.do("POST", "/v1/login", `{"x":"`+strings.Repeat("a", 93)+`"}`).want(413)
}

func TestWrongMethodsAndPaths(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	allowed := map[string][]string{}
	for _, rt := range server.Routes() {
		method, path, _ := strings.Cut(rt.Pattern, " ")
		if rt.Audience == "page" || rt.Audience == "front" {
			continue
		}
		path = strings.ReplaceAll(path, "{id}", "x")
		allowed[path] = append(allowed[path], method)
		if method == "GET" {
			allowed[path] = append(allowed[path], "HEAD")
		}
	}
	for path, methods := range allowed {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW", "get"} {
			if slices.Contains(methods, method) {
				continue
			}
			a := r.do(method, path, nil).want(405, "method_not_allowed")
			for _, m := range methods {
				if !slices.Contains(strings.Split(a.Header.Get("Allow"), ", "), m) {
					t.Errorf("%s %s: got Allow %q, want %v", method, path, a.Header.Get("Allow"), methods)
				}
			}
		}
	}
	for _, path := range []string{"/v1", "/v1/", "/v1/login/", "/v1/Login", "/v1/sessions/", "/v1/sessions/a/b", "/v2/login", "/openapi.yaml", "/.well-known/", "/forward-auth/x", "/%00", "/v1/login%2f", "/" + strings.Repeat("a", 60000)} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			r.do(method, path, nil).want(404, "not_found")
		}
	}
}

func TestOddAuthorizationHeaders(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	r.addUser("bob@example.com")
	tk := r.login()
	bob := r.do("POST", "/v1/login", object{"identifier": "bob@example.com", "password": password}).tokens()
	good := func(value string) { r.do("GET", "/v1/me", nil, header("Authorization", value)).want(200) }
	good("Bearer " + tk.access)
	good("bearer " + tk.access)
	good("BEARER " + tk.access)
	for _, value := range []string{
		"", " ", "Bearer", "Bearer ", "Bearer  " + tk.access, "Bearer\t" + tk.access, "Bearer " + tk.access + " ", "Bearer " + tk.access + "," + tk.access, "Bearer null",
		tk.access, "Basic " + tk.access, "Bearer " + tk.refresh, "Bearer" + tk.access, "Token token=" + tk.access, "Bearer ..", "Bearer " + strings.Repeat(".", 50000),
		"Bearer " + strings.Repeat("A", 500000), "Bearer \x00\xff", "Bearer " + flip(tk.access, len(tk.access)-1), "Bearer " + flip(tk.access, 100),
		"Bearer eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0." + strings.Split(tk.access, ".")[1] + ".",
	} {
		for _, route := range authenticated(tk.session) {
			method, path, _ := strings.Cut(route, " ")
			r.do(method, path, nil, header("Authorization", value)).want(401, "access_token_invalid")
		}
	}
	// Two headers speak for the first or for nobody, never for both.
	if a := r.do("GET", "/v1/me", nil, bearer(tk.access), bearer(bob.access)); a.Status == 200 && a.text("email") != alice {
		t.Errorf("got %s", a.Body)
	}
	r.do("GET", "/v1/me", nil, bearer("junk"), bearer(tk.access)).want(401)
	// A header counts before the cookies, even a bad one.
	if a := r.do("GET", "/v1/me", nil, bearer(bob.access), tk.asCookies()).want(200); a.text("email") != "bob@example.com" {
		t.Errorf("got %s", a.Body)
	}
	r.do("GET", "/v1/me", nil, bearer("junk"), tk.asCookies()).want(401)
	// One of another scheme leaves the cookies alone: the proxied site may have its own.
	r.do("GET", "/v1/me", nil, header("Authorization", "Basic YTpi"), tk.asCookies()).want(200)
	// A token in the query is no token (RFC 6750 section 2.3 is not for us).
	r.do("GET", "/v1/me?access_token="+tk.access, nil).want(401, "access_token_invalid")
}

func TestTheChallengeNamesAnErrorOnlyToWhoSentAToken(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	const plain, invalid = `Bearer realm="bitjang"`, `Bearer realm="bitjang", error="invalid_token"`
	for _, path := range []string{"/v1/me", "/forward-auth"} {
		r.do("GET", path, nil).want(401).wantHeader("WWW-Authenticate", plain)
		r.do("GET", path, nil, bearer("x")).want(401).wantHeader("WWW-Authenticate", invalid)
		r.do("GET", path, nil, tokens{access: "x"}.asCookies()).want(401).wantHeader("WWW-Authenticate", invalid)
	}
	r.refresh("x").want(401).wantHeader("WWW-Authenticate", plain)
	r.do("POST", "/v1/login", object{"identifier": alice, "password": "wrong one"}).want(401).wantHeader("WWW-Authenticate", plain)
}

func TestAbsurdHeadersOverARealConnection(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	tk := r.login()
	srv := httptest.NewServer(r.h)
	defer srv.Close()
	send := func(raw string) int {
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, raw)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return 0
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	const start = "GET /v1/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
	auth := "Authorization: Bearer " + tk.access + "\r\n"
	for name, tt := range map[string]struct {
		raw  string
		want int
	}{
		"plain":                     {start + auth + "\r\n", 200},
		"a long User-Agent":         {start + auth + "User-Agent: " + strings.Repeat("u", 300000) + "\r\n\r\n", 200},
		"a long header of cookies":  {start + auth + "Cookie: " + strings.Repeat("a=b; ", 2000) + "\r\n\r\n", 200},
		"headers of 2 MB":           {start + auth + "X: " + strings.Repeat("x", 2<<20) + "\r\n\r\n", 431},
		"a folded header":           {start + "Authorization: Bearer\r\n " + tk.access + "\r\n\r\n", 200},
		"a NUL in a header":         {start + auth + "X: a\x00b\r\n\r\n", 400},
		"a bare CR in a header":     {start + "Authorization: Bearer \r" + tk.access + "\r\n\r\n", 400},
		"no host":                   {"GET /v1/me HTTP/1.1\r\n" + auth + "\r\n", 400},
		"two lengths":               {"POST /v1/login HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", 400},
		"a length and chunks":       {"POST /v1/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 401},
		"many forwarded hops":       {start + auth + strings.Repeat("X-Forwarded-For: 1.2.3.4, 5.6.7.8\r\n", 5000) + "\r\n", 200},
		"an absolute path in ascii": {"GET http://evil.example/v1/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + auth + "\r\n", 200},
	} {
		if got := send(tt.raw); got != tt.want {
			t.Errorf("%s: got status %d, want %d", name, got, tt.want)
		}
	}
}
