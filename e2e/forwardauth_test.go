package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestBehind runs the application behind each of the proxies.
func TestBehind(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		run  func(t *testing.T, r *rig)
	}{
		{"nobody reaches the app without a session", refusedWithout},
		{"people without a session are led to the login page and back, where the proxy can", ledToLogin},
		{"the app learns who it is from bitjang and from nobody else", namesReachApp},
		{"an expired access token is replaced on the way", refreshedOnTheWay},
		{"twenty requests at once with an expired access token all succeed", parallelRequests},
		{"a prefetch is not given the only copy of new tokens", prefetch},
		{"an old refresh cookie ends the session", replayedCookie},
		{"an ended session is refused at once", endedSession},
		{"the session shows the client's address, whatever the client says", clientAddress},
		{"the app gets the request whole", requestWhole},
		{"a WebSocket passes, after a refresh too", webSocket},
		{"a stream passes", streaming},
		{"bitjang's own API needs no session and never reaches the app", ownPaths},
	}
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, k)
			// A group, so that the rig outlives the parallel tests in it.
			for _, tt := range tests {
				t.Run(tt.name, func(t *testing.T) {
					t.Parallel()
					tt.run(t, r)
				})
			}
		})
	}
}

func refusedWithout(t *testing.T, r *rig) {
	b := r.newBrowser(t)
	for _, cookie := range []string{"", accessCookie + "=nonsense; " + refreshCookie + "=nonsense"} {
		p := b.get(t, "/without", "Cookie", cookie).want(t, http.StatusUnauthorized)
		if len(p.Header.Values("Set-Cookie")) > 0 {
			t.Errorf("got Set-Cookie %q with a 401, want none", p.Header.Values("Set-Cookie"))
		}
		if p.Header.Get("X-Auth-Reason") == "" || p.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("got headers %v, want a reason and a challenge", p.Header)
		}
	}
	if n := r.app.visited("/without"); n != 0 {
		t.Errorf("got %d requests at the app, want none", n)
	}
}

func ledToLogin(t *testing.T, r *rig) {
	b := r.newBrowser(t)
	p := b.get(t, "/deep/page?tab=2", "Sec-Fetch-Mode", "navigate", "Accept", "text/html", "X-Forwarded-Uri", "//evil.example", "X-Forwarded-Host", "evil.example")
	if !r.redirects {
		p.want(t, http.StatusUnauthorized)
		return
	}
	p.want(t, http.StatusFound)
	want := r.base + "/login?" + url.Values{"return_to": {r.base + "/deep/page?tab=2"}}.Encode()
	if got := p.Header.Get("Location"); got != want {
		t.Errorf("got a redirect to %q, want %q", got, want)
	}
	b.get(t, "/deep/page", "Sec-Fetch-Mode", "cors", "Accept", "*/*").want(t, http.StatusUnauthorized)
}

func namesReachApp(t *testing.T, r *rig) {
	args, want := []string{"user", "add", "rolf@example.com", "--password-stdin"}, ""
	for i := range 20 { // more than fits into nginx's usual buffer beside the cookies
		want += fmt.Sprintf(",department-%02d-editor-of-everything", i)
		args = append(args, "--role", want[strings.LastIndex(want, ",")+1:])
	}
	r.cli(t, password, args...)
	plain, roles := r.newBrowser(t), r.newBrowser(t)
	session := plain.login(t).Session
	forged := []string{
		"X-Auth-User", "mallory", "X-Auth-Session", "forged", "X-Auth-Roles", "admin", "x_auth_roles", "admin", "X-Auth_Roles", "admin",
		"X-Auth-Cookie-Access", "forged", "X-Auth-Cookie-Refresh", "forged", "X-Auth-Cache-Control", "public", "X-Auth-Reason", "none",
	}
	e := plain.get(t, "/names", forged...).echo(t)
	if e.Session != session || len(e.User) != 36 || e.Roles != "" {
		t.Errorf("got user %q, session %q and roles %q at the app, want a user id, %q and none", e.User, e.Session, e.Roles, session)
	}
	if names := []string{"X-Auth-Session", "X-Auth-User"}; !slices.Equal(e.Identity, names) {
		t.Errorf("got headers %q at the app, want %q", e.Identity, names)
	}
	tok := roles.loginAs(t, "rolf@example.com")
	for range 2 {
		if e := roles.get(t, "/names", forged...).echo(t); e.Roles != want[1:] {
			t.Errorf("got roles %q at the app, want %q", e.Roles, want[1:])
		}
		waitExpired(t, tok.Access)
	}
}

func refreshedOnTheWay(t *testing.T, r *rig) {
	b := r.newBrowser(t)
	old := b.login(t)
	p := b.get(t, "/page")
	if got, want := p.Header.Values("Cache-Control"), []string{"public, max-age=600"}; p.StatusCode != http.StatusOK || !slices.Equal(got, want) {
		t.Errorf("without a refresh: got %d and Cache-Control %q, want 200 and the app's own %q", p.StatusCode, got, want)
	}
	if got := p.Header.Get("CDN-Cache-Control"); got != "max-age=600" {
		t.Errorf("without a refresh: got CDN-Cache-Control %q, want the app's own", got)
	}
	waitExpired(t, old.Access)
	p = b.get(t, "/page")
	if e := p.echo(t); e.Session != old.Session {
		t.Errorf("got session %q at the app, want %q", e.Session, old.Session)
	}
	wantNewCookies(t, p)
	fresh := b.tokens(t, old.Session)
	if fresh.Access == old.Access || fresh.Refresh == old.Refresh {
		t.Error("got the old cookies after a refresh, want new ones")
	}
	p = b.get(t, "/page")
	p.echo(t)
	if got := p.tokenCookies(); len(got) > 0 {
		t.Errorf("got another rotation with fresh cookies: %v", got)
	}
	if r.app.visited("/page") < 3 {
		t.Errorf("got %d requests at the app, want 3 or more", r.app.visited("/page"))
	}
}

// wantNewCookies checks an answer that brings new tokens.
func wantNewCookies(t *testing.T, p page) {
	t.Helper()
	cookies := p.tokenCookies()
	for _, name := range []string{accessCookie, refreshCookie} {
		c := cookies[name]
		if c == nil {
			t.Fatalf("got Set-Cookie %q, want %s in it", p.Header.Values("Set-Cookie"), name)
		}
		if !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge <= 0 {
			t.Errorf("got cookie %q, want HttpOnly, Secure, SameSite=Lax, Path=/, a Max-Age and no Domain", c.Raw)
		}
	}
	if got, want := p.Header.Values("Cache-Control"), []string{"private, no-store"}; !slices.Equal(got, want) {
		t.Errorf("got Cache-Control %q beside new cookies, want %q", got, want)
	}
	if got := p.Header.Get("CDN-Cache-Control"); got != "" && !strings.Contains(got, "no-store") {
		t.Errorf("got CDN-Cache-Control %q beside new cookies", got)
	}
	if p.StatusCode == http.StatusOK && !strings.Contains(strings.Join(p.Header.Values("Set-Cookie"), "\n"), "theme=dark") {
		t.Errorf("got Set-Cookie %q, want the app's own in it, too", p.Header.Values("Set-Cookie"))
	}
	for name := range p.Header {
		if strings.HasPrefix(name, "X-Auth-Cookie") {
			t.Errorf("got %s in the browser, where scripts can read it", name)
		}
	}
}

func parallelRequests(t *testing.T, r *rig) {
	b := r.newBrowser(t)
	old := b.login(t)
	for _, expired := range []string{"", accessCookie + "=" + old.Access} { // browsers drop the cookie in time, other clients may not
		waitExpired(t, b.tokens(t, old.Session).Access)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if p, err := b.trySend(http.MethodGet, "/parallel", "", "Cookie", expired); err != nil || p.StatusCode != http.StatusOK {
					t.Errorf("one of twenty: got %v, %v", p.Response, err)
				}
			})
		}
		wg.Wait()
		b.get(t, "/parallel").echo(t)
	}
	r.wantAlive(t, old.Session)
}

func prefetch(t *testing.T, r *rig) {
	b := r.newBrowser(t)
	waitExpired(t, b.login(t).Access)
	p := b.get(t, "/prefetch", "Sec-Purpose", "prefetch").want(t, http.StatusUnauthorized)
	if got := p.tokenCookies(); len(got) > 0 {
		t.Errorf("got new cookies in a prefetch: %v", got)
	}
	wantNewCookies(t, b.get(t, "/prefetch"))
}

func replayedCookie(t *testing.T, r *rig) {
	victim, thief := r.newBrowser(t), r.newBrowser(t)
	stolen := victim.login(t)
	victims := stolen
	for range 2 { // the second time confirms a token minted after the theft
		waitExpired(t, victims.Access)
		victim.get(t, "/replay").echo(t)
		victims = victim.tokens(t, stolen.Session)
	}
	time.Sleep(2*time.Second + 100*time.Millisecond) // the grace: until then it might be a straggler
	p := thief.get(t, "/replay", "Cookie", refreshCookie+"="+stolen.Refresh).want(t, http.StatusUnauthorized)
	if got := p.Header.Get("X-Auth-Reason"); got != "refresh_token_reused" {
		t.Errorf("got the reason %q, want refresh_token_reused", got)
	}
	p = victim.get(t, "/replay", "Cookie", accessCookie+"="+victims.Access+"; "+refreshCookie+"="+victims.Refresh).want(t, http.StatusUnauthorized)
	if len(p.tokenCookies()) > 0 {
		t.Errorf("got Set-Cookie %q with a refusal, want none", p.Header.Values("Set-Cookie"))
	}
	r.wantEnded(t, stolen.Session, reuse)
}

func endedSession(t *testing.T, r *rig) {
	b := r.newBrowser(t)
	session := b.login(t).Session
	b.get(t, "/ended").echo(t)
	r.cli(t, "", "session", "end", session)
	p := b.get(t, "/ended").want(t, http.StatusUnauthorized)
	if got := p.Header.Get("X-Auth-Reason"); got != "session_revoked" {
		t.Errorf("got the reason %q, want session_revoked", got)
	}
	if n := r.app.visited("/ended"); n != 1 {
		t.Errorf("got %d requests at the app, want 1", n)
	}
}

func clientAddress(t *testing.T, r *rig) {
	b := r.newBrowser(t)
	forged := []string{"X-Forwarded-For", "6.6.6.6", "Forwarded", "for=6.6.6.6", "X-Real-Ip", "6.6.6.6", "X-Forwarded-Proto", "gopher"}
	tok := b.loginAs(t, email, forged...)
	if got := r.sessions(t, false)[tok.Session].IP; got != browserIP {
		t.Errorf("after the login: got the address %q, want %q", got, browserIP)
	}
	waitExpired(t, tok.Access)
	e := b.get(t, "/address", forged...).echo(t)
	if want := strings.TrimPrefix(r.base, "https://"); e.From != browserIP || e.Proto != "https" || e.Host != want {
		t.Errorf("got %s://%s from %q at the app, want https://%s from %q", e.Proto, e.Host, e.From, want, browserIP)
	}
	if got := r.sessions(t, false)[tok.Session].IP; got != browserIP {
		t.Errorf("after a refresh: got the address %q, want %q", got, browserIP)
	}
}

func requestWhole(t *testing.T, r *rig) {
	b := r.newBrowser(t)
	tok := b.login(t)
	body := strings.Repeat("all of it ", 30_000) // more than bitjang takes, or nginx keeps in memory
	for range 2 {
		e := b.send(t, http.MethodPut, "/whole/a%20b?c=d", body).echo(t)
		if e.Method != http.MethodPut || e.Path != "/whole/a%20b?c=d" || e.Body != body {
			t.Errorf("got %s %s with %d bytes at the app, want PUT /whole/a%%20b?c=d with %d", e.Method, e.Path, len(e.Body), len(body))
		}
		waitExpired(t, tok.Access)
	}
}

func ownPaths(t *testing.T, r *rig) {
	routes, err := os.ReadFile("../docs/routes.txt")
	if err != nil {
		t.Fatal(err)
	}
	b := r.newBrowser(t)
	for line := range strings.Lines(string(routes)) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[2] == "proxy" || strings.HasSuffix(fields[1], "z") {
			continue // not for browsers
		}
		if fields[1] == "/{$}" || strings.HasPrefix(fields[1], "/dev/") {
			continue // the front page is the app's; the mailbox is for whoever sits at the machine
		}
		path := strings.ReplaceAll(fields[1], "{id}", "x")
		p := b.send(t, fields[0], path, "{}", "Content-Type", "application/json", "Origin", r.base)
		if p.Header.Get("X-Auth-Reason") != "" || (p.StatusCode == http.StatusNotFound && !strings.Contains(path, "{file}")) || p.StatusCode == http.StatusForbidden {
			t.Errorf("%s %s: got %d %s, want bitjang's own answer", fields[0], path, p.StatusCode, p.body)
		}
		if n := r.app.visited(path); n != 0 {
			t.Errorf("%s reached the app", path)
		}
	}
	b.login(t)
	for _, path := range []string{"/forward-auth", "/_bitjang_forward_auth"} { // these are the app's, if anybody's
		if p := b.get(t, path); p.StatusCode != http.StatusNotFound && r.app.visited(path) != 1 {
			t.Errorf("GET %s: got %d and headers %v, want no answer of bitjang", path, p.StatusCode, p.Header)
		}
	}
	p := b.send(t, http.MethodPost, "/v1/login", "{}", "Content-Type", "application/json", "Origin", "https://evil.example")
	p.want(t, http.StatusForbidden)
}
