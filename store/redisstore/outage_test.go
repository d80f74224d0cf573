package redisstore_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/servers"
)

// TestReplicasMissing has nobody to wait for: the write is there, and the error
// says that it may be lost.
func TestReplicasMissing(t *testing.T) {
	address := servers.NeedRedis(t).URL()
	st := open(t, address, "replicas", "2", "timeout", "200ms")
	s := newSession("u")
	err := st.InsertSession(t.Context(), s)
	outage(t, err)
	if want := "0 of 2 replicas"; !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q in it", err, want)
	}
	_, err = st.Session(t.Context(), s.ID)
	ok(t, err)
	// What changes nothing has nothing to wait for, and a refresh never waits.
	if err := st.InsertSession(t.Context(), s); !errors.Is(err, bitjang.ErrExists) {
		t.Errorf("got %v, want ErrExists", err)
	}
	_, err = st.ConfirmSession(t.Context(), bitjang.Confirmation{ID: s.ID, Generation: 1, Parent: s.Nonce, Now: s.CreatedAt, IdleExpiresAt: s.IdleExpiresAt})
	ok(t, err)
	s.Version = 2
	ok(t, st.UpdateSession(t.Context(), s, nil))
	s.Version = 3
	outage(t, st.UpdateSession(t.Context(), s, &bitjang.Revocation{SessionID: s.ID, At: s.CreatedAt}))
	_, err = st.EndSessions(t.Context(), bitjang.EndFilter{UserID: "u", At: s.CreatedAt})
	outage(t, err)
	g := newGrant()
	outage(t, st.InsertGrant(t.Context(), g))
	_, err = st.ConsumeGrant(t.Context(), g.ID, time.Now())
	outage(t, err)
}

// TestWaitingIsCancelled gives up on replicas that are not there.
func TestWaitingIsCancelled(t *testing.T) {
	st := open(t, servers.NeedRedis(t).URL(), "replicas", "1", "timeout", "20s")
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		if err := st.InsertSession(ctx, newSession("u")); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the caller's cancellation and not the end of the time-out", err)
		}
	}
}

// TestFrozenServer is one that holds its connections and does not answer: calls
// end in time, and all is well when it thaws.
func TestFrozenServer(t *testing.T) {
	server := servers.Own(t, func(ctx context.Context) (*servers.Server, error) {
		return servers.Redis(ctx, servers.RedisOptions{})
	})
	st, patient := open(t, server.URL(), "timeout", "300ms"), open(t, server.URL(), "timeout", "1m")
	s := newSession("u")
	ok(t, st.InsertSession(t.Context(), s))
	ok(t, server.Pause())
	_, err := st.Session(t.Context(), s.ID)
	outage(t, err)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the end of the time-out", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err = patient.ConfirmSession(ctx, bitjang.Confirmation{ID: s.ID, Generation: 1})
	outage(t, err)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the caller's cancellation and not the end of the time-out", err)
	}
	ok(t, server.Resume())
	eventually(t, func() error {
		_, err := st.Session(t.Context(), s.ID)
		return err
	})
}

// TestRestart kills the server. With appendfsync always it comes back with all.
func TestRestart(t *testing.T) {
	server := servers.Own(t, func(ctx context.Context) (*servers.Server, error) {
		return servers.Redis(ctx, servers.RedisOptions{AppendFsync: "always"})
	})
	st := open(t, server.URL())
	s := newSession("u")
	ok(t, st.InsertSession(t.Context(), s))
	ok(t, server.Kill())
	_, err := st.Session(t.Context(), s.ID)
	outage(t, err)
	_, err = st.ConfirmSession(t.Context(), bitjang.Confirmation{ID: s.ID, Generation: 1, Parent: s.Nonce})
	outage(t, err)
	ok(t, server.Start(t.Context()))
	c := bitjang.Confirmation{ID: s.ID, Generation: 1, Parent: s.Nonce, Now: s.CreatedAt, IdleExpiresAt: s.IdleExpiresAt}
	_, err = st.ConfirmSession(t.Context(), c) // no connection, no script loaded
	ok(t, err)
}

// eventually repeats what fails until it succeeds, within half a minute.
func eventually(t *testing.T, what func() error) {
	t.Helper()
	end := time.Now().Add(30 * time.Second)
	for {
		err := what()
		if err == nil {
			return
		}
		outage(t, err)
		if time.Now().After(end) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestClosed(t *testing.T) {
	st := open(t, servers.NeedRedis(t).URL())
	ok(t, st.Close())
	_, err := st.Session(t.Context(), bitjang.SessionID{1})
	outage(t, err)
	_, err = st.ConfirmSession(t.Context(), bitjang.Confirmation{Generation: 1})
	outage(t, err)
}
