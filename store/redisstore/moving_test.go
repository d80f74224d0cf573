package redisstore

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/servers"
)

// TestHalfMoved stops in the middle of moving a slot: what names the records is
// on the new node, and the records are on the old one. Nothing may be taken for
// gone.
func TestHalfMoved(t *testing.T) {
	group := servers.NeedCluster(t)
	s := opened(t, strings.TrimSuffix(group.URL(), "/"))
	s.timeout = 300 * time.Millisecond // each call here fails after that
	const user, sessions = "u", 5
	for range sessions {
		must(t, s.InsertSession(t.Context(), usual(user)))
	}
	gone := usual(user)
	must(t, s.InsertSession(t.Context(), gone))
	told := bitjang.Revocation{SessionID: gone.ID, At: gone.CreatedAt}
	must(t, s.UpdateSession(t.Context(), gone, &told)) // so that there is a feed

	part := partOf(bitjang.UserShard(user))
	named := []string{s.keys.indexes(part) + user, s.keys.sweep(part), s.keys.feed(part)}
	slot := slotOf(tag(part))
	from, err := group.Owner(t.Context(), named[0])
	must(t, err)
	to := (from + 1) % 3
	source, target := group.Nodes[from], group.Nodes[to]
	id := say(t, target, "CLUSTER MYID")
	say(t, target, "CLUSTER SETSLOT %d IMPORTING %s", slot, say(t, source, "CLUSTER MYID"))
	say(t, source, "CLUSTER SETSLOT %d MIGRATING %s", slot, id)
	node := s.client.Nodes()[source.Addr()]
	move(t, node, target, named)

	for name, call := range map[string]func() error{
		"Sessions": func() error {
			_, err := s.Sessions(t.Context(), bitjang.SessionQuery{UserID: user, Limit: 100})
			return err
		},
		"EndSessions": func() error {
			_, err := s.EndSessions(t.Context(), bitjang.EndFilter{UserID: user, At: time.Now()})
			return err
		},
		"EverySession": func() error {
			_, _, err := s.EverySession(t.Context(), walkCursor{part, "", "0"}.String(), 100)
			return err
		},
		"DeleteSessions": func() error {
			s.swept.Store(uint32(part))
			_, _, err := s.DeleteSessions(t.Context(), time.Now().Add(1000*24*time.Hour), 100)
			return err
		},
	} {
		if _, is := errors.AsType[*outageError](call()); !is {
			t.Errorf("%s: got no outage", name)
		}
	}
	one := usual(user)
	if err := s.InsertSession(t.Context(), one); err == nil || errors.Is(err, bitjang.ErrExists) {
		t.Errorf("InsertSession: got %v, want an outage", err)
	}
	if _, err := s.Session(t.Context(), gone.ID); err != nil {
		t.Errorf("Session: got %v, want no error", err)
	}
	r := refresher{gone}
	if _, err := s.ConfirmSession(t.Context(), r.next()); err != nil {
		t.Errorf("ConfirmSession: got %v, want no error", err)
	}

	rest, err := node.Do(t.Context(), node.B().ClusterGetkeysinslot().Slot(int64(slot)).Count(1000).Build()).AsStrSlice()
	must(t, err)
	move(t, node, target, rest)
	say(t, target, "CLUSTER SETSLOT %d NODE %s", slot, id)
	say(t, source, "CLUSTER SETSLOT %d NODE %s", slot, id)
	list, err := s.Sessions(t.Context(), bitjang.SessionQuery{UserID: user, Limit: 100})
	if must(t, err); len(list) != sessions+1 {
		t.Errorf("got %d sessions afterwards, want %d", len(list), sessions+1)
	}
	n, err := s.EndSessions(t.Context(), bitjang.EndFilter{UserID: user, At: time.Now(), Reason: bitjang.EndedByLogoutAll})
	if must(t, err); n != sessions+1 {
		t.Errorf("got %d ended afterwards, want %d", n, sessions+1)
	}
}

// say tells a server something that it must not refuse.
func say(t *testing.T, server *servers.Server, format string, args ...any) string {
	t.Helper()
	command := fmt.Sprintf(format, args...)
	answer, err := server.CLI(t.Context(), command)
	if answer = strings.TrimSpace(answer); err != nil || strings.HasPrefix(answer, "ERR") {
		t.Fatalf("%s: %s %v", command, answer, err)
	}
	return answer
}

func move(t *testing.T, from valkey.Client, to *servers.Server, keys []string) {
	t.Helper()
	host, port, _ := strings.Cut(to.Addr(), ":")
	args := append([]string{host, port, "", "0", "5000", "REPLACE", "KEYS"}, keys...)
	must(t, from.Do(t.Context(), from.B().Arbitrary("MIGRATE").Args(args...).Build()).Error())
}
