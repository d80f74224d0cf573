package redisstore

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/servers"
)

// remaining returns the time to live of every key of the store, -1 for for ever.
func remaining(t *testing.T, s *Store) map[string]time.Duration {
	t.Helper()
	prefix, _, _ := strings.Cut(s.keys.base[0], "{")
	keys, err := s.client.Do(t.Context(), s.client.B().Keys().Pattern(prefix+"*").Build()).AsStrSlice()
	if err != nil {
		t.Fatal(err)
	}
	left := map[string]time.Duration{}
	for _, key := range keys {
		ms, err := s.client.Do(t.Context(), s.client.B().Pttl().Key(key).Build()).AsInt64()
		if err != nil {
			t.Fatal(err)
		}
		left[key] = time.Duration(ms) * time.Millisecond
		if ms < 0 {
			left[key] = -1
		}
	}
	return left
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("got %v, want no error", err)
	}
}

// TestExpiry looks at every key that a little of everything leaves behind:
// whatever belongs to somebody goes by itself, and never too early.
func TestExpiry(t *testing.T) {
	s := opened(t, servers.NeedRedis(t).URL())
	live, ended := usual("u"), usual("v")
	ended.ExpiresAt = ended.CreatedAt.Add(300 * 24 * time.Hour)
	must(t, s.InsertSession(t.Context(), live))
	must(t, s.InsertSession(t.Context(), ended))
	_, err := s.EndSessions(t.Context(), bitjang.EndFilter{UserID: "v", At: ended.CreatedAt, Reason: bitjang.EndedByAdmin})
	must(t, err)
	r := refresher{live}
	_, err = s.ConfirmSession(t.Context(), r.next())
	must(t, err)
	g := bitjang.Grant{ID: bitjang.GrantID{1}, CreatedAt: live.CreatedAt, ExpiresAt: live.CreatedAt.Add(time.Hour)}
	must(t, s.InsertGrant(t.Context(), g))
	_, err = s.ConsumeGrant(t.Context(), g.ID, live.CreatedAt)
	must(t, err)
	_, _, err = s.Spend(t.Context(), bitjang.Spending{Key: "k", Now: live.CreatedAt, Cost: time.Second, Capacity: time.Minute})
	must(t, err)

	const day = 24 * time.Hour
	want := map[string]time.Duration{
		s.keys.record(live.ID):                    90*day + defaultRetention,
		s.keys.indexes(partOf(live.ID[0])) + "u":  90*day + defaultRetention,
		s.keys.record(ended.ID):                   defaultRetention,
		s.keys.indexes(partOf(ended.ID[0])) + "v": 300*day + defaultRetention, // never shortened
		s.grantKey(g.ID):                          time.Hour + defaultRetention,
	}
	for key, left := range remaining(t, s) {
		expected, known := want[key]
		shared := slices.ContainsFunc([]string{":sweep", ":feed", ":grants", ":limits"}, func(end string) bool { return strings.HasSuffix(key, end) })
		switch {
		case known && (left > expected || left < expected-time.Minute):
			t.Errorf("%q: got %v left, want %v", key, left, expected)
		case !known && (!shared || left != -1):
			t.Errorf("%q: got %v left, want only what all share to stay", key, left)
		}
		delete(want, key)
	}
	if len(want) > 0 {
		t.Errorf("not there: %q", want)
	}
}

// TestExpiryFollowsUpdates gives a session more time, ends it, and takes that back.
func TestExpiryFollowsUpdates(t *testing.T) {
	s := opened(t, servers.NeedRedis(t).URL())
	sess := usual("u")
	must(t, s.InsertSession(t.Context(), sess))
	record, index := s.keys.record(sess.ID), s.keys.indexes(partOf(sess.ID[0]))+"u"
	for _, tt := range []struct {
		name          string
		change        func()
		record, index time.Duration
	}{
		{"longer", func() { sess.ExpiresAt = sess.CreatedAt.Add(1000 * time.Hour) }, 1000 * time.Hour, 90 * 24 * time.Hour},
		{"longer still", func() { sess.ExpiresAt = sess.CreatedAt.Add(9000 * time.Hour) }, 9000 * time.Hour, 9000 * time.Hour},
		{"ended", func() { sess.EndedAt = sess.CreatedAt }, 0, 9000 * time.Hour},
		{"alive again", func() { sess.EndedAt = time.Time{} }, 9000 * time.Hour, 9000 * time.Hour},
	} {
		tt.change()
		must(t, s.UpdateSession(t.Context(), sess, nil))
		sess.Version++
		left := remaining(t, s)
		for key, want := range map[string]time.Duration{record: tt.record + s.retention, index: tt.index + s.retention} {
			if got := left[key]; got > want || got < want-time.Minute {
				t.Errorf("%s: got %v left of %q, want %v", tt.name, got, key, want)
			}
		}
	}
}

// forget lets Redis forget a session by itself.
func forget(t *testing.T, s *Store, id bitjang.SessionID) {
	t.Helper()
	must(t, s.client.Do(t.Context(), s.client.B().Pexpire().Key(s.keys.record(id)).Milliseconds(0).Build()).Error())
}

func count(t *testing.T, s *Store, key string) int64 {
	t.Helper()
	n, err := s.client.Do(t.Context(), s.client.B().Zcard().Key(key).Build()).AsInt64()
	must(t, err)
	return n
}

// TestForgottenByRedis has records gone by themselves: pages stay full, and what
// named the records is tidied up.
func TestForgottenByRedis(t *testing.T) {
	s := opened(t, servers.NeedRedis(t).URL())
	var ids []bitjang.SessionID
	for range 30 {
		sess := usual("u")
		must(t, s.InsertSession(t.Context(), sess))
		ids = append(ids, sess.ID)
	}
	slices.SortFunc(ids, func(a, b bitjang.SessionID) int { return slices.Compare(a[:], b[:]) })
	for _, id := range ids[:15] {
		forget(t, s, id)
	}
	part := partOf(ids[0][0])
	n, err := s.EndSessions(t.Context(), bitjang.EndFilter{UserID: "u", At: time.Now(), Except: ids[29]})
	if must(t, err); n != 14 {
		t.Errorf("got %d ended, want 14", n)
	}
	page, err := s.Sessions(t.Context(), bitjang.SessionQuery{UserID: "u", Limit: 10})
	must(t, err)
	if len(page) != 10 || page[0].ID != ids[15] || page[9].ID != ids[24] {
		t.Errorf("got a page of %d, want the first 10 that are left", len(page))
	}
	if got := count(t, s, s.keys.indexes(part)+"u"); got != 15 {
		t.Errorf("got %d in the user's index, want 15", got)
	}
	walked, _, err := s.EverySession(t.Context(), "", 1000)
	if must(t, err); len(walked) != 15 {
		t.Errorf("got %d walked, want 15", len(walked))
	}
	removed, more, err := s.DeleteSessions(t.Context(), time.Now().Add(365*24*time.Hour), 1000)
	if must(t, err); removed != 15 || more {
		t.Errorf("got %d removed, more %v; want 15 and no more", removed, more)
	}
	if left := remaining(t, s); len(left) != 1 { // the feed
		t.Errorf("got %q left, want the feed alone", left)
	}
}

// TestCleanupIsFair has much to do in one part and little in the others: a small
// limit gets around all the same.
func TestCleanupIsFair(t *testing.T) {
	s := opened(t, servers.NeedRedis(t).URL())
	for i := range 100 {
		sess := usual("busy")
		if i%5 == 0 {
			sess = usual(userID(i))
		}
		sess.IdleExpiresAt = sess.CreatedAt
		must(t, s.InsertSession(t.Context(), sess))
	}
	rounds, removed := 0, 0
	for more := true; more; rounds++ {
		n, again, err := s.DeleteSessions(t.Context(), time.Now().Add(time.Hour), 7)
		must(t, err)
		removed, more = removed+n, again
	}
	if removed != 100 || rounds > 16 {
		t.Errorf("got %d removed in %d rounds, want 100 in 15", removed, rounds)
	}
}

// TestCleanupComesAround has new work for the first part after each step.
func TestCleanupComesAround(t *testing.T) {
	s := opened(t, servers.NeedRedis(t).URL())
	fill := func(part int, name string) {
		key := s.keys.limits(part)
		must(t, s.client.Do(t.Context(), s.client.B().Zadd().Key(key).ScoreMember().ScoreMember(1, name).Build()).Error())
	}
	fill(20, "waits")
	for i := range 10 {
		fill(0, strconv.Itoa(2*i))
		fill(0, strconv.Itoa(2*i+1))
		_, err := s.DeleteLimits(t.Context(), time.Now(), 2)
		must(t, err)
	}
	if count(t, s, s.keys.limits(20)) != 0 {
		t.Error("the first part had all the attention")
	}
}

// TestFeedIsFair has one user fill a part: the others' entries come in the first
// pages, whatever the limit.
func TestFeedIsFair(t *testing.T) {
	s := opened(t, servers.NeedRedis(t).URL())
	end := func(user string, n int) {
		for range n {
			must(t, s.InsertSession(t.Context(), usual(user)))
		}
		_, err := s.EndSessions(t.Context(), bitjang.EndFilter{UserID: user, At: time.Now(), Reason: bitjang.EndedByAdmin})
		must(t, err)
	}
	end("busy", 200)
	others := 0
	for i := range 20 {
		if user := userID(i); partOf(bitjang.UserShard(user)) != partOf(bitjang.UserShard("busy")) {
			end(user, 1)
			others++
		}
	}
	for _, limit := range []int{1, 3, 50, 1000} {
		met, pages, cursor := map[bitjang.SessionID]int{}, 0, ""
		early := 0 // of others, among the first that the limit allows to be
		for {
			list, next, err := s.Revocations(t.Context(), cursor, limit)
			must(t, err)
			if len(list) == 0 {
				break
			}
			for _, r := range list {
				if met[r.SessionID]++; len(met) <= 4*others && partOf(r.SessionID[0]) != partOf(bitjang.UserShard("busy")) {
					early++
				}
			}
			cursor, pages = next, pages+1
		}
		if len(met) != 200+others || early != others {
			t.Errorf("limit %d: got %d entries, %d of the %d others early", limit, len(met), early, others)
		}
		if pages > 1+(200+others)/limit {
			t.Errorf("limit %d: got %d pages for %d entries, want full ones", limit, pages, len(met))
		}
	}
}

// TestWalkOverRestart moves a walk to a server with hash tables of its own.
func TestWalkOverRestart(t *testing.T) {
	server := servers.Own(t, func(ctx context.Context) (*servers.Server, error) {
		return servers.Redis(ctx, servers.RedisOptions{AppendFsync: "always"})
	})
	s := opened(t, server.URL())
	want := map[bitjang.SessionID]bool{}
	for range 1000 { // of one part, so many that the set is a hash table
		sess := usual("u")
		want[sess.ID] = true
		must(t, s.InsertSession(t.Context(), sess))
	}
	for pages, cursor := 0, ""; ; pages++ {
		page, next, err := s.EverySession(t.Context(), cursor, 100)
		must(t, err)
		for _, sess := range page {
			delete(want, sess.ID)
		}
		if next == "" {
			break
		}
		if cursor = next; pages == 4 {
			must(t, server.Kill())
			must(t, server.Start(t.Context()))
		}
	}
	if len(want) > 0 {
		t.Errorf("missed %d of 1000 sessions", len(want))
	}
}

// TestCertainlyNotDone says after which errors a script may be sent again.
func TestCertainlyNotDone(t *testing.T) {
	server := servers.NeedRedis(t)
	s := opened(t, server.URL())
	for text, want := range map[string]bool{
		"READONLY You can't write against a read only replica.":                           true,
		"ERR Error running script (call to f_1): @user_script:3: -READONLY You can't ...": true,
		"CLUSTERDOWN The cluster is down":                                                 true,
		"ERR something else":                                                              false,
		"OOM command not allowed":                                                         false,
		"NOPERM no READONLY permission":                                                   false,
	} {
		err := s.client.Do(t.Context(), s.client.B().Eval().Script("return redis.error_reply(ARGV[1])").Numkeys(0).Arg(text).Build()).Error()
		if _, is := valkey.IsValkeyErr(err); !is || certainlyNotDone(t.Context(), err) != want {
			t.Errorf("%v: got %v, want %v", err, !want, want)
		}
	}
	for name, tt := range map[string]struct {
		err  error
		want bool
	}{
		"another caller's context": {context.Canceled, true},
		"a connection that broke":  {errors.New("EOF"), false},
	} {
		if got := certainlyNotDone(t.Context(), tt.err); got != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}
