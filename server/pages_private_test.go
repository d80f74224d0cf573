package server_test

import (
	"strings"
	"testing"
	"time"
)

// TestLoggingOutEmptiesTheBrowsersMemoryOfPages is about "back": browsers keep
// whole pages in memory, in spite of no-store.
func TestLoggingOutEmptiesTheBrowsersMemoryOfPages(t *testing.T) {
	t.Parallel()
	_, _, visit := pageRig(t)
	p := visit("en", browser)
	for _, leave := range []struct{ path, field string }{{"/logout", ""}, {"/account/delete", "current_password"}} {
		p.leads(p.post("/login", "email", alice, "password", password), "/account")
		s := p.post(leave.path, leave.field, password)
		if got := s.header.Get("Clear-Site-Data"); s.status != 303 || got != `"cache"` {
			t.Errorf("%s: got %d and Clear-Site-Data %q", leave.path, s.status, got)
		}
	}
}

// TestEveryPageOfTheAccountOutlivesTheAccessToken opens each with nothing but
// the refresh token, as after ten minutes on another one.
func TestEveryPageOfTheAccountOutlivesTheAccessToken(t *testing.T) {
	t.Parallel()
	r, _, visit := pageRig(t)
	p := visit("en", browser)
	p.leads(p.post("/login", "email", alice, "password", password), "/account")
	for _, path := range []string{"/account", "/account/activity", "/account/security", "/account/profile", "/account/delete", "/account/export"} {
		r.clock.advance(11 * time.Minute)
		s := p.get(path).want(t, 200)
		if !strings.Contains(strings.Join(s.header.Values("Set-Cookie"), " "), rtCookie) {
			t.Errorf("%s: was not a refresh", path)
		}
	}
	stranger := visit("en", browser)
	stranger.leads(stranger.get("/account/export"), "/login?return_to=%2Faccount%2Fexport")
}

// TestAProblemIsAtTheFieldThatItIsAbout is for screen readers, which start there.
func TestAProblemIsAtTheFieldThatItIsAbout(t *testing.T) {
	t.Parallel()
	_, _, visit := pageRig(t)
	p := visit("en", browser)
	marked := func(s screen, text string, ids ...string) {
		t.Helper()
		s.has(t, text)
		if got := strings.Count(s.body, `aria-invalid="true"`); got != len(ids) {
			t.Errorf("%s: got %d fields marked, want %v", s.at, got, ids)
		}
		for _, id := range ids {
			_, tag, _ := strings.Cut(s.body, `<input id="`+id+`"`)
			tag, _, _ = strings.Cut(tag, ">")
			if !strings.Contains(tag, `aria-invalid="true" aria-describedby="problem`) {
				t.Errorf("%s: %s is not marked: %s", s.at, id, tag)
			}
		}
	}
	marked(p.post("/signup", "email", "eve@example.com", "password", "short"), "at least 8", "password")
	marked(p.post("/signup", "email", "eve", "password", "seven grey geese"), "not an email address", "email")
	marked(p.post("/login", "email", alice, "password", "wrong"), "is wrong", "email", "password")
	p.leads(p.post("/login", "email", alice, "password", password), "/account")
	marked(p.post("/account/password", "current_password", "wrong", "password", "seven grey geese"), "The current password is wrong.", "current")
	marked(p.post("/account/password", "current_password", password, "password", "short"), "at least 8", "password")
	marked(p.post("/account/email", "current_password", "wrong", "email", "eve@example.com"), "The current password is wrong.", "confirm")
	marked(p.post("/account/delete", "current_password", "wrong"), "The current password is wrong.", "current")
}
