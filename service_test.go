package bitjang_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/store/memory"
)

const (
	ada          = "ada@example.com"
	rightPass    = "ada's right password"
	wrongPass    = "ada's wrong password"
	rotationTime = 30 * time.Second // the default grace
)

var (
	atNoon     = time.Date(2026, 11, 22, 12, 0, 0, 123_000_000, time.UTC)
	fromLaptop = caller("192.0.2.1", "laptop", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	fromPhone  = caller("192.0.2.2", "phone", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1")
	fromThief  = caller("203.0.113.66", "thief", "curl/8.0")
)

func caller(ip, device, userAgent string) bitjang.Caller {
	return bitjang.Caller{IP: netip.MustParseAddr(ip), Device: bitjang.Device{ID: device, UserAgent: userAgent}}
}

// rig is a service on a memory store, with a clock to turn, a store to watch
// and disturb, and everything that was logged.
type rig struct {
	*bitjang.Service
	cfg   bitjang.Config
	store *spy
	clock *wallClock
	log   *syncBuffer
}

func newRig(t *testing.T, edits ...func(*bitjang.Config)) *rig {
	t.Helper()
	r := &rig{store: &spy{Store: memory.New()}, clock: &wallClock{at: atNoon}, log: &syncBuffer{}}
	r.cfg = bitjang.Config{
		Issuer: "https://auth.example.com", MasterKeys: []bitjang.Secret{bitjang.NewMasterKey()}, Store: r.store,
		PasswordMemoryKiB: 8192, PasswordTime: 1, PasswordWorkers: 2, Now: r.clock.now, NoRateLimits: true,
		Logger: slog.New(slog.NewJSONHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, edit := range edits {
		edit(&r.cfg)
	}
	r.Service = r.node(t, r.cfg)
	if err := r.LoadKeys(t.Context()); err != nil {
		t.Fatalf("LoadKeys: %v", err)
	}
	return r
}

// copy is the same service once more: users, sessions and keys on a store of
// its own, at the same time. It costs no password hashes.
func (r *rig) copy(t *testing.T) *rig {
	t.Helper()
	ctx, to := t.Context(), memory.New()
	check := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	users, err := r.store.Store.Users(ctx, "", 1000)
	check(err)
	for _, u := range users {
		check(to.InsertUser(ctx, u))
		sessions, err := r.store.Store.Sessions(ctx, bitjang.SessionQuery{UserID: u.ID, Limit: 1000})
		check(err)
		for _, sess := range sessions {
			check(to.InsertSession(ctx, sess))
		}
	}
	keys, err := r.store.Store.Keys(ctx)
	check(err)
	for _, k := range keys {
		check(to.InsertKey(ctx, k))
	}
	c := &rig{cfg: r.cfg, store: &spy{Store: to}, clock: &wallClock{at: r.clock.now()}, log: &syncBuffer{}}
	c.cfg.Store, c.cfg.Now, c.cfg.Logger = c.store, c.clock.now, slog.New(slog.NewJSONHandler(c.log, nil))
	c.Service = c.node(t, c.cfg)
	check(c.LoadKeys(ctx))
	return c
}

// node is another service on the same store.
func (r *rig) node(t *testing.T, cfg bitjang.Config) *bitjang.Service {
	t.Helper()
	svc, err := bitjang.New(cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return svc
}

// addAda makes the user that most tests are about.
func (r *rig) addAda(t *testing.T) bitjang.User {
	t.Helper()
	u, err := r.AddUser(t.Context(), bitjang.AddUserInput{Email: ada, Name: "Ada", Password: bitjang.NewSecret(rightPass), Roles: []string{"admin", "author"}})
	if err != nil {
		t.Fatalf("AddUser: %v", err)
	}
	return u
}

// login logs ada in, and makes her first if need be.
func (r *rig) login(t *testing.T, from bitjang.Caller) bitjang.Tokens {
	t.Helper()
	if _, err := r.FindUser(t.Context(), ada); errors.Is(err, bitjang.ErrNoSuchUser) {
		r.addAda(t)
	}
	tokens, err := r.Login(t.Context(), bitjang.LoginInput{Identifier: ada, Password: bitjang.NewSecret(rightPass), Caller: from})
	if err != nil {
		t.Fatalf("Login: %v", err)
	}
	return tokens
}

func (r *rig) refresh(t *testing.T, tokens bitjang.Tokens, from bitjang.Caller) bitjang.Tokens {
	t.Helper()
	next, err := r.Refresh(t.Context(), bitjang.RefreshInput{Token: tokens.Refresh, Caller: from})
	if err != nil {
		t.Fatalf("Refresh: %v", err)
	}
	return next
}

// refused refreshes and wants want.
func (r *rig) refused(t *testing.T, tokens bitjang.Tokens, from bitjang.Caller, want error) {
	t.Helper()
	got, err := r.Refresh(t.Context(), bitjang.RefreshInput{Token: tokens.Refresh, Caller: from})
	if !errors.Is(err, want) {
		t.Errorf("refresh: got %v, want %v", err, want)
	}
	if !got.Access.IsZero() || !got.Refresh.IsZero() {
		t.Error("a refusal handed out tokens")
	}
}

func (r *rig) authenticate(t *testing.T, tokens bitjang.Tokens) bitjang.Identity {
	t.Helper()
	id, err := r.Authenticate(t.Context(), tokens.Access)
	if err != nil {
		t.Fatalf("Authenticate: %v", err)
	}
	return id
}

func (r *rig) session(t *testing.T, tokens bitjang.Tokens) bitjang.Session {
	t.Helper()
	sess, err := r.SessionByID(t.Context(), tokens.Session.ID)
	if err != nil {
		t.Fatalf("SessionByID: %v", err)
	}
	return sess
}

// live is how many sessions ada has.
func (r *rig) live(t *testing.T) int {
	t.Helper()
	u, err := r.FindUser(t.Context(), ada)
	if err != nil {
		t.Fatal(err)
	}
	list, err := r.Sessions(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// eventTypes are the user's events, newest first.
func (r *rig) eventTypes(t *testing.T, userID string) []bitjang.EventType {
	t.Helper()
	var types []bitjang.EventType
	for _, e := range r.userEvents(t, userID) {
		types = append(types, e.Type)
	}
	return types
}

func (r *rig) userEvents(t *testing.T, userID string) []bitjang.Event {
	t.Helper()
	events, err := r.Activity(t.Context(), userID, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func checkErr(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func checkCode(t *testing.T, got error, want bitjang.Code) {
	t.Helper()
	if got == nil || bitjang.AsError(got).Code != want {
		t.Errorf("got %v, want an error of code %s", got, want)
	}
}

// tokenParts are the fields of a refresh token, read from its bytes by the
// table in docs/rotation.md and by nothing of the package.
type tokenParts struct {
	version, key  byte
	session       bitjang.SessionID
	generation    uint32
	nonce, parent bitjang.Nonce
	mac           [16]byte
}

func partsOf(t *testing.T, secret bitjang.Secret) tokenParts {
	t.Helper()
	text, ok := strings.CutPrefix(secret.Reveal(), "bjr_")
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if !ok || err != nil || len(raw) != 54 {
		t.Fatalf("not bjr_ and 54 bytes of base64url: %d bytes, %v", len(raw), err)
	}
	return tokenParts{
		version: raw[0], key: raw[1], session: bitjang.SessionID(raw[2:18]), generation: binary.BigEndian.Uint32(raw[18:22]),
		nonce: bitjang.Nonce(raw[22:30]), parent: bitjang.Nonce(raw[30:38]), mac: [16]byte(raw[38:54]),
	}
}

// wallClock is a clock that stands still until it is turned.
type wallClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *wallClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *wallClock) turn(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// spy is a store that counts calls and lets a test step in before and after
// each one. A step that returns an error takes the place of the answer.
type spy struct {
	bitjang.Store
	mu            sync.Mutex
	made          []string
	before, after func(method string) error
}

// watch forgets the calls so far and sets the steps, either of which may be nil.
func (s *spy) watch(before, after func(method string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made, s.before, s.after = nil, before, after
}

func (s *spy) calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.made...)
}

func (s *spy) around(method string, call func() error) error {
	s.mu.Lock()
	s.made = append(s.made, method)
	before, after := s.before, s.after
	s.mu.Unlock()
	if before != nil {
		if err := before(method); err != nil {
			return err
		}
	}
	err := call()
	if after != nil {
		if instead := after(method); instead != nil {
			return instead
		}
	}
	return err
}

// around1 is around for calls with an answer, which an error takes the place of.
func around1[T any](s *spy, method string, call func() (T, error)) (T, error) {
	var answer T
	err := s.around(method, func() (err error) {
		answer, err = call()
		return err
	})
	if err != nil {
		var none T
		return none, err
	}
	return answer, nil
}

func (s *spy) Spend(ctx context.Context, sp bitjang.Spending) (empty time.Time, ok bool, err error) {
	err = s.around("Spend", func() (err error) {
		empty, ok, err = s.Store.Spend(ctx, sp)
		return err
	})
	return empty, ok, err
}

func (s *spy) InsertSession(ctx context.Context, sess bitjang.Session) error {
	return s.around("InsertSession", func() error { return s.Store.InsertSession(ctx, sess) })
}

func (s *spy) Session(ctx context.Context, id bitjang.SessionID) (bitjang.Session, error) {
	return around1(s, "Session", func() (bitjang.Session, error) { return s.Store.Session(ctx, id) })
}

func (s *spy) ConfirmSession(ctx context.Context, c bitjang.Confirmation) (bitjang.Session, error) {
	return around1(s, "ConfirmSession", func() (bitjang.Session, error) { return s.Store.ConfirmSession(ctx, c) })
}

func (s *spy) UpdateSession(ctx context.Context, sess bitjang.Session, tell *bitjang.Revocation) error {
	return s.around("UpdateSession", func() error { return s.Store.UpdateSession(ctx, sess, tell) })
}

func (s *spy) Sessions(ctx context.Context, q bitjang.SessionQuery) ([]bitjang.Session, error) {
	return around1(s, "Sessions", func() ([]bitjang.Session, error) { return s.Store.Sessions(ctx, q) })
}

func (s *spy) EndSessions(ctx context.Context, f bitjang.EndFilter) (int, error) {
	return around1(s, "EndSessions", func() (int, error) { return s.Store.EndSessions(ctx, f) })
}

func (s *spy) DeleteSessions(ctx context.Context, before time.Time, limit int) (n int, more bool, err error) {
	err = s.around("DeleteSessions", func() (err error) {
		n, more, err = s.Store.DeleteSessions(ctx, before, limit)
		return err
	})
	return n, more, err
}

func (s *spy) Revocations(ctx context.Context, after string, limit int) (list []bitjang.Revocation, next string, err error) {
	err = s.around("Revocations", func() (err error) {
		list, next, err = s.Store.Revocations(ctx, after, limit)
		return err
	})
	return list, next, err
}

func (s *spy) InsertUser(ctx context.Context, u bitjang.User) error {
	return s.around("InsertUser", func() error { return s.Store.InsertUser(ctx, u) })
}

func (s *spy) User(ctx context.Context, id string) (bitjang.User, error) {
	return around1(s, "User", func() (bitjang.User, error) { return s.Store.User(ctx, id) })
}

func (s *spy) UserByEmail(ctx context.Context, email string) (bitjang.User, error) {
	return around1(s, "UserByEmail", func() (bitjang.User, error) { return s.Store.UserByEmail(ctx, email) })
}

func (s *spy) UpdateUser(ctx context.Context, u bitjang.User) error {
	return s.around("UpdateUser", func() error { return s.Store.UpdateUser(ctx, u) })
}

func (s *spy) Users(ctx context.Context, after string, limit int) ([]bitjang.User, error) {
	return around1(s, "Users", func() ([]bitjang.User, error) { return s.Store.Users(ctx, after, limit) })
}

func (s *spy) InsertEvents(ctx context.Context, events ...bitjang.Event) error {
	return s.around("InsertEvents", func() error { return s.Store.InsertEvents(ctx, events...) })
}

func (s *spy) Events(ctx context.Context, userID string, before int64, limit int) ([]bitjang.Event, error) {
	return around1(s, "Events", func() ([]bitjang.Event, error) { return s.Store.Events(ctx, userID, before, limit) })
}

func (s *spy) DeleteEvents(ctx context.Context, before time.Time, limit int) (int, error) {
	return around1(s, "DeleteEvents", func() (int, error) { return s.Store.DeleteEvents(ctx, before, limit) })
}

func (s *spy) Client(ctx context.Context, id string) (bitjang.Client, error) {
	return around1(s, "Client", func() (bitjang.Client, error) { return s.Store.Client(ctx, id) })
}

func (s *spy) InsertKey(ctx context.Context, k bitjang.SigningKey) error {
	return s.around("InsertKey", func() error { return s.Store.InsertKey(ctx, k) })
}

func (s *spy) Keys(ctx context.Context) ([]bitjang.SigningKey, error) {
	return around1(s, "Keys", func() ([]bitjang.SigningKey, error) { return s.Store.Keys(ctx) })
}

func (s *spy) UpdateKey(ctx context.Context, k bitjang.SigningKey) error {
	return s.around("UpdateKey", func() error { return s.Store.UpdateKey(ctx, k) })
}

func (s *spy) DeleteKey(ctx context.Context, id string) error {
	return s.around("DeleteKey", func() error { return s.Store.DeleteKey(ctx, id) })
}

// cmpAddr lets go-cmp compare addresses.
var cmpAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
