package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// listed are the ids in an answer of GET /v1/sessions, and the current one.
func listed(a *answer) (ids []string, current string) {
	a.t.Helper()
	var out struct {
		Sessions []struct {
			ID      string
			Current bool
		}
	}
	a.want(200).decode(&out)
	for _, s := range out.Sessions {
		ids = append(ids, s.ID)
		if s.Current {
			current += s.ID
		}
	}
	return ids, current
}

func TestSessionsAreListedNamedAndEndedByTheirOwner(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	phone := r.login(agent(otherBrowser), header("Device-Id", "phone-1"))
	r.clock.advance(time.Second)
	laptop := r.login(agent(browser))
	ids, current := listed(r.do("GET", "/v1/sessions", nil, bearer(laptop.access)).wantHeader("Cache-Control", "no-store"))
	if diff := cmp.Diff([]string{laptop.session, phone.session}, ids); diff != "" || current != laptop.session {
		t.Errorf("current %s, sessions:\n%s", current, diff)
	}

	named := r.do("PATCH", "/v1/sessions/"+phone.session, object{"name": " Alice's phone "}, bearer(laptop.access)).want(200)
	var s struct {
		Current bool
		Device  map[string]string
		IP      string
	}
	named.decode(&s)
	want := map[string]string{"id": "phone-1", "name": "Alice's phone", "browser": "Safari", "os": "iOS", "type": "mobile"}
	if diff := cmp.Diff(want, s.Device); diff != "" || s.Current || s.IP != "192.0.2.1" {
		t.Errorf("got %s\n%s", named.Body, diff)
	}
	r.do("PATCH", "/v1/sessions/"+phone.session, object{}, bearer(laptop.access)).want(400, "name_invalid")
	r.do("PATCH", "/v1/sessions/"+phone.session, object{"name": "a\tb"}, bearer(laptop.access)).want(400, "name_invalid")
	r.do("PATCH", "/v1/sessions/"+phone.session, object{"name": ""}, bearer(laptop.access)).want(200)

	other := r.do("DELETE", "/v1/sessions/"+phone.session, nil, laptop.asCookies()).want(204)
	if len(other.cookies()) != 0 {
		t.Errorf("ending another session removes one's own cookies: %v", other.cookies())
	}
	r.do("DELETE", "/v1/sessions/"+phone.session, nil, bearer(laptop.access)).want(204)
	if a := r.refresh(phone.refresh, header("Device-Id", "phone-1")).want(401, "session_revoked"); a.text("session_end") != "ended_by_user" {
		t.Errorf("got %s", a.Body)
	}
	wantCleared(t, r.do("DELETE", "/v1/sessions/"+laptop.session, nil, laptop.asCookies()).want(204))
	r.do("GET", "/v1/me", nil, bearer(laptop.access)).want(401, "session_revoked")
}

func TestSomebodyElsesSessionIsNotFound(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	r.addUser("mallory@example.com")
	victim := r.login()
	mallory := r.do("POST", "/v1/login", object{"identifier": "mallory@example.com", "password": password}).tokens()
	for _, id := range []string{victim.session, "00000000-0000-4000-8000-000000000000", "not-a-uuid", victim.session + "0", strings.Repeat("9", 3000)} {
		end := r.do("DELETE", "/v1/sessions/"+id, nil, bearer(mallory.access)).want(404, "session_not_found")
		name := r.do("PATCH", "/v1/sessions/"+id, object{"name": "mine"}, bearer(mallory.access)).want(404, "session_not_found")
		if string(end.Body) != string(name.Body) {
			t.Errorf("got different bodies %s and %s", end.Body, name.Body)
		}
	}
	if ids, _ := listed(r.do("GET", "/v1/sessions", nil, bearer(mallory.access))); slices.Contains(ids, victim.session) {
		t.Error("somebody else's session is listed")
	}
	if n := r.do("POST", "/v1/logout-all", nil, bearer(mallory.access)).want(200); string(n.Body) != "{\"revoked\":1}\n" {
		t.Errorf("got %s", n.Body)
	}
	a := r.do("GET", "/v1/sessions", nil, bearer(victim.access)).want(200)
	if strings.Contains(string(a.Body), "mine") {
		t.Errorf("got %s", a.Body)
	}
}

func TestLogoutAll(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	one, two, three := r.login(), r.login(), r.login()
	a := r.do("POST", "/v1/logout-all", object{"keep_current": true}, one.asCookies()).want(200)
	if string(a.Body) != "{\"revoked\":2}\n" || len(a.cookies()) != 0 {
		t.Errorf("got %s %v", a.Body, a.cookies())
	}
	for _, tk := range []tokens{two, three} {
		r.refresh(tk.refresh).want(401, "session_revoked")
		r.do("GET", "/v1/me", nil, bearer(tk.access)).want(401, "session_revoked")
	}
	two = r.login()
	a = r.do("POST", "/v1/logout-all", nil, one.asCookies()).want(200)
	if string(a.Body) != "{\"revoked\":2}\n" {
		t.Errorf("got %s", a.Body)
	}
	wantCleared(t, a)
	r.do("GET", "/v1/me", nil, bearer(one.access)).want(401, "session_revoked")
	if a := r.refresh(two.refresh).want(401, "session_revoked"); a.text("session_end") != "logout_all" {
		t.Errorf("got %s", a.Body)
	}
}

func TestPasswordChange(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	const newPassword = "a new and better one"
	change := object{"current_password": password, "new_password": newPassword}
	here, other := r.login(), r.login()

	r.do("POST", "/v1/password", object{"current_password": "wrong", "new_password": newPassword}, bearer(here.access)).want(401, "invalid_credentials").
		wantHeader("WWW-Authenticate", `Bearer realm="bitjang"`) // the access token is not what is wrong
	for code, pw := range map[string]string{"password_too_short": "short", "password_too_long": strings.Repeat("ab", 129), "password_invalid": strings.Repeat("a", 3000), "password_common": "password123"} {
		r.do("POST", "/v1/password", object{"current_password": password, "new_password": pw}, bearer(here.access)).want(400, code)
	}
	r.do("GET", "/v1/me", nil, bearer(other.access)).want(200) // nothing has happened yet

	change["refresh_token"] = here.refresh
	a := r.do("POST", "/v1/password", change, bearer(here.access)).want(200)
	if len(a.cookies()) != 0 {
		t.Errorf("got cookies %v", a.cookies())
	}
	moved := a.tokens()
	if moved.session != here.session {
		t.Errorf("got session %s, want %s", moved.session, here.session)
	}
	if a := r.refresh(other.refresh).want(401, "session_revoked"); a.text("session_end") != "password_changed" {
		t.Errorf("got %s", a.Body)
	}
	r.do("GET", "/v1/me", nil, bearer(other.access)).want(401, "session_revoked")
	r.refresh(here.refresh).want(409, "refresh_superseded") // a straggler
	r.refresh(moved.refresh).want(200)
	r.do("POST", "/v1/login", object{"identifier": alice, "password": password}).want(401, "invalid_credentials")
	r.do("POST", "/v1/login", object{"identifier": alice, "password": newPassword}).want(200)
}

func TestPasswordChangeWithCookiesKeepsTokensOutOfTheBody(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]func(tokens) mod{
		"both cookies":            func(tk tokens) mod { return tk.asCookies() },
		"the access cookie alone": func(tk tokens) mod { return tokens{access: tk.access}.asCookies() },
		"a script that adds a token of its own": func(tk tokens) mod {
			return func(r *http.Request) { tk.asCookies()(r); header("Refresh-Token", "junk")(r) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newUserRig(t)
			a := r.do("POST", "/v1/password", object{"current_password": password, "new_password": "a new and better one"}, m(r.login())).want(200)
			if len(a.cookies()) != 2 || a.text("access_token")+a.text("refresh_token") != "" {
				t.Errorf("got %v %s", a.cookies(), a.Body)
			}
			r.do("POST", "/v1/refresh", nil, a.tokens().asCookies()).want(200)
		})
	}
}

func TestMe(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	u := r.addUser(alice, "editor", "admin")
	tk := r.login()
	var out object
	r.do("GET", "/v1/me", nil, bearer(tk.access)).want(200).wantHeader("Cache-Control", "no-store").decode(&out)
	want := object{"id": u.ID, "email": alice, "email_verified": false, "roles": []any{"admin", "editor"}, "created_at": u.CreatedAt.Format("2006-01-02T15:04:05.999Z07:00")}
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("me:\n%s", diff)
	}
	if a := r.do("PATCH", "/v1/me", object{"name": "Alice", "email": "x@example.com", "roles": []string{"root"}}, bearer(tk.access)).want(200); a.text("name") != "Alice" || a.text("email") != alice || strings.Contains(string(a.Body), "root") {
		t.Errorf("got %s", a.Body)
	}
	for _, nothing := range []any{nil, object{}, object{"name": nil}} {
		if a := r.do("PATCH", "/v1/me", nothing, bearer(tk.access)).want(200); a.text("name") != "Alice" {
			t.Errorf("got %s", a.Body)
		}
	}
	r.do("PATCH", "/v1/me", object{"name": strings.Repeat("x", 129)}, bearer(tk.access)).want(400, "name_invalid")
	if a := r.do("PATCH", "/v1/me", object{"name": ""}, bearer(tk.access)).want(200); a.text("name") != "" {
		t.Errorf("got %s", a.Body)
	}
}

func TestActivityIsPagedAndOnesOwn(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	r.addUser("bob@example.com")
	var tk tokens
	for range 4 {
		tk = r.login()
	}
	r.do("POST", "/v1/login", object{"identifier": "bob@example.com", "password": password}).want(200)
	type page struct {
		Events []struct {
			ID        int64
			Type      string
			SessionID string `json:"session_id"`
		}
		Before int64
	}
	var got []string
	for before := int64(0); ; {
		var p page
		r.do("GET", fmt.Sprintf("/v1/activity?limit=2&before=%d", before), nil, bearer(tk.access)).want(200).wantHeader("Cache-Control", "no-store").decode(&p)
		if len(p.Events) == 0 {
			break
		}
		for _, e := range p.Events {
			got = append(got, e.Type)
		}
		before = p.Before
	}
	if diff := cmp.Diff([]string{"login", "login", "login", "login", "signup"}, got); diff != "" {
		t.Errorf("events:\n%s", diff)
	}
	for _, query := range []string{"before=x", "limit=x", "limit=1.5", "before=99999999999999999999"} {
		r.do("GET", "/v1/activity?"+query, nil, bearer(tk.access)).want(400, "query_invalid")
	}
	for _, query := range []string{"before=-1", "limit=-1", "limit=101", "limit=4294967297"} {
		r.do("GET", "/v1/activity?"+query, nil, bearer(tk.access)).want(400, "cursor_invalid")
	}
}
