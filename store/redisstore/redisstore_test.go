package redisstore_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/servers"
	"github.com/bitjang/bitjang/store/redisstore"
	"github.com/bitjang/bitjang/store/storetest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := servers.CloseAll(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// with adds parameters to an address.
func with(t testing.TB, address string, parameters ...string) string {
	t.Helper()
	u, query, _ := strings.Cut(address, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(parameters); i += 2 {
		values.Set(parameters[i], parameters[i+1])
	}
	return u + "?" + values.Encode()
}

// open opens a store of its own on a shared server.
func open(t testing.TB, address string, parameters ...string) *redisstore.Store {
	t.Helper()
	parameters = append([]string{"prefix", "bitjang:" + rand.Text() + ":"}, parameters...)
	st, err := redisstore.Open(t.Context(), with(t, address, parameters...), redisstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

func suite(t *testing.T, address string, parameters ...string) {
	t.Helper()
	storetest.RunSessions(t, func(t *testing.T) bitjang.SessionStore { return open(t, address, parameters...) })
}

func TestSingle(t *testing.T)  { suite(t, servers.NeedRedis(t).URL()) }
func TestCluster(t *testing.T) { suite(t, servers.NeedCluster(t).URL()) }

func TestSentinel(t *testing.T) { suite(t, servers.NeedSentinel(t).URL(), "replicas", "1") }

// TestOther is for servers of another release.
func TestOther(t *testing.T) {
	address := os.Getenv("BITJANG_TEST_REDIS")
	if address == "" {
		t.Skip("BITJANG_TEST_REDIS names no server")
	}
	suite(t, address)
}

func newSession(user string) bitjang.Session {
	now := time.Now().UTC().Truncate(time.Millisecond)
	s := bitjang.Session{
		ID: bitjang.NewSessionID(user), UserID: user, Version: 1, CreatedAt: now, LastSeenAt: now,
		IdleExpiresAt: now.Add(time.Hour), ExpiresAt: now.Add(2 * time.Hour),
	}
	rand.Read(s.Nonce[:])
	return s
}

func newGrant() bitjang.Grant {
	g := bitjang.Grant{Kind: "k", CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
	rand.Read(g.ID[:])
	return g
}

// ok fails the test on an error.
func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("got %v, want no error", err)
	}
}

// outage checks that an error is none of the contract's answers.
func outage(t testing.TB, err error) {
	t.Helper()
	for _, answer := range []error{nil, bitjang.ErrNotFound, bitjang.ErrConflict, bitjang.ErrExists, bitjang.ErrCursor} {
		if errors.Is(err, answer) {
			t.Fatalf("got %v, want an outage", err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	single, group, sentinels := servers.NeedRedis(t), servers.NeedCluster(t), servers.NeedSentinel(t)
	primary, err := sentinels.Primary(t.Context())
	ok(t, err)
	for name, tt := range map[string]struct{ address, want string }{
		"nobody there":               {"redis://u:secret@127.0.0.1:1/0", "refused"},
		"a single server as Cluster": {"redis+cluster://" + single.Addr(), "not part of a Cluster"},
		"a Cluster as single server": {"redis://" + group.Nodes[0].Addr(), "redis+cluster://"},
		"a Sentinel as its server":   {"redis://" + sentinels.Sentinels[0].Addr(), "redis+sentinel://"},
		"a replica":                  {"redis://" + sentinels.Nodes[(primary+1)%3].Addr(), "replica"},
		"a group of another name":    {"redis+sentinel://" + sentinels.Sentinels[0].Addr() + "/other", ""},
		"a password nobody asked":    {"redis://u:secret@" + single.Addr(), "WRONGPASS"},
		"plain text to TLS":          {"rediss://" + single.Addr(), ""},
	} {
		t.Run(name, func(t *testing.T) {
			st, err := redisstore.Open(t.Context(), with(t, tt.address, "timeout", "1s"), redisstore.Options{})
			if err == nil {
				st.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want an error with %q and no password", err, tt.want)
			}
		})
	}
	if _, err := redisstore.Open(t.Context(), single.URL(), redisstore.Options{Retention: -1}); err == nil {
		t.Error("negative retention: got no error")
	}
}

// TestDemoted has the server become a replica of an empty one under our feet. It
// must not deny what it has lost: sessions would be held for unknown.
func TestDemoted(t *testing.T) {
	start := func(ctx context.Context) (*servers.Server, error) {
		return servers.Redis(ctx, servers.RedisOptions{Extra: "repl-diskless-sync-delay 0"})
	}
	server, other := servers.Own(t, start), servers.Own(t, start)
	st := open(t, server.URL(), "timeout", "300ms")
	s := newSession("u")
	ok(t, st.InsertSession(t.Context(), s))
	g := newGrant()
	ok(t, st.InsertGrant(t.Context(), g))
	_, err := server.CLI(t.Context(), "REPLICAOF "+strings.Replace(other.Addr(), ":", " ", 1))
	ok(t, err)
	for text := ""; !strings.Contains(text, "master_link_status:up"); time.Sleep(50 * time.Millisecond) {
		text, err = server.CLI(t.Context(), "INFO replication")
		ok(t, err)
	}
	_, err = st.Session(t.Context(), s.ID)
	outage(t, err)
	_, err = st.ConfirmSession(t.Context(), bitjang.Confirmation{ID: s.ID, Generation: 1})
	outage(t, err)
	outage(t, st.UpdateSession(t.Context(), s, nil))
	_, err = st.ConsumeGrant(t.Context(), g.ID, time.Now())
	outage(t, err)
	_, err = st.EndSessions(t.Context(), bitjang.EndFilter{UserID: "u"})
	outage(t, err)
}

// TestTriedAgain has the server be a replica for a moment, as in a fail-over:
// what it refuses then is done afterwards.
func TestTriedAgain(t *testing.T) {
	server := servers.Own(t, func(ctx context.Context) (*servers.Server, error) {
		return servers.Redis(ctx, servers.RedisOptions{})
	})
	st := open(t, server.URL(), "timeout", "5s")
	s := newSession("u")
	ok(t, st.InsertSession(t.Context(), s))
	_, err := server.CLI(t.Context(), "REPLICAOF 127.0.0.1 1")
	ok(t, err)
	promoted := make(chan error, 1)
	time.AfterFunc(300*time.Millisecond, func() {
		_, err := server.CLI(context.Background(), "REPLICAOF NO ONE")
		promoted <- err
	})
	_, err = st.ConfirmSession(t.Context(), bitjang.Confirmation{ID: s.ID, Generation: 1, Parent: s.Nonce, Now: s.CreatedAt, IdleExpiresAt: s.IdleExpiresAt})
	ok(t, err)
	ok(t, <-promoted)
}

// TestServerEchoes is a server that repeats what it does not understand.
func TestServerEchoes(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for b := make([]byte, 4096); ; {
					n, err := conn.Read(b)
					if err != nil {
						return
					}
					echo := strings.Join(strings.Fields(string(b[:n])), " ")
					for range strings.Count(echo, "*") {
						fmt.Fprintf(conn, "-ERR unknown command: %s\r\n", echo)
					}
				}
			}()
		}
	}()
	_, err = redisstore.Open(t.Context(), "redis://u:se%25cret@"+l.Addr().String()+"?timeout=1s", redisstore.Options{})
	if err == nil || !strings.Contains(err.Error(), "AUTH u") && !strings.Contains(err.Error(), "AUTH $1 u") || strings.Contains(err.Error(), "se%cret") {
		t.Errorf("got %v, want what the server said without the password", err)
	}
}

// TestUpdateKeeps passes what an update must not write.
func TestUpdateKeeps(t *testing.T) {
	st := open(t, servers.NeedRedis(t).URL())
	s := newSession("u")
	ok(t, st.InsertSession(t.Context(), s))
	other := s
	other.UserID, other.CreatedAt = "somebody else", s.CreatedAt.Add(time.Hour)
	ok(t, st.UpdateSession(t.Context(), other, nil))
	got, err := st.Session(t.Context(), s.ID)
	ok(t, err)
	if got.UserID != s.UserID || !got.CreatedAt.Equal(s.CreatedAt) {
		t.Errorf("got %q of %v, want it as it was", got.UserID, got.CreatedAt)
	}
}

// TestGenerationEnds has a session come to the last generation that there is.
func TestGenerationEnds(t *testing.T) {
	st := open(t, servers.NeedRedis(t).URL())
	s := newSession("u")
	s.Generation = 1<<32 - 1
	ok(t, st.InsertSession(t.Context(), s))
	_, err := st.ConfirmSession(t.Context(), bitjang.Confirmation{ID: s.ID, Generation: 0, Parent: s.Nonce, Now: s.CreatedAt, IdleExpiresAt: s.IdleExpiresAt})
	if !errors.Is(err, bitjang.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
}

// TestDeletedToTheMoment deletes what was dead before, and no more.
func TestDeletedToTheMoment(t *testing.T) {
	st := open(t, servers.NeedRedis(t).URL())
	s := newSession("u")
	ok(t, st.InsertSession(t.Context(), s))
	slid := s.IdleExpiresAt.Add(time.Minute)
	_, err := st.ConfirmSession(t.Context(), bitjang.Confirmation{ID: s.ID, Generation: 1, Parent: s.Nonce, Now: s.CreatedAt, IdleExpiresAt: slid})
	ok(t, err)
	g := newGrant()
	ok(t, st.InsertGrant(t.Context(), g))
	for _, tt := range []struct {
		at   time.Time
		want int
	}{{slid, 0}, {slid.Add(time.Millisecond), 1}} {
		n, _, err := st.DeleteSessions(t.Context(), tt.at, 10)
		if ok(t, err); n != tt.want {
			t.Errorf("sessions at %v: got %d removed, want %d", tt.at, n, tt.want)
		}
	}
	for _, tt := range []struct {
		at   time.Time
		want int
	}{{g.ExpiresAt, 0}, {g.ExpiresAt.Add(time.Millisecond), 1}} {
		n, err := st.DeleteGrants(t.Context(), tt.at, 10)
		if ok(t, err); n != tt.want {
			t.Errorf("grants at %v: got %d removed, want %d", tt.at, n, tt.want)
		}
	}
	if _, err := st.ConsumeGrant(t.Context(), g.ID, time.Now()); !errors.Is(err, bitjang.ErrNotFound) {
		t.Errorf("a deleted grant: got %v, want ErrNotFound", err)
	}
}

func TestForeignShardIsRefused(t *testing.T) {
	st := open(t, servers.NeedRedis(t).URL())
	s := newSession("u")
	s.ID[0]++
	err := st.InsertSession(t.Context(), s)
	outage(t, err)
	_, err = st.Session(t.Context(), s.ID)
	if !errors.Is(err, bitjang.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}
