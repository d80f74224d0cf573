package redisstore

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/servers"
)

// usual is a session as most are: a desktop browser's.
func usual(user string) bitjang.Session {
	now := time.Now().UTC().Truncate(time.Millisecond)
	s := bitjang.Session{
		ID: bitjang.NewSessionID(user), UserID: user, ClientID: "bitjang", Version: 1,
		CreatedAt: now, LastSeenAt: now, AuthTime: now, IdleExpiresAt: now.Add(14 * 24 * time.Hour), ExpiresAt: now.Add(90 * 24 * time.Hour),
		AMR: []string{"pwd"}, Scope: "openid profile email", Roles: []string{"user"},
	}
	s.ChildAt, s.ConfirmedAt = now, now
	rand.Read(s.Nonce[:])
	s.Device = bitjang.Device{
		ID: rand.Text(), UserAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
		Hints: bitjang.ClientHints{Brand: "Google Chrome", Platform: "Linux", PlatformVersion: "6.12.0"},
	}
	return s
}

func userID(i int) string { return fmt.Sprintf("0196f3a2-7c11-7b7a-9d1c-%012d", i) }

func opened(t testing.TB, url string) *Store {
	t.Helper()
	s, err := Open(t.Context(), url+"?prefix="+rand.Text()+":", Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// refresher refreshes one session over and over.
type refresher struct{ s bitjang.Session }

func (r *refresher) next() bitjang.Confirmation {
	c := bitjang.Confirmation{ID: r.s.ID, Generation: r.s.Generation + 1, Parent: r.s.Nonce, Now: r.s.CreatedAt.Add(time.Second), IdleExpiresAt: r.s.IdleExpiresAt}
	binary.BigEndian.PutUint64(c.Nonce[:], uint64(c.Generation))
	r.s.Generation, r.s.Nonce = c.Generation, c.Nonce
	return c
}

const clients = 64

func refreshers(b *testing.B, s *Store) []*refresher {
	b.Helper()
	list := make([]*refresher, clients)
	for i := range list {
		list[i] = &refresher{usual(userID(i))}
		if err := s.InsertSession(b.Context(), list[i].s); err != nil {
			b.Fatal(err)
		}
	}
	return list
}

// BenchmarkConfirm sets the refreshes that the store does for 64 clients at once
// against what the server does when nobody decodes an answer: the same script,
// by a bare loop over one connection.
func BenchmarkConfirm(b *testing.B) {
	server := servers.NeedRedis(b)
	b.Run("store", func(b *testing.B) {
		s := opened(b, server.URL())
		list := refreshers(b, s)
		var left atomic.Int64
		left.Store(int64(b.N))
		done := make(chan error, clients)
		b.ResetTimer()
		for _, r := range list {
			go func() {
				var err error
				for err == nil && left.Add(-1) >= 0 {
					_, err = s.ConfirmSession(context.Background(), r.next())
				}
				done <- err
			}()
		}
		for range list {
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "/s")
	})
	b.Run("script", func(b *testing.B) {
		s := opened(b, server.URL())
		list := refreshers(b, s)
		if _, err := s.ConfirmSession(b.Context(), list[0].next()); err != nil { // loads the script
			b.Fatal(err)
		}
		conn, err := net.Dial("tcp", server.Addr())
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		in, out := bufio.NewReader(conn), bufio.NewWriter(conn)
		b.ResetTimer()
		for n := 0; n < b.N; n += clients {
			for _, r := range list {
				c := s.confirmation(r.next())
				writeCommand(out, append([]string{"EVALSHA", c.script.sha, "1", c.keys[0]}, c.args...))
			}
			if err := out.Flush(); err != nil {
				b.Fatal(err)
			}
			for range list {
				if err := skipText(in); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "/s")
	})
}

func writeCommand(w *bufio.Writer, args []string) {
	fmt.Fprintf(w, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(w, "$%d\r\n%s\r\n", len(a), a)
	}
}

// skipText reads over an answer that is a text, and refuses any other.
func skipText(r *bufio.Reader) error {
	line, err := r.ReadString('\n')
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "$")))
	if err != nil || n < 0 {
		return fmt.Errorf("answer %q", line)
	}
	_, err = io.CopyN(io.Discard, r, int64(n)+2)
	return err
}

// TestMemory says what a session costs, and fails when that grows out of hand.
func TestMemory(t *testing.T) {
	for _, each := range []int{1, 3} {
		server := servers.Own(t, func(ctx context.Context) (*servers.Server, error) { return servers.Redis(ctx, servers.RedisOptions{}) })
		s, err := Open(t.Context(), server.URL(), Options{})
		must(t, err)
		defer s.Close()
		used := func() int {
			i, err := s.askInfo(t.Context(), s.client)
			must(t, err)
			return i.number("used_memory")
		}
		usage := func(key string) int64 {
			n, err := s.client.Do(t.Context(), s.client.B().MemoryUsage().Key(key).Samples(0).Build()).AsInt64()
			must(t, err)
			return n
		}
		const n = 9999
		before := used()
		var last bitjang.Session
		for i := range n {
			last = usual(userID(i / each))
			must(t, s.InsertSession(t.Context(), last))
		}
		part := partOf(last.ID[0])
		a := (used() - before) / n
		t.Logf("%d of each user: %d bytes a session; record %d, user's index %d, sweep set %d", each, a,
			usage(s.keys.record(last.ID)), usage(s.keys.indexes(part)+last.UserID),
			usage(s.keys.sweep(part))/max(1, count(t, s, s.keys.sweep(part))))
		if a > 1000 {
			t.Errorf("got %d bytes a session, want at most 1000", a)
		}
	}
}
