//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

const (
	verifier = "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee"
	callback = "https://app.example.com/callback"
	email    = "ann@example.com"
	password = "seven grey geese"
)

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// stage is all the servers.
type stage struct {
	dir  string
	all  []contestant
	stop []func()
}

func newStage(ctx context.Context, callers int) (*stage, error) {
	dir, err := os.MkdirTemp("bench", ".work-") // on the disk of the checkout
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	s := &stage{dir: dir}
	for _, start := range []func(context.Context, int) (contestant, error){s.bitjang, s.oidcProvider, s.pocketBase, s.limit} {
		c, err := start(ctx, callers)
		if err != nil {
			s.close()
			return nil, err
		}
		s.all = append(s.all, c)
	}
	return s, nil
}

func (s *stage) close() {
	for _, stop := range s.stop {
		stop()
	}
	_ = os.RemoveAll(s.dir)
}

// program starts a program and waits until a URL answers.
func (s *stage) program(ctx context.Context, ready string, env []string, name string, args ...string) (*exec.Cmd, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s.stop = append(s.stop, func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 600 {
		if resp, err := client.Get(ready); err == nil {
			resp.Body.Close()
			return cmd, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil, fmt.Errorf("%s does not start", name)
}

func build(ctx context.Context, dir, out, what string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", out, what)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	if b, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", what, err, b)
	}
	return nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

var printedClient = regexp.MustCompile(`client id\s+(\S+)\s+(?:.*\s+)?(bjs_\S+)`)

// bitjang is the real binary with SQLite, every commit durable.
func (s *stage) bitjang(ctx context.Context, callers int) (c contestant, err error) {
	address, err := freeAddress()
	if err != nil {
		return c, err
	}
	binary, base := filepath.Join(s.dir, "bitjang"), "http://"+address
	if err := build(ctx, ".", binary, "./cmd/bitjang"); err != nil {
		return c, err
	}
	env := []string{"BITJANG_DATA_DIR=" + filepath.Join(s.dir, "data"), "BITJANG_LISTEN=" + address, "BITJANG_ISSUER=" + base, "BITJANG_RATE_LIMITS=off", "BITJANG_LOG_LEVEL=error"}
	cmd, err := s.program(ctx, base+"/readyz", env, binary, "serve")
	if err != nil {
		return c, err
	}
	add := exec.CommandContext(ctx, binary, "client", "add", "Bench", "--first-party", "--redirect-uri", callback)
	add.Env = append(os.Environ(), env...)
	out, err := add.CombinedOutput()
	m := printedClient.FindSubmatch(out)
	if err != nil || m == nil {
		return c, fmt.Errorf("client add: %w\n%s", err, out)
	}
	p := &peer{base: base, token: "/oauth2/token", introspection: "/oauth2/introspect", userinfo: "/oauth2/userinfo", id: string(m[1]), secret: string(m[2]), callers: callers}
	person := fmt.Sprintf(`{"email":%q,"identifier":%q,"password":%q}`, email, email, password)
	if err := call(http.MethodPost, base+"/v1/signup", "", "application/json", []byte(person), nil); err != nil && !strings.Contains(err.Error(), "201") {
		return c, err
	}
	var login tokens
	if err := call(http.MethodPost, base+"/v1/login", "", "application/json", []byte(person), &login); err != nil {
		return c, err
	}
	p.mint = func(n int) ([]string, error) { return p.authorize(login.Access, n) }
	return p.contestant("Bitjang (SQLite, durable)", cmd)
}

// oidcProvider keeps everything in memory, so it has no disk to wait for.
func (s *stage) oidcProvider(ctx context.Context, callers int) (c contestant, err error) {
	address, err := freeAddress()
	if err != nil {
		return c, err
	}
	dir := filepath.Join("bench", "peers", "oidc-provider")
	install := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		return c, fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	_, port, _ := net.SplitHostPort(address)
	base := "http://" + address
	cmd, err := s.program(ctx, base+"/.well-known/openid-configuration", []string{"PORT=" + port, "NODE_ENV=production"}, "node", filepath.Join(dir, "server.js"))
	if err != nil {
		return c, err
	}
	p := &peer{base: base, token: "/token", introspection: "/token/introspection", userinfo: "/me", id: "bench", secret: "bench-secret", callers: callers}
	p.mint = func(n int) ([]string, error) {
		var answer struct{ Codes []string }
		err := call(http.MethodGet, fmt.Sprintf("%s/mint?n=%d&verifier=%s", base, n, verifier), "", "", nil, &answer)
		return answer.Codes, err
	}
	return p.contestant("oidc-provider (memory)", cmd)
}

// pocketBase has no OAuth server; what it has is nearest to two of the rows.
func (s *stage) pocketBase(ctx context.Context, _ int) (c contestant, err error) {
	address, err := freeAddress()
	if err != nil {
		return c, err
	}
	binary, base := filepath.Join(s.dir, "pocketbase"), "http://"+address
	if err := build(ctx, filepath.Join("bench", "peers", "pocketbase"), binary, "."); err != nil {
		return c, err
	}
	cmd, err := s.program(ctx, base+"/api/health", []string{"DATA_DIR=" + filepath.Join(s.dir, "pb")}, binary, "serve", "--http", address)
	if err != nil {
		return c, err
	}
	var login struct {
		Token  string
		Record struct{ ID string }
	}
	if err := call(http.MethodPost, base+"/api/collections/users/auth-with-password", "", "application/json",
		fmt.Appendf(nil, `{"identity":%q,"password":%q}`, email, password), &login); err != nil {
		return c, err
	}
	return contestant{name: "PocketBase (SQLite)", cpu: cpuOf(cmd.Process.Pid), ops: map[string]op{
		"userinfo": {send: func(int, int) error {
			return call(http.MethodGet, base+"/api/collections/users/records/"+login.Record.ID, login.Token, "", nil, nil)
		}},
		"refresh": {send: func(int, int) error {
			return call(http.MethodPost, base+"/api/collections/users/auth-refresh", login.Token, "application/json", []byte("{}"), nil)
		}},
	}}, nil
}

// peer is a server that speaks OAuth.
type peer struct {
	base, token, introspection, userinfo string
	id, secret                           string
	callers                              int
	mint                                 func(n int) ([]string, error)
	codes                                []string
	held                                 []tokens // of each caller
}

// authorize gets codes from the authorization endpoint, as a logged-in browser does.
func (p *peer) authorize(access string, n int) (codes []string, err error) {
	query := url.Values{"response_type": {"code"}, "client_id": {p.id}, "redirect_uri": {callback}, "scope": {"openid email offline_access"}, "code_challenge": {challenge()}, "code_challenge_method": {"S256"}}
	for range n {
		req, err := http.NewRequest(http.MethodGet, p.base+"/oauth2/authorize?"+query.Encode(), nil)
		if err != nil {
			return nil, err
		}
		req.AddCookie(&http.Cookie{Name: "__Host-bitjang_at", Value: access})
		resp, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		resp.Body.Close()
		to, err := resp.Location()
		if err != nil || to.Query().Get("code") == "" {
			return nil, errors.New("the authorization endpoint gives no code")
		}
		codes = append(codes, to.Query().Get("code"))
	}
	return codes, nil
}

func (p *peer) exchange(code string, t *tokens) error {
	return form(p.base+p.token, t, "grant_type", "authorization_code", "client_id", p.id, "client_secret", p.secret, "code", code, "code_verifier", verifier, "redirect_uri", callback)
}

func (p *peer) contestant(name string, cmd *exec.Cmd) (contestant, error) {
	codes, err := p.mint(p.callers)
	if err != nil {
		return contestant{}, err
	}
	p.held = make([]tokens, len(codes))
	for i, code := range codes {
		if err := p.exchange(code, &p.held[i]); err != nil {
			return contestant{}, err
		}
	}
	return contestant{name: name, cpu: cpuOf(cmd.Process.Pid), ops: map[string]op{
		"introspect": {send: func(c, _ int) error {
			var said struct{ Active bool }
			err := form(p.base+p.introspection, &said, "token", p.held[c].Access, "client_id", p.id, "client_secret", p.secret)
			if err == nil && !said.Active {
				err = errors.New("a good token is inactive")
			}
			return err
		}},
		"userinfo": {send: func(c, _ int) error {
			return call(http.MethodGet, p.base+p.userinfo, p.held[c].Access, "", nil, nil)
		}},
		"exchange a code": {once: true,
			prepare: func(n int) (err error) { p.codes, err = p.mint(n); return err },
			send: func(_, k int) error {
				var t tokens
				err := p.exchange(p.codes[k], &t)
				if err == nil && (t.Access == "" || t.ID == "" || t.Refresh == "") {
					err = errors.New("a token is missing")
				}
				return err
			}},
		"refresh": {send: func(c, _ int) error {
			var t tokens
			err := form(p.base+p.token, &t, "grant_type", "refresh_token", "client_id", p.id, "client_secret", p.secret, "refresh_token", p.held[c].Refresh)
			if err == nil && (t.Refresh == "" || t.Refresh == p.held[c].Refresh) {
				err = errors.New("the refresh token was not rotated")
			}
			p.held[c] = t
			return err
		}},
	}}, nil
}

// verification runs package verify's own benchmarks.
func (s *stage) verification(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "Verify(Cached|Uncached|DPoP)$", "-benchtime", "2s", "-count", "3", "-cpu", "1", "./verify").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	var lines []string
	for line := range bytes.Lines(out) {
		if bytes.HasPrefix(line, []byte("Benchmark")) {
			lines = append(lines, strings.Join(strings.Fields(string(line)), " "))
		}
	}
	return strings.Join(lines, "\n"), nil
}
