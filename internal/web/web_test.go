package web

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bitjang/bitjang"
)

func quietEdge() *Edge {
	return &Edge{Log: slog.New(slog.DiscardHandler), MaxBody: 1 << 10, Timeout: time.Second}
}

func TestProblemsOfErrors(t *testing.T) {
	for _, tt := range []struct {
		err        error
		status     int
		code       string
		retryAfter string
	}{
		{errors.New("select: disk on fire"), 500, "internal", ""},
		{fmt.Errorf("wrapped: %w", bitjang.ErrTokenReused), 401, "refresh_token_reused", ""},
		{bitjang.ErrSuperseded, 409, "refresh_superseded", ""},
		{bitjang.ErrStepUpRequired, 403, "step_up_required", ""},
		{bitjang.ErrNoSuchSession, 404, "session_not_found", ""},
		{&bitjang.Error{Code: bitjang.Invalid, Reason: "x_invalid"}, 400, "x_invalid", ""},
		{&bitjang.Error{Code: bitjang.RateLimited, Reason: "rate_limited", RetryAfter: 1500 * time.Millisecond}, 429, "rate_limited", "2"},
		{bitjang.ErrStoreDown, 503, "store_unavailable", "1"},
		{&bitjang.Error{Code: bitjang.Unavailable, Reason: "x"}, 503, "x", "1"},
		{bitjang.ErrOverloaded, 503, "overloaded", "2"},
		{Refuse(415, "media_type_unsupported", ""), 415, "media_type_unsupported", ""},
	} {
		w := httptest.NewRecorder()
		quietEdge().Handle(func(http.ResponseWriter, *http.Request) error { return tt.err }).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != tt.status || !strings.Contains(w.Body.String(), `"code":"`+tt.code+`"`) || w.Header().Get("Retry-After") != tt.retryAfter || strings.Contains(w.Body.String(), "fire") {
			t.Errorf("%v: got %d %v %s", tt.err, w.Code, w.Header(), w.Body)
		}
	}
	for _, code := range []bitjang.Code{bitjang.Invalid, bitjang.Unauthenticated, bitjang.Denied, bitjang.NotFound, bitjang.Conflict, bitjang.RateLimited, bitjang.Unavailable, bitjang.Internal} {
		if statuses[code] == 0 {
			t.Errorf("code %s has no status", code)
		}
	}
}

func TestARequestThatTakesTooLongIsCancelled(t *testing.T) {
	e := quietEdge()
	e.Timeout = time.Millisecond
	e.Handle(func(_ http.ResponseWriter, r *http.Request) error {
		select {
		case <-r.Context().Done():
		case <-time.After(10 * time.Second):
			t.Error("the request goes on")
		}
		return nil
	}).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
}

func TestCookies(t *testing.T) {
	now := time.Now()
	tokens := bitjang.Tokens{
		Access: bitjang.NewSecret("a"), Refresh: bitjang.NewSecret("r"), IssuedAt: now, AccessExpiresAt: now.Add(time.Minute),
		RefreshExpiresAt: now.Add(time.Hour), Session: bitjang.Session{ExpiresAt: now.Add(2 * time.Hour)},
	}
	const attributes = "; HttpOnly; Secure; SameSite=Lax"
	for name, tt := range map[string]struct {
		set  func(http.ResponseWriter)
		want []string
	}{
		"tokens":  {func(w http.ResponseWriter) { SetTokens(w, tokens) }, []string{AccessCookie + "=a; Path=/; Max-Age=60" + attributes, RefreshCookie + "=r; Path=/; Max-Age=7200" + attributes}},
		"cleared": {ClearTokens, []string{AccessCookie + "=; Path=/; Max-Age=0" + attributes, RefreshCookie + "=; Path=/; Max-Age=0" + attributes}},
		"device":  {func(w http.ResponseWriter) { SetDevice(w, "a b;c") }, []string{deviceCookie + "=a%20b%3Bc; Path=/; Max-Age=34560000" + attributes}},
		// A life of less than a second is over: without Max-Age the cookie would live until the browser closes.
		"expired": {func(w http.ResponseWriter) { http.SetCookie(w, hostCookie("x", "v", time.Millisecond)) }, []string{"x=v; Path=/; Max-Age=0" + attributes}},
	} {
		w := httptest.NewRecorder()
		tt.set(w)
		if diff := cmp.Diff(tt.want, w.Header().Values("Set-Cookie")); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestWhereTokensComeFrom(t *testing.T) {
	both := []string{"Cookie", AccessCookie + "=ca; " + RefreshCookie + "=cr", "Authorization", "bEaReR ha", RefreshHeader, "hr"}
	for _, tt := range []struct {
		name            string
		headers         []string
		access, refresh string
		admitted        string // the refresh token that may be exchanged on the way
	}{
		{"nothing", nil, "", "", ""},
		{"cookies", both[:2], "ca", "cr", "cr"},
		{"headers", both[2:], "ha", "hr", ""},
		{"both", both, "ha", "hr", ""},
		{"cookies and a refresh header", []string{both[0], both[1], RefreshHeader, "hr"}, "ca", "hr", "cr"},
		{"cookies and another scheme", []string{both[0], both[1], "Authorization", "Basic eA=="}, "ca", "cr", "cr"},
	} {
		r := request("192.0.2.1:1", tt.headers...)
		access, fromHeader := AccessToken(r)
		refresh, _ := RefreshToken(r)
		in := quietEdge().AdmitInput(r)
		if access.Reveal() != tt.access || refresh.Reveal() != tt.refresh || in.Refresh.Reveal() != tt.admitted || in.Access.Reveal() != tt.access || fromHeader != (tt.access == "ha") {
			t.Errorf("%s: got %q %q %q %v", tt.name, access.Reveal(), refresh.Reveal(), in.Refresh.Reveal(), fromHeader)
		}
	}
}
