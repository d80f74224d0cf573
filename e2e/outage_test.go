package e2e

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestBehindWithSomebodyAway(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			t.Run("without the app, new tokens still reach the browser", func(t *testing.T) {
				t.Parallel()
				appAway(t, newRig(t, k))
			})
			t.Run("without bitjang nobody gets in and nobody is logged out", func(t *testing.T) {
				t.Parallel()
				bitjangAway(t, newRig(t, k))
			})
			t.Run("bitjang is asked with neither method nor body of the request", func(t *testing.T) {
				t.Parallel()
				questionIsSmall(t, k)
			})
		})
	}
}

func appAway(t *testing.T, r *rig) {
	b := r.newBrowser(t)
	tok := b.login(t)
	r.app.Close()
	waitExpired(t, tok.Access)
	p := b.get(t, "/").want(t, http.StatusBadGateway)
	wantNewCookies(t, p)
	p = b.get(t, "/").want(t, http.StatusBadGateway)
	if got := p.tokenCookies(); len(got) > 0 {
		t.Errorf("got another rotation with fresh cookies: %v", got)
	}
}

func bitjangAway(t *testing.T, r *rig) {
	b := r.newBrowser(t)
	tok := b.login(t)
	r.kill()
	for _, headers := range [][]string{nil, {"Sec-Fetch-Mode", "navigate"}} {
		p := b.get(t, "/", headers...).want(t, r.down)
		if got := p.Header.Values("Set-Cookie"); len(got) > 0 {
			t.Errorf("got Set-Cookie %q while bitjang is away, want none", got)
		}
		if r.down == http.StatusServiceUnavailable && p.Header.Get("Retry-After") == "" {
			t.Errorf("got a 503 with headers %v, want Retry-After", p.Header)
		}
	}
	if n := r.app.visited("/"); n != 0 {
		t.Errorf("got %d requests at the app, want none", n)
	}
	r.start(t)
	waitExpired(t, tok.Access)
	if e := b.get(t, "/").echo(t); e.Session != tok.Session {
		t.Errorf("got session %q after the outage, want %q", e.Session, tok.Session)
	}
}

// questionIsSmall puts a stand-in where bitjang is, to look at the question.
func questionIsSmall(t *testing.T, k kind) {
	var mu sync.Mutex
	var got []string
	standIn := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		mu.Lock()
		defer mu.Unlock()
		got = append(got, fmt.Sprintf("%s %s, %d bytes, %v, Content-Length %q, Upgrade %q", r.Method, r.URL.Path, n, err, r.Header.Get("Content-Length"), r.Header.Get("Upgrade")))
		w.Header().Set("X-Auth-User", "u")
	}))
	t.Cleanup(standIn.Close)
	port := the.free(t)
	r := &rig{kind: k, app: newApp(t), base: fmt.Sprintf("https://localhost:%d", port)}
	k.run(t, port, standIn.Listener.Addr().String(), r.app.Listener.Addr().String())
	b := r.newBrowser(t)
	if e := b.send(t, http.MethodDelete, "/x", strings.Repeat("x", 1<<20)).echo(t); len(e.Body) != 1<<20 || e.Method != http.MethodDelete {
		t.Errorf("got %s with %d bytes at the app, want DELETE with all", e.Method, len(e.Body))
	}
	mu.Lock()
	defer mu.Unlock()
	if want := `GET /forward-auth, 0 bytes, <nil>, Content-Length "", Upgrade ""`; len(got) != 1 || got[0] != want {
		t.Errorf("got the question %q, want %q", got, want)
	}
}

func webSocket(t *testing.T, r *rig) {
	b := r.newBrowser(t)
	tok := b.login(t)
	for _, cookie := range []string{
		accessCookie + "=" + tok.Access,
		refreshCookie + "=" + tok.Refresh, // as with an expired access token
	} {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(r.base, "https://"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience)) // a fresh connection has no reason to refuse
		fmt.Fprintf(conn, "GET /socket HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: %s\r\n\r\n", strings.TrimPrefix(r.base, "https://"), userAgent, cookie)
		br := bufio.NewReader(conn)
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatalf("read the answer to an upgrade: %v", err)
		}
		if resp.StatusCode != http.StatusSwitchingProtocols || len(resp.Header.Get("X-User")) != 36 {
			t.Fatalf("got %d and user %q, want 101 and a user id", resp.StatusCode, resp.Header.Get("X-User"))
		}
		if rotated := strings.HasPrefix(cookie, refreshCookie); rotated != (len(page{Response: resp}.tokenCookies()) == 2) {
			t.Errorf("got Set-Cookie %q with the upgrade; rotated: %v", resp.Header.Values("Set-Cookie"), rotated)
		}
		fmt.Fprint(conn, "ping\n")
		if line, err := br.ReadString('\n'); line != "ping\n" {
			t.Errorf("got %q, %v back, want ping", line, err)
		}
	}
}

func streaming(t *testing.T, r *rig) {
	b := r.newBrowser(t)
	b.login(t)
	resp, err := b.Get(r.base + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	// The app sends no more before we hang up, so a proxy that waits is found.
	if line, err := bufio.NewReader(resp.Body).ReadString('\n'); line != "data: first\n" {
		t.Errorf("got %q, %v, want the first line of the stream", line, err)
	}
}
