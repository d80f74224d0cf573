package redisstore_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/servers"
	"github.com/bitjang/bitjang/store/redisstore"
)

// populate logs 40 users in twice, logs the second session out, and returns what
// there is then.
func populate(t *testing.T, st *redisstore.Store) []bitjang.Session {
	t.Helper()
	var list []bitjang.Session
	for i := range 40 {
		user := fmt.Sprint("user ", i)
		in, out := newSession(user), newSession(user)
		ok(t, st.InsertSession(t.Context(), in))
		ok(t, st.InsertSession(t.Context(), out))
		out.EndedAt, out.EndReason = out.CreatedAt, bitjang.EndedByLogout
		ok(t, st.UpdateSession(t.Context(), out, &bitjang.Revocation{SessionID: out.ID, At: out.EndedAt, State: bitjang.RevocationEnded}))
		list = append(list, in, out)
	}
	return list
}

// survived checks that the logins and logouts are there, that refreshes work,
// and that the feed goes on from an old cursor.
func survived(t *testing.T, st *redisstore.Store, list []bitjang.Session, cursor string) {
	t.Helper()
	for _, want := range list {
		got, err := st.Session(t.Context(), want.ID)
		ok(t, err)
		if got.EndedAt.IsZero() != want.EndedAt.IsZero() {
			t.Fatalf("%s: got ended %v, want %v", want.ID, got.EndedAt, want.EndedAt)
		}
	}
	s := list[0]
	c := bitjang.Confirmation{ID: s.ID, Generation: 1, Parent: s.Nonce, Now: s.CreatedAt, IdleExpiresAt: s.IdleExpiresAt}
	_, err := st.ConfirmSession(t.Context(), c)
	ok(t, err)
	n, err := st.EndSessions(t.Context(), bitjang.EndFilter{UserID: s.UserID, At: time.Now(), Reason: bitjang.EndedByAdmin})
	ok(t, err)
	entries, _, err := st.Revocations(t.Context(), cursor, 100)
	ok(t, err)
	if n != 1 || len(entries) != 1 || entries[0].SessionID != s.ID {
		t.Fatalf("got %d ended and %v told, want that of %s", n, entries, s.ID)
	}
}

// TestSentinelFailover kills the primary right behind the last answer.
func TestSentinelFailover(t *testing.T) {
	group := servers.Own(t, func(ctx context.Context) (*servers.SentinelGroup, error) {
		return servers.Sentinel(ctx, servers.RedisOptions{})
	})
	st := open(t, group.URL(), "replicas", "1", "timeout", "1s")
	list := populate(t, st)
	_, cursor, err := st.Revocations(t.Context(), "", 1000)
	ok(t, err)
	primary, err := group.Primary(t.Context())
	ok(t, err)
	ok(t, group.Nodes[primary].Kill())
	began := time.Now()
	reads := failsUntil(t, func() error { _, err := st.Session(t.Context(), list[0].ID); return err })
	writes := failsUntil(t, func() error { return st.InsertGrant(t.Context(), newGrant()) })
	t.Logf("reads again after %v, writes after %v", reads.Sub(began), writes.Sub(began))
	survived(t, st, list, cursor)
}

// TestSentinelSwitch has the sentinels choose another primary while all run: the
// old one becomes a replica, and must not answer in the new one's place.
func TestSentinelSwitch(t *testing.T) {
	group := servers.Own(t, func(ctx context.Context) (*servers.SentinelGroup, error) {
		return servers.Sentinel(ctx, servers.RedisOptions{})
	})
	st := open(t, group.URL(), "replicas", "1", "timeout", "5s")
	list := populate(t, st)
	_, cursor, err := st.Revocations(t.Context(), "", 1000)
	ok(t, err)
	stop := refreshing(t, st)
	ok(t, group.Failover(t.Context()))
	ok(t, group.Ready(t.Context()))
	stop()
	survived(t, st, list, cursor)
}

// refreshing refreshes a session until it is told to stop. Only outages are
// allowed; after one, the session is read again, as the Service does.
func refreshing(t *testing.T, st *redisstore.Store) (stop func()) {
	s := newSession("refreshing")
	ok(t, st.InsertSession(t.Context(), s))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		refreshed, failed := 0, 0
		for ctx.Err() == nil {
			next, err := st.ConfirmSession(context.Background(), bitjang.Confirmation{
				ID: s.ID, Generation: s.Generation + 1, Parent: s.Nonce, Nonce: bitjang.Nonce{byte(refreshed), byte(refreshed >> 8), 1},
				Now: s.CreatedAt, IdleExpiresAt: s.IdleExpiresAt,
			})
			if err != nil {
				failed++
				t.Logf("refresh: %v", err)
				next, err = st.Session(context.Background(), s.ID)
			} else {
				refreshed++
			}
			if err == nil {
				s = next
			}
			time.Sleep(time.Millisecond)
		}
		t.Logf("%d refreshes, %d failed", refreshed, failed)
	}()
	return func() { cancel(); <-done }
}

// failsUntil repeats what may only fail as outages, and returns when it no longer did.
func failsUntil(t *testing.T, what func() error) time.Time {
	t.Helper()
	eventually(t, what)
	return time.Now()
}

func TestClusterFailover(t *testing.T) {
	group := servers.Own(t, func(ctx context.Context) (*servers.ClusterGroup, error) {
		return servers.Cluster(ctx, servers.RedisOptions{})
	})
	st := open(t, group.URL(), "replicas", "1", "timeout", "1s")
	list := populate(t, st)
	_, cursor, err := st.Revocations(t.Context(), "", 1000)
	ok(t, err)
	ok(t, group.Nodes[0].Kill())
	began := time.Now()
	for _, s := range list {
		eventually(t, func() error { _, err := st.Session(t.Context(), s.ID); return err })
	}
	t.Logf("all reads again after %v", time.Since(began))
	ok(t, group.Nodes[0].Start(t.Context())) // or there would be a part without a replica to wait for
	ok(t, group.Ready(t.Context()))
	survived(t, st, list, cursor)
}

// TestClusterReshard moves slots, with their keys, while sessions are refreshed
// and one user's many are listed. In between, a node has some of a slot's keys
// and the other has the rest: nothing may be taken for gone.
func TestClusterReshard(t *testing.T) {
	group := servers.Own(t, func(ctx context.Context) (*servers.ClusterGroup, error) {
		return servers.Cluster(ctx, servers.RedisOptions{})
	})
	st := open(t, group.URL(), "replicas", "1", "timeout", "5s")
	list := populate(t, st)
	user := "many"
	for i := 0; bitjang.UserShard(user) > 7; i++ { // of the first part, whose slot is among the first 512
		user = fmt.Sprint("many ", i)
	}
	const many = 1500
	for range many {
		ok(t, st.InsertSession(t.Context(), newSession(user)))
	}
	_, cursor, err := st.Revocations(t.Context(), "", 1000)
	ok(t, err)
	stop := refreshing(t, st)
	ctx, cancel := context.WithCancel(t.Context())
	var listing sync.WaitGroup
	for range 4 {
		listing.Go(func() {
			full, failed := 0, 0
			for ctx.Err() == nil {
				page, err := st.Sessions(ctx, bitjang.SessionQuery{UserID: user, Limit: 2 * many})
				switch {
				case ctx.Err() != nil:
				case err != nil:
					failed++
				case len(page) != many:
					t.Errorf("got %d sessions, want %d", len(page), many)
				default:
					full++
				}
			}
			t.Logf("listed %d times, %d outages", full, failed)
		})
	}
	ok(t, group.MoveSlots(t.Context(), 0, 1, 512))
	cancel()
	listing.Wait()
	stop()
	n, err := st.EndSessions(t.Context(), bitjang.EndFilter{UserID: user, At: time.Now(), Reason: bitjang.EndedByLogoutAll})
	ok(t, err)
	if n != many {
		t.Errorf("got %d ended, want %d", n, many)
	}
	_, cursor, err = st.Revocations(t.Context(), cursor, 2*many)
	ok(t, err)
	survived(t, st, list, cursor)
}
