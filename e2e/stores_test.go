package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bitjang/bitjang/internal/servers"
)

// storeKind is a database server and the setting that names it.
type storeKind struct {
	name    string
	setting string
	start   func(context.Context) (*servers.Server, error)
}

var storeKinds = []storeKind{
	{"postgres", "BITJANG_DATABASE", func(ctx context.Context) (*servers.Server, error) { return servers.Postgres(ctx) }},
	{"mariadb", "BITJANG_DATABASE", func(ctx context.Context) (*servers.Server, error) { return servers.MariaDB(ctx) }},
	{"redis", "BITJANG_SESSIONS", func(ctx context.Context) (*servers.Server, error) {
		return servers.Redis(ctx, servers.RedisOptions{})
	}},
}

// secondNode is another process on the same data.
func secondNode(t *testing.T, first *bitjang) *bitjang {
	t.Helper()
	b := *first
	b.address, b.admin = fmt.Sprintf("127.0.0.1:%d", the.free(t)), fmt.Sprintf("127.0.0.1:%d", the.free(t))
	b.log = newLog(t, "second node")
	b.env = append(b.env[:len(b.env):len(b.env)], "BITJANG_LISTEN="+b.address, "BITJANG_ADMIN_LISTEN="+b.admin)
	b.start(t)
	return &b
}

// TestALogoutReachesTheOtherNode ends a session at one node. The other must
// hear of it from the feed: the store is paused right after, so that it cannot
// ask, and must refuse that session's access token, and no other.
func TestALogoutReachesTheOtherNode(t *testing.T) {
	for _, k := range storeKinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			store := servers.Own(t, k.start)
			one := startBitjang(t, k.setting+"="+store.URL())
			two := secondNode(t, one)
			c, elsewhere := newClient(t, one.url("")), newClient(t, two.url(""))
			ended, going := c.login(t), c.login(t)
			began := time.Now()
			if a, err := c.do(http.MethodPost, "/v1/logout", ended.Access, nil); err != nil || a.Status != http.StatusNoContent {
				t.Fatalf("log out: got %v, %v", a, err)
			}
			two.until(t, "wait for the feed", func() error { return two.hasRevoked(1) })
			t.Logf("the other node knew after %v", time.Since(began).Round(time.Millisecond))
			if err := store.Pause(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := store.Resume(); err != nil {
					t.Error(err)
				}
			}()
			for _, tt := range []struct {
				access string
				want   int
			}{{ended.Access, http.StatusUnauthorized}, {going.Access, http.StatusServiceUnavailable}} {
				if got := elsewhere.asks(t, "/v1/sessions", tt.access); got != tt.want {
					t.Errorf("got %d, want %d", got, tt.want)
				}
			}
		})
	}
}

// hasRevoked checks how many ended sessions the node has heard of.
func (b *bitjang) hasRevoked(want int) error {
	resp, err := http.Get("http://" + b.admin + "/metrics")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if line := fmt.Sprintf("\nbitjang_revoked_sessions %d\n", want); !strings.Contains(string(body), line) {
		return fmt.Errorf("no line %q", line)
	}
	return nil
}

// TestSessionsMoveBetweenStoresUnderLoad moves them from PostgreSQL to Redis
// and on to MariaDB while apps refresh, with the restarts that the manual asks
// for.
func TestSessionsMoveBetweenStoresUnderLoad(t *testing.T) {
	postgres, mariadb, redis := servers.Own(t, storeKinds[0].start), servers.Own(t, storeKinds[1].start), servers.Own(t, storeKinds[2].start)
	b := startBitjang(t, "BITJANG_DATABASE="+postgres.URL())
	l := newLoad(t, b, 30)
	idle := newClient(t, b.url("")).login(t)
	l.run(t)
	restart := func(sessions, also string) {
		b.env = append(b.env, "BITJANG_SESSIONS="+sessions, "BITJANG_SESSIONS_ALSO="+also)
		b.terminate(t)
		b.wait(t)
		b.start(t)
		l.progress(t, 50)
	}
	for _, way := range [][2]string{{"database", redis.URL()}, {redis.URL(), mariadb.URL()}} {
		restart(way[1], way[0])
		out := b.cli(t, "", "migrate", "sessions", "--from", way[0], "--to", way[1])
		if !strings.HasPrefix(string(out), "31 sessions moved") {
			t.Errorf("got %q, want all 31 sessions moved", out)
		}
		restart(way[1], "")
	}
	l.halt()
	t.Logf("outcomes: %v", l.outcomes)
	b.wantAlive(t, idle.Session)
	extra := newClient(t, b.url(""))
	extra.refresh(t, idle.Refresh)
	l.wantNobodyOutBut(t, 1)
}

// TestEachStoreAwayInMixedMode has users in PostgreSQL and sessions in Redis,
// and takes one away after the other.
func TestEachStoreAwayInMixedMode(t *testing.T) {
	t.Parallel()
	postgres, redis := servers.Own(t, storeKinds[0].start), servers.Own(t, storeKinds[2].start)
	b := startBitjang(t, "BITJANG_DATABASE="+postgres.URL()+"&timeout=1s", "BITJANG_SESSIONS="+redis.URL()+"?timeout=1s")
	c := newClient(t, b.url(""))
	held := c.refresh(t, c.login(t).Refresh)
	credentials := map[string]string{"identifier": email, "password": password}

	if err := postgres.Pause(); err != nil {
		t.Fatal(err)
	}
	held = c.refresh(t, held.Refresh) // needs no user
	if got := c.asks(t, "/v1/sessions", held.Access); got != http.StatusOK {
		t.Errorf("list the sessions without PostgreSQL: got %d, want 200", got)
	}
	c.wantUnavailable(t, "/v1/login", credentials)
	if err := postgres.Resume(); err != nil {
		t.Fatal(err)
	}

	if err := redis.Pause(); err != nil {
		t.Fatal(err)
	}
	c.wantUnavailable(t, "/v1/refresh", map[string]string{"refresh_token": held.Refresh})
	c.wantUnavailable(t, "/v1/login", credentials)
	if err := redis.Resume(); err != nil {
		t.Fatal(err)
	}
	b.until(t, "wait for the stores", func() error { return expect(http.Get(b.url("/readyz"))) })
	held = c.refresh(t, held.Refresh)
	c.login(t)
	b.wantAlive(t, held.Session)
}

// wantUnavailable checks for a 503 that says when to come again.
func (c *client) wantUnavailable(t *testing.T, path string, body map[string]string) {
	t.Helper()
	payload, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.http.Post(c.base+path, "application/json", bytes.NewReader(payload))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("POST %s with a store away: got %d, Retry-After %q; want 503 with Retry-After", path, resp.StatusCode, resp.Header.Get("Retry-After"))
	}
}

// TestCheckWarnsOfARedisThatLosesSessions tries one that throws away what does
// not fit and writes nothing to disk, and a usual one.
func TestCheckWarnsOfARedisThatLosesSessions(t *testing.T) {
	t.Parallel()
	careless := servers.Own(t, func(ctx context.Context) (*servers.Server, error) {
		return servers.Redis(ctx, servers.RedisOptions{AppendFsync: "no", Extra: "maxmemory 64mb\nmaxmemory-policy allkeys-lru\nappendonly no\nsave \"\"\n"})
	})
	careful := servers.Own(t, func(ctx context.Context) (*servers.Server, error) {
		return servers.Redis(ctx, servers.RedisOptions{AppendFsync: "always"})
	})
	b := startBitjang(t, "BITJANG_SESSIONS="+careful.URL())
	if out := string(b.cli(t, "", "check")); strings.Contains(out, "warning") {
		t.Errorf("got %s, want no warning", out)
	}
	out := string(b.cli(t, "", "check", "--sessions", careless.URL()))
	for _, want := range []string{"throws away live sessions", "set maxmemory-policy noeviction", "keeps nothing on disk", "set appendonly yes"} {
		if !strings.Contains(out, want) {
			t.Errorf("got %s, want it to say %q", out, want)
		}
	}
}
