package storetest

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
)

var grantTests = []test[sessionStore]{
	{"a grant comes back as it went in, once", grantOnce},
	{"a taken id is ErrExists and changes nothing", grantExists},
	{"a missing grant is ErrNotFound", grantMissing},
	{"of many who present a grant exactly one gets it", grantOneWinner},
	{"an expired grant is returned all the same", grantExpired},
	{"expired grants are deleted, a few at a time", grantDeleted},
	{"a cancelled context is honoured", grantCancelled},
}

func randomGrant() bitjang.Grant {
	g := bitjang.Grant{
		Kind: "mail_verification", UserID: "u", Data: []byte("{\"text\":\"빗장\"}\x00\xff" + strings.Repeat("x", 4000)),
		CreatedAt: epoch, ExpiresAt: epoch.Add(time.Hour),
	}
	rand.Read(g.ID[:])
	return g
}

func insertGrant(t *testing.T, st sessionStore, g bitjang.Grant) bitjang.Grant {
	t.Helper()
	ok(t, st.InsertGrant(t.Context(), g))
	return g
}

func grantOnce(t *testing.T, st sessionStore) {
	for _, g := range []bitjang.Grant{randomGrant(), {ID: bitjang.GrantID{1}, ExpiresAt: epoch}} {
		insertGrant(t, st, g)
		used := g
		used.UsedAt = epoch.Add(time.Minute)
		got, err := st.ConsumeGrant(t.Context(), g.ID, used.UsedAt)
		ok(t, err)
		equal(t, got, used)
		got, err = st.ConsumeGrant(t.Context(), g.ID, epoch.Add(2*time.Minute))
		is(t, err, bitjang.ErrConflict)
		equal(t, got, used)
	}
}

func grantExists(t *testing.T, st sessionStore) {
	g := insertGrant(t, st, randomGrant())
	other := randomGrant()
	other.ID = g.ID
	other.Kind = "other"
	is(t, st.InsertGrant(t.Context(), other), bitjang.ErrExists)
	got, err := st.ConsumeGrant(t.Context(), g.ID, epoch)
	ok(t, err)
	g.UsedAt = epoch
	equal(t, got, g)
	is(t, st.InsertGrant(t.Context(), other), bitjang.ErrExists)
}

func grantMissing(t *testing.T, st sessionStore) {
	_, err := st.ConsumeGrant(t.Context(), bitjang.GrantID{1}, epoch)
	is(t, err, bitjang.ErrNotFound)
}

func grantOneWinner(t *testing.T, st sessionStore) {
	g := insertGrant(t, st, randomGrant())
	wins := race(t, 32, func(i int) error {
		_, err := st.ConsumeGrant(t.Context(), g.ID, epoch.Add(time.Duration(i)*time.Millisecond))
		return err
	})
	if wins != 1 {
		t.Fatalf("got %d winners, want 1", wins)
	}
}

func grantExpired(t *testing.T, st sessionStore) {
	g := insertGrant(t, st, randomGrant())
	got, err := st.ConsumeGrant(t.Context(), g.ID, g.ExpiresAt.Add(time.Minute))
	ok(t, err)
	g.UsedAt = g.ExpiresAt.Add(time.Minute)
	equal(t, got, g)
}

func grantDeleted(t *testing.T, st sessionStore) {
	for range 5 {
		g := randomGrant()
		g.ExpiresAt = epoch.Add(-time.Minute)
		insertGrant(t, st, g)
	}
	live := insertGrant(t, st, randomGrant())
	removed := 0
	for round := 0; removed < 5; round++ {
		n, err := st.DeleteGrants(t.Context(), epoch, 2)
		ok(t, err)
		if n > 2 || round > 10 {
			t.Fatalf("got %d removed in round %d, want at most 2 and an end", n, round)
		}
		removed += n
	}
	n, err := st.DeleteGrants(t.Context(), epoch, 2)
	ok(t, err)
	if n != 0 {
		t.Fatalf("got %d more removed, want none", n)
	}
	_, err = st.ConsumeGrant(t.Context(), live.ID, epoch)
	ok(t, err)
}

func grantCancelled(t *testing.T, st sessionStore) {
	_, consumeErr := st.ConsumeGrant(cancelled(t), bitjang.GrantID{1}, epoch)
	_, deleteErr := st.DeleteGrants(cancelled(t), epoch, 1)
	for call, err := range map[string]error{"InsertGrant": st.InsertGrant(cancelled(t), randomGrant()), "ConsumeGrant": consumeErr, "DeleteGrants": deleteErr} {
		if err == nil || err == bitjang.ErrNotFound {
			t.Errorf("%s: got %v, want the context's error", call, err)
		}
	}
}
