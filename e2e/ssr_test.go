package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// renderer is examples/ssr with a resource server behind it.
type renderer struct {
	*bitjang
	base string
}

func startRenderer(t *testing.T) *renderer {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("node is not here")
	}
	b := startBitjang(t, "BITJANG_ACCESS_TTL=2s", "BITJANG_ROTATION_GRACE=2s", "BITJANG_TRUSTED_PROXIES=127.0.0.1/32")
	port := the.free(t)
	r := &renderer{b, fmt.Sprintf("http://127.0.0.1:%d/", port)}
	env := append(portVariable(port), "BITJANG_ISSUER=http://"+b.address, "ORDERS_URL="+startOrders(t, b))
	server := start(t, newLog(t, "ssr"), env, node, filepath.Join("..", "examples", "ssr", "server.js"))
	server.until(t, "wait for the renderer", func() error { return expect(http.Get(r.base + "healthz")) })
	return r
}

// cookies are those of one browser, which has Bitjang and the renderer on one host.
type cookies map[string]string

func (r *renderer) login(t *testing.T) (cookies, string) {
	t.Helper()
	body := fmt.Sprintf(`{"identifier":%q,"password":%q,"transport":"cookie"}`, email, password)
	req, err := http.NewRequest(http.MethodPost, r.url("/v1/login"), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", thisDevice.agent)
	req.Header.Set("X-Forwarded-For", browserIP) // by the proxy in front of both
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var in struct {
		Session string `json:"session_id"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&in); err != nil || in.Session == "" {
		t.Fatalf("log in: %s, %v", resp.Status, err)
	}
	jar := cookies{}
	jar.keep(resp)
	return jar, in.Session
}

func (jar cookies) keep(resp *http.Response) {
	for _, c := range resp.Cookies() {
		jar[c.Name] = c.Value
	}
}

// outlive waits until the access token has expired; then browsers drop its cookie.
func (jar cookies) outlive(t *testing.T) {
	t.Helper()
	waitExpired(t, jar[accessCookie])
	delete(jar, accessCookie)
}

// visit opens the page with cookies, and keeps none.
func (r *renderer) visit(jar cookies) (*http.Response, string, error) {
	req, err := http.NewRequest(http.MethodGet, r.base, nil)
	if err != nil {
		return nil, "", err
	}
	req.Header.Set("User-Agent", thisDevice.agent)
	req.Header.Set("X-Forwarded-For", browserIP) // by the proxy in front of both
	for name, value := range jar {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

func (r *renderer) visits(t *testing.T, jar cookies, status int) *http.Response {
	t.Helper()
	resp, body, err := r.visit(jar)
	if err != nil || resp.StatusCode != status {
		t.Fatalf("got %v, %v, want %d:\n%s", resp, err, status, body)
	}
	return resp
}

// TestServerSideRenderer shows that pages whose parts refresh for themselves, all
// at once and with the same refresh token, log nobody out.
func TestServerSideRenderer(t *testing.T) {
	t.Parallel()
	r := startRenderer(t)
	r.visits(t, cookies{}, http.StatusUnauthorized)

	t.Run("each page brings the cookies of one rotation", func(t *testing.T) {
		t.Parallel()
		jar, session := r.login(t)
		for range 3 {
			old := jar[refreshCookie]
			jar.outlive(t)
			resp := r.visits(t, jar, http.StatusOK)
			if n := len(resp.Cookies()); n != 2 {
				t.Errorf("got %d cookies, want 2: %q", n, resp.Header.Values("Set-Cookie"))
			}
			jar.keep(resp)
			if jar[refreshCookie] == old {
				t.Fatal("got the old refresh token back")
			}
			if more := r.visits(t, jar, http.StatusOK); len(more.Cookies()) > 0 {
				t.Errorf("got a rotation with a good access token: %q", more.Header.Values("Set-Cookie"))
			}
		}
		r.wantAlive(t, session)
	})
	t.Run("pages at the same time, whose cookies arrive in any order", func(t *testing.T) {
		t.Parallel()
		jar, session := r.login(t)
		for range 3 {
			jar.outlive(t)
			var wg sync.WaitGroup
			answers := make(chan *http.Response, 8)
			for range cap(answers) {
				wg.Go(func() {
					if resp, body, err := r.visit(jar); err != nil || resp.StatusCode != http.StatusOK {
						t.Errorf("got %v, %v:\n%s", resp, err, body)
					} else {
						answers <- resp
					}
				})
			}
			wg.Wait()
			close(answers)
			brought := map[string]bool{}
			for resp := range answers {
				jar.keep(resp)
				brought[jar[refreshCookie]] = true
			}
			t.Logf("%d pages brought %d refresh tokens", cap(answers), len(brought))
		}
		r.visits(t, jar, http.StatusOK)
		r.wantAlive(t, session)
		if got := r.sessions(t, false)[session].IP; got != browserIP {
			t.Errorf("got the address %s with the session, want the browser's %s", got, browserIP)
		}
	})
	t.Run("a page that never arrives, and the next one long after", func(t *testing.T) {
		t.Parallel()
		jar, session := r.login(t)
		for range 2 {
			jar.outlive(t)
			if lost := r.visits(t, jar, http.StatusOK); len(lost.Cookies()) == 0 {
				t.Error("got no rotation that could be lost")
			}
			time.Sleep(3 * time.Second) // longer than the grace
			jar.keep(r.visits(t, jar, http.StatusOK))
		}
		r.wantAlive(t, session)
	})
	t.Run("whoever logs out is refused", func(t *testing.T) {
		t.Parallel()
		jar, session := r.login(t)
		r.visits(t, jar, http.StatusOK)
		r.cli(t, "", "session", "end", session)
		ended := time.Now()
		for {
			if resp, _, err := r.visit(jar); err == nil && resp.StatusCode == http.StatusUnauthorized {
				break
			}
			if time.Since(ended) > patience {
				t.Fatal("an ended session still gets the page")
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Logf("refused %v after the session had ended", time.Since(ended).Round(time.Millisecond))
	})
}

// TestRendererWithoutBitjang shows that an outage logs nobody out.
func TestRendererWithoutBitjang(t *testing.T) {
	t.Parallel()
	r := startRenderer(t)
	jar, session := r.login(t)
	jar.outlive(t)
	r.kill()
	if resp, body, err := r.visit(jar); err != nil || resp.StatusCode < 500 || len(resp.Cookies()) > 0 {
		t.Errorf("got %v, %v, want 5xx and no cookies:\n%s", resp, err, body)
	}
	r.start(t)
	// The resource server refuses to say anything until it has caught up with the feed.
	for again := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		resp, body, err := r.visit(jar)
		if err != nil || resp.StatusCode == http.StatusUnauthorized || time.Since(again) > patience {
			t.Fatalf("got %v, %v:\n%s", resp, err, body)
		}
		if resp.StatusCode == http.StatusOK {
			break
		}
	}
	r.wantAlive(t, session)
}
