package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestAServerSideRendererLogsNobodyOut has pages loaded in parallel, each of which
// is rendered by parallel requests, whenever the access token has expired.
func TestAServerSideRendererLogsNobodyOut(t *testing.T) {
	t.Parallel()
	for _, query := range []string{"", "?parts=alone"} {
		t.Run("parts"+query, func(t *testing.T) {
			t.Parallel()
			b := startBitjang(t, "BITJANG_ACCESS_TTL=2s", "BITJANG_TRUSTED_PROXIES=127.0.0.0/8")
			base := startRenderer(t, b)
			jar := &cookiesOf{}
			session := jar.login(t, b)
			for round := range 5 {
				var all sync.WaitGroup
				for range 4 {
					all.Go(func() { jar.load(t, base+"/"+query) })
				}
				all.Wait()
				if t.Failed() {
					t.Fatalf("in round %d", round)
				}
				time.Sleep(2100 * time.Millisecond)
			}
			if live := b.sessions(t, false); len(live) != 1 || live[session].State != "active" {
				t.Errorf("got %+v, want session %s and no other", live, session)
			}
		})
	}
}

func startRenderer(t *testing.T, b *bitjang) string {
	dir, err := filepath.Abs(filepath.Join("..", "examples", "ssr"))
	if err != nil {
		t.Fatal(err)
	}
	port := the.free(t)
	app := start(t, newLog(t, "ssr"), append(portVariable(port), "BITJANG_ISSUER=http://"+b.address), "node", filepath.Join(dir, "server.js"))
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	app.until(t, "wait for the renderer", func() error { return expect(http.Get(base + "/healthz")) })
	return base
}

// cookiesOf are a browser's: whatever comes last wins.
type cookiesOf struct {
	mu   sync.Mutex
	list map[string]string
}

func (c *cookiesOf) keep(resp *http.Response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.list == nil {
		c.list = map[string]string{}
	}
	for _, cookie := range resp.Cookies() {
		c.list[cookie.Name] = cookie.Value
	}
}

func (c *cookiesOf) put(req *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	req.Header.Set("User-Agent", thisDevice.agent)
	req.Header.Set("X-Forwarded-For", "203.0.113.9")
	for name, value := range c.list {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
}

func (c *cookiesOf) login(t *testing.T, b *bitjang) (session string) {
	t.Helper()
	body := fmt.Sprintf(`{"identifier":%q,"password":%q,"transport":"cookie"}`, email, password)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url("/v1/login"), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	c.put(req)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var said struct {
		Session string `json:"session_id"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&said); err != nil || said.Session == "" {
		t.Fatalf("login: got %d, %v", resp.StatusCode, err)
	}
	c.keep(resp)
	return said.Session
}

// load loads a page, once more where another tab was faster.
func (c *cookiesOf) load(t *testing.T, url string) {
	for range 3 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Error(err)
			return
		}
		c.put(req)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		resp.Body.Close()
		c.keep(resp)
		if resp.StatusCode == http.StatusOK {
			return
		}
	}
	t.Errorf("%s: still refused", url)
}
