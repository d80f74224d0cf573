package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/server"
	"github.com/bitjang/bitjang/store/sqlstore"
)

const (
	atCookie     = "__Host-bitjang_at"
	rtCookie     = "__Host-bitjang_rt"
	deviceCookie = "__Host-bitjang_device"

	alice    = "alice@example.com"
	password = "correct horse battery"

	// browser and otherBrowser are two devices by family and system.
	browser      = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	otherBrowser = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"
)

// rig is a whole server: handler, rules, a SQLite store that can be made to
// fail, and a clock that only the test moves.
type rig struct {
	t     *testing.T
	h     http.Handler
	svc   *bitjang.Service
	store *moodyStore
	clock *testClock
	keys  []bitjang.Secret // master keys
}

// setup is what a test may choose.
type setup struct {
	bitjang.Config
	server.Options
}

func newRig(t *testing.T, choose ...func(*setup)) *rig {
	t.Helper()
	inner, err := sqlstore.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "bitjang.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = inner.Close() })
	r := &rig{t: t, store: &moodyStore{Store: inner}, clock: &testClock{now: time.Now().Truncate(time.Millisecond)}}
	s := setup{Config: bitjang.Config{
		Issuer: "https://id.example.com", MasterKeys: []bitjang.Secret{bitjang.NewMasterKey()}, Store: r.store,
		PasswordMemoryKiB: 8192, PasswordTime: 1, Now: r.clock.Now,
	}}
	for _, c := range choose {
		c(&s)
	}
	r.keys = s.MasterKeys
	r.svc, err = bitjang.New(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.svc.LoadKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.h, err = server.New(r.svc, s.Options); err != nil {
		t.Fatal(err)
	}
	return r
}

// addUser makes a user without the endpoint's company of tests.
func (r *rig) addUser(email string, roles ...string) bitjang.User {
	r.t.Helper()
	u, err := r.svc.AddUser(r.t.Context(), bitjang.AddUserInput{Email: email, Password: bitjang.NewSecret(password), Roles: roles})
	if err != nil {
		r.t.Fatal(err)
	}
	return u
}

type testClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// mod changes a request before it is sent.
type mod func(*http.Request)

func header(name, value string) mod { return func(r *http.Request) { r.Header.Add(name, value) } }
func bearer(token string) mod       { return header("Authorization", "Bearer "+token) }
func agent(ua string) mod           { return header("User-Agent", ua) }
func peer(addr string) mod          { return func(r *http.Request) { r.RemoteAddr = addr } }

func cookies(list ...*http.Cookie) mod {
	return func(r *http.Request) {
		for _, c := range list {
			r.AddCookie(c)
		}
	}
}

// answer is a recorded response.
type answer struct {
	t      *testing.T
	Status int
	Header http.Header
	Body   []byte
}

// do sends a request through the whole server and holds the answer against the
// document. A body that is not a string is sent as JSON.
func (r *rig) do(method, target string, body any, mods ...mod) *answer {
	r.t.Helper()
	text, ok := body.(string)
	if body != nil && !ok {
		raw, err := json.Marshal(body)
		if err != nil {
			r.t.Fatal(err)
		}
		text = string(raw)
	}
	req := httptest.NewRequestWithContext(r.t.Context(), method, target, strings.NewReader(text))
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, m := range mods {
		m(req)
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", browser)
	}
	w := httptest.NewRecorder()
	r.h.ServeHTTP(w, req)
	a := &answer{t: r.t, Status: w.Code, Header: w.Result().Header, Body: w.Body.Bytes()}
	checkAgainstDocument(r.t, req, a)
	return a
}

// want checks the status, and the code of a problem when one is given.
func (a *answer) want(status int, code ...string) *answer {
	a.t.Helper()
	if a.Status != status {
		a.t.Fatalf("got status %d, want %d; %v\n%s", a.Status, status, a.Header, a.Body)
	}
	if len(code) > 0 && a.text("code") != code[0] {
		a.t.Fatalf("got code %q, want %q", a.text("code"), code[0])
	}
	return a
}

func (a *answer) wantHeader(name, value string) *answer {
	a.t.Helper()
	if got := a.Header.Get(name); got != value {
		a.t.Fatalf("got %s %q, want %q", name, got, value)
	}
	return a
}

func (a *answer) decode(v any) {
	a.t.Helper()
	if err := json.Unmarshal(a.Body, v); err != nil {
		a.t.Fatalf("decode %q: %v", a.Body, err)
	}
}

// text is a member of the JSON body, "" if it is missing or no text.
func (a *answer) text(name string) string {
	var m map[string]any
	if json.Unmarshal(a.Body, &m) != nil {
		return ""
	}
	s, _ := m[name].(string)
	return s
}

func (a *answer) cookies() []*http.Cookie { return (&http.Response{Header: a.Header}).Cookies() }

func (a *answer) cookie(name string) *http.Cookie {
	for _, c := range a.cookies() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// tokens are a client's: from a body or from cookies.
type tokens struct{ access, refresh, session string }

func (a *answer) tokens() tokens {
	a.t.Helper()
	a.want(http.StatusOK)
	tk := tokens{a.text("access_token"), a.text("refresh_token"), a.text("session_id")}
	if c := a.cookie(atCookie); c != nil {
		tk.access, tk.refresh = c.Value, a.cookie(rtCookie).Value
	}
	if tk.access == "" || tk.refresh == "" {
		a.t.Fatalf("got no tokens: %s", a.Body)
	}
	return tk
}

// asCookies sends both tokens the way a browser does.
func (tk tokens) asCookies() mod {
	return func(r *http.Request) {
		if tk.access != "" {
			r.AddCookie(&http.Cookie{Name: atCookie, Value: tk.access})
		}
		if tk.refresh != "" {
			r.AddCookie(&http.Cookie{Name: rtCookie, Value: tk.refresh})
		}
	}
}

type object = map[string]any

// login opens a session of alice's; the mods say on which device.
func (r *rig) login(mods ...mod) tokens {
	r.t.Helper()
	return r.do("POST", "/v1/login", object{"identifier": alice, "password": password}, mods...).tokens()
}

func (r *rig) refresh(token string, mods ...mod) *answer {
	r.t.Helper()
	return r.do("POST", "/v1/refresh", object{"refresh_token": token}, mods...)
}

// newUserRig is a rig with alice in it.
func newUserRig(t *testing.T, choose ...func(*setup)) *rig {
	t.Helper()
	r := newRig(t, choose...)
	r.addUser(alice)
	return r
}

var errDown = errors.New("connection refused: secret-host:5432")

// moodyStore is a store that fails or panics on demand.
type moodyStore struct {
	bitjang.Store
	down  atomic.Bool
	panic atomic.Bool
	abort atomic.Bool
	stall atomic.Bool // sessions are read only when the caller has given up
	blind atomic.Bool // sessions cannot be read, but written
	full  atomic.Bool // every limit is reached
	calls atomic.Int64
}

func (m *moodyStore) mood() error {
	m.calls.Add(1)
	if m.panic.Load() {
		panic(fmt.Sprintf("the store is in panic: %v", errDown))
	}
	if m.abort.Load() {
		panic(http.ErrAbortHandler)
	}
	if m.down.Load() {
		return errDown
	}
	return nil
}

// Spend of a full store has room again in 90 seconds.
func (m *moodyStore) Spend(ctx context.Context, s bitjang.Spending) (time.Time, bool, error) {
	if m.full.Load() && s.Cost > 0 {
		return s.Now.Add(s.Capacity - s.Cost + 90*time.Second - 100*time.Millisecond), false, nil
	}
	return m.Store.Spend(ctx, s)
}

func (m *moodyStore) InsertSession(ctx context.Context, s bitjang.Session) error {
	return first(m.mood(), func() error { return m.Store.InsertSession(ctx, s) })
}

func (m *moodyStore) Session(ctx context.Context, id bitjang.SessionID) (s bitjang.Session, err error) {
	if m.blind.Load() {
		return s, errDown
	}
	if m.stall.Load() {
		<-ctx.Done()
		return s, ctx.Err()
	}
	return s, first(m.mood(), func() error { s, err = m.Store.Session(ctx, id); return err })
}

func (m *moodyStore) ConfirmSession(ctx context.Context, c bitjang.Confirmation) (s bitjang.Session, err error) {
	return s, first(m.mood(), func() error { s, err = m.Store.ConfirmSession(ctx, c); return err })
}

func (m *moodyStore) UpdateSession(ctx context.Context, s bitjang.Session, tell *bitjang.Revocation) error {
	return first(m.mood(), func() error { return m.Store.UpdateSession(ctx, s, tell) })
}

func (m *moodyStore) Sessions(ctx context.Context, q bitjang.SessionQuery) (l []bitjang.Session, err error) {
	return l, first(m.mood(), func() error { l, err = m.Store.Sessions(ctx, q); return err })
}

func (m *moodyStore) EndSessions(ctx context.Context, f bitjang.EndFilter) (n int, err error) {
	return n, first(m.mood(), func() error { n, err = m.Store.EndSessions(ctx, f); return err })
}

func (m *moodyStore) Revocations(ctx context.Context, after string, limit int) (l []bitjang.Revocation, next string, err error) {
	err = first(m.mood(), func() error { l, next, err = m.Store.Revocations(ctx, after, limit); return err })
	return l, next, err
}

func (m *moodyStore) Client(ctx context.Context, id string) (c bitjang.Client, err error) {
	err = first(m.mood(), func() error { c, err = m.Store.Client(ctx, id); return err })
	return c, err
}

func (m *moodyStore) ConsumeGrant(ctx context.Context, id bitjang.GrantID, at time.Time) (g bitjang.Grant, err error) {
	return g, first(m.mood(), func() error { g, err = m.Store.ConsumeGrant(ctx, id, at); return err })
}

func (m *moodyStore) InsertUser(ctx context.Context, u bitjang.User) error {
	return first(m.mood(), func() error { return m.Store.InsertUser(ctx, u) })
}

func (m *moodyStore) User(ctx context.Context, id string) (u bitjang.User, err error) {
	return u, first(m.mood(), func() error { u, err = m.Store.User(ctx, id); return err })
}

func (m *moodyStore) UserByEmail(ctx context.Context, email string) (u bitjang.User, err error) {
	return u, first(m.mood(), func() error { u, err = m.Store.UserByEmail(ctx, email); return err })
}

func (m *moodyStore) UpdateUser(ctx context.Context, u bitjang.User) error {
	return first(m.mood(), func() error { return m.Store.UpdateUser(ctx, u) })
}

func (m *moodyStore) InsertEvents(ctx context.Context, events ...bitjang.Event) error {
	return first(m.mood(), func() error { return m.Store.InsertEvents(ctx, events...) })
}

func (m *moodyStore) Events(ctx context.Context, user string, before int64, limit int) (l []bitjang.Event, err error) {
	return l, first(m.mood(), func() error { l, err = m.Store.Events(ctx, user, before, limit); return err })
}

func (m *moodyStore) Keys(ctx context.Context) (l []bitjang.SigningKey, err error) {
	return l, first(m.mood(), func() error { l, err = m.Store.Keys(ctx); return err })
}

// first does work unless there is an error already.
func first(err error, work func() error) error {
	if err != nil {
		return err
	}
	return work()
}
