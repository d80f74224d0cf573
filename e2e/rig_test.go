package e2e

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// kind is a proxy that the recipes in examples/ are for.
type kind struct {
	name string
	run  func(t *testing.T, port int, bitjang, app string)
	// redirects: people without a session are led to the login page.
	redirects bool
	// down is the status when bitjang is away.
	down int
}

var kinds = []kind{
	{name: "nginx", run: startNginx, down: http.StatusServiceUnavailable},
	{name: "caddy", run: startCaddy, down: http.StatusBadGateway, redirects: true},
}

// rig is an application behind a proxy that asks bitjang.
type rig struct {
	kind
	*bitjang
	app  *app
	base string // what browsers see
}

func newRig(t *testing.T, k kind) *rig {
	t.Helper()
	port := the.free(t)
	r := &rig{kind: k, app: newApp(t), base: fmt.Sprintf("https://localhost:%d", port)}
	r.bitjang = startBitjang(t, "BITJANG_ISSUER="+r.base, "BITJANG_TRUSTED_PROXIES=127.0.0.0/8",
		"BITJANG_ACCESS_TTL=2s", "BITJANG_ROTATION_GRACE=2s")
	k.run(t, port, r.address, r.app.Listener.Addr().String())
	return r
}

// app is a toy application: it tells who it was told the visitor is.
type app struct {
	*httptest.Server
	mu     sync.Mutex
	visits map[string]int // by path
}

// echo is what the app answers.
type echo struct {
	Method, Path, Body string
	User               string
	Session            string
	Roles              string
	Host, From, Proto  string
	Identity           []string // the names of all headers that say something of an identity
}

func newApp(t *testing.T) *app {
	t.Helper()
	a := &app{visits: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/", a.echo)
	mux.HandleFunc("/socket", a.socket)
	mux.HandleFunc("/stream", a.stream)
	a.Server = httptest.NewServer(mux)
	t.Cleanup(a.Close)
	return a
}

func (a *app) visited(path string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.visits[path]
}

func (a *app) echo(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.visits[r.URL.Path]++
	a.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e := echo{
		Method: r.Method, Path: r.URL.RequestURI(), Body: string(body),
		User: r.Header.Get("X-Auth-User"), Session: r.Header.Get("X-Auth-Session"), Roles: r.Header.Get("X-Auth-Roles"),
		Host: r.Host, From: r.Header.Get("X-Forwarded-For") + r.Header.Get("Forwarded"), Proto: r.Header.Get("X-Forwarded-Proto"),
	}
	for name, values := range r.Header {
		if strings.Join(values, "") != "" && strings.HasPrefix(strings.ReplaceAll(strings.ToLower(name), "_", "-"), "x-auth-") {
			e.Identity = append(e.Identity, name)
		}
	}
	slices.Sort(e.Identity)
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=600") // as careless apps do
	h.Set("CDN-Cache-Control", "max-age=600")
	h.Add("Set-Cookie", "theme=dark; Path=/")
	_ = json.NewEncoder(w).Encode(e) // the caller is gone: the test sees it
}

// socket answers every line with itself, after an upgrade.
func (a *app) socket(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "websocket" || !strings.EqualFold(r.Header.Get("Connection"), "upgrade") || !r.ProtoAtLeast(1, 1) {
		http.Error(w, "no upgrade asked for", http.StatusUpgradeRequired)
		return
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-User: %s\r\n\r\n", r.Header.Get("X-Auth-User"))
	_, _ = io.Copy(conn, rw) // until the browser is gone
}

// stream sends a line and goes on only when the browser has had it and hung up.
func (a *app) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // what nginx wants to hear
	fmt.Fprint(w, "data: first\n\n")
	_ = http.NewResponseController(w).Flush() // the caller is gone: the test sees it
	<-r.Context().Done()
}

// browser keeps cookies and sends them as browsers do. It connects from
// another address of this machine than the proxies do.
type browser struct {
	*http.Client
	rig *rig
}

const browserIP = "127.0.0.7"

func (r *rig) newBrowser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := r.transport()
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{rig: r, Client: &http.Client{
		Jar: jar, Transport: transport, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (r *rig) transport() *http.Transport {
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(browserIP)}}
	return &http.Transport{
		DialContext:     from.DialContext,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // nobody but us can listen there, and TLS is not what is tested
	}
}

// login is what the login page does.
func (b *browser) login(t *testing.T) tokens {
	t.Helper()
	return b.loginAs(t, email)
}

func (b *browser) loginAs(t *testing.T, email string, headers ...string) tokens {
	t.Helper()
	body := fmt.Sprintf(`{"identifier":%q,"password":%q,"transport":"cookie"}`, email, password)
	res := b.send(t, http.MethodPost, "/v1/login", body, append(headers, "Content-Type", "application/json", "Origin", b.rig.base)...)
	var tok tokens
	if err := json.Unmarshal(res.body, &tok); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("log in through the proxy: got %d %s, %v", res.StatusCode, res.body, err)
	}
	return b.tokens(t, tok.Session)
}

const (
	accessCookie  = "__Host-bitjang_at"
	refreshCookie = "__Host-bitjang_rt"
)

// tokens are those in the browser's jar.
func (b *browser) tokens(t *testing.T, session string) tokens {
	t.Helper()
	u, err := url.Parse(b.rig.base)
	if err != nil {
		t.Fatal(err)
	}
	tok := tokens{Session: session}
	for _, c := range b.Jar.Cookies(u) {
		switch c.Name {
		case accessCookie:
			tok.Access = c.Value
		case refreshCookie:
			tok.Refresh = c.Value
		}
	}
	if tok.Access == "" || tok.Refresh == "" {
		t.Fatalf("got cookies %v, want both tokens", b.Jar.Cookies(u))
	}
	return tok
}

// page is an answer with its body.
type page struct {
	*http.Response
	body []byte
}

// send sends a request with headers given as name, value, name, value.
func (b *browser) send(t *testing.T, method, path, body string, headers ...string) page {
	t.Helper()
	p, err := b.trySend(method, path, body, headers...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return p
}

func (b *browser) trySend(method, path, body string, headers ...string) (page, error) {
	req, err := http.NewRequest(method, b.rig.base+path, strings.NewReader(body))
	if err != nil {
		return page{}, err
	}
	req.Header.Set("User-Agent", userAgent)
	for i := 0; i < len(headers); i += 2 {
		req.Header[headers[i]] = []string{headers[i+1]}
	}
	resp, err := b.Do(req)
	if err != nil {
		return page{}, err
	}
	raw, err := io.ReadAll(resp.Body)
	return page{resp, raw}, errors.Join(err, resp.Body.Close())
}

func (b *browser) get(t *testing.T, path string, headers ...string) page {
	t.Helper()
	return b.send(t, http.MethodGet, path, "", headers...)
}

// want checks the status.
func (p page) want(t *testing.T, status int) page {
	t.Helper()
	if p.StatusCode != status {
		t.Fatalf("%s %s: got %d %s, want %d", p.Request.Method, p.Request.URL.Path, p.StatusCode, p.body, status)
	}
	return p
}

// echo is what the app saw.
func (p page) echo(t *testing.T) (e echo) {
	t.Helper()
	p.want(t, http.StatusOK)
	if err := json.Unmarshal(p.body, &e); err != nil {
		t.Fatalf("read the app's answer %s: %v", p.body, err)
	}
	return e
}

// tokenCookies are those of our cookies that the answer sets.
func (p page) tokenCookies() map[string]*http.Cookie {
	found := map[string]*http.Cookie{}
	for _, c := range p.Cookies() {
		if c.Name == accessCookie || c.Name == refreshCookie {
			found[c.Name] = c
		}
	}
	return found
}
