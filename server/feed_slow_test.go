package server_test

import (
	"bufio"
	"context"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/store/memory"
)

// tight makes the system keep little of what a subscriber does not read.
const tight = 4 << 10

// tightServer is a real server whose connections hold little.
func tightServer(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if err := c.(*net.TCPConn).SetWriteBuffer(tight); err != nil {
			t.Error(err)
		}
		return ctx
	}
	server.Start()
	t.Cleanup(server.Close)
	return server
}

// subscribe opens a stream on a connection of its own, which reads nothing
// unless it is told to.
func (f *follower) subscribe(server *httptest.Server) *events {
	f.t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err == nil {
		f.t.Cleanup(func() { _ = conn.Close() })
		err = conn.(*net.TCPConn).SetReadBuffer(tight)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	req, _ := http.NewRequestWithContext(f.t.Context(), "GET", server.URL+"/v1/revocations", nil)
	req.Header.Set("Accept", "text/event-stream")
	f.auth(req)
	if err := req.Write(conn); err != nil {
		f.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil || resp.StatusCode != 200 {
		f.t.Fatalf("got %v, %v", resp, err)
	}
	return newEvents(f.t, resp)
}

// openMany opens n sessions of one user and returns their ids.
func openMany(t *testing.T, store bitjang.Store, user string, now time.Time, n int) map[string]bool {
	t.Helper()
	ids := map[string]bool{}
	for range n {
		s := bitjang.Session{ID: bitjang.NewSessionID(user), UserID: user, CreatedAt: now, ExpiresAt: now.Add(time.Hour), IdleExpiresAt: now.Add(time.Hour), Version: 1}
		ids[s.ID.String()] = true
		if err := store.InsertSession(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// takeUntil reads a stream until it knows all that is missing.
func (e *events) takeUntil(missing map[string]bool) {
	e.t.Helper()
	for len(missing) > 0 {
		_, p, ok := e.next()
		if !ok {
			e.t.Fatalf("the stream ended, %d missing", len(missing))
		}
		for _, r := range p.Revocations {
			delete(missing, r.SID)
		}
	}
}

// TestASubscriberThatIsStuckIsDroppedAndLosesNothing has subscribers that stop
// reading while a lot happens. They cost a node little, are dropped, keep nobody
// waiting, and go on by their cursors when they come back.
func TestASubscriberThatIsStuckIsDroppedAndLosesNothing(t *testing.T) { // alone, for the figures of the heap
	if testing.Short() {
		t.Skip("a subscriber has ten seconds")
	}
	const crowd, ends = 50, 20_000
	store := memory.New()
	f := newFollower(t, func(s *setup) { s.Store = store })
	roomy, server := httptest.NewServer(f.h), tightServer(t, f.h)
	t.Cleanup(roomy.Close)
	awake := f.stream(roomy, "")
	var cursors []string
	for range crowd {
		e := f.subscribe(server)
		id, _, ok := e.next()
		if !ok || id == "" {
			t.Fatal("a stream without a cursor")
		}
		cursors = append(cursors, id)
	}
	opened := openMany(t, store, "crowd", f.clock.Now(), ends)
	before := heap()
	if n, err := store.EndSessions(t.Context(), bitjang.EndFilter{UserID: "crowd", At: f.clock.Now(), Reason: bitjang.EndedByLogout}); err != nil || n != ends {
		t.Fatalf("got %d ended, %v", n, err)
	}
	awake.takeUntil(maps.Clone(opened))
	each := (heap() - before) / crowd
	if got := f.svc.Stats().Followers; got != crowd+1 {
		t.Fatalf("got %d followers, want %d: those that are stuck are still there", got, crowd+1)
	}
	const most = 500 << 10 // all that ended would be 2 MB
	if t.Logf("%d KiB for each of %d that are stuck, with what all share", each>>10, crowd); each > most {
		t.Errorf("got %d KiB for each, want at most %d", each>>10, most>>10)
	}
	for late := time.Now().Add(time.Minute); f.svc.Stats().Followers > 1; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("got %d followers after a minute, want those that are stuck to be dropped", f.svc.Stats().Followers)
		}
	}
	for i := range crowd {
		again := f.stream(roomy, cursors[i]) // of what it had read and acted upon
		again.takeUntil(maps.Clone(opened))
		_ = again.resp.Body.Close()
	}
}
