package storetest

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
)

type store = bitjang.Store

var userTests = []test[store]{
	{"a user comes back as it went in, by id and by address", userRoundTrip},
	{"a taken id or address is ErrExists and changes nothing", userExists},
	{"a missing user is ErrNotFound", userMissing},
	{"addresses are compared byte for byte", userBytes},
	{"an update writes every field", userUpdate},
	{"a stale update is ErrConflict and changes nothing", userStale},
	{"an update to a taken address is ErrExists and changes nothing", userTaken},
	{"of many concurrent sign-ups with one address exactly one wins", userOneWinner},
	{"users are listed in pages, in the order of ids", userPages},
	{"users are deleted once they are due, some at a time", userDeletion},
	{"a cancelled context is honoured", userCancelled},
}

func randomUser() bitjang.User {
	var b [8]byte
	rand.Read(b[:])
	id := hex.EncodeToString(b[:])
	return bitjang.User{
		ID: id, Email: id + "@example.com", Name: oddText, PasswordHash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA",
		Roles: []string{"admin", "user"}, CreatedAt: epoch, UpdatedAt: epoch.Add(time.Second), DisabledAt: epoch.Add(time.Minute), PasswordVersion: 7, Version: 1,
		EmailVerifiedAt: epoch.Add(time.Hour), Language: "ko", DeleteAt: epoch.Add(2 * time.Hour),
	}
}

func insertUser(t *testing.T, st store, u bitjang.User) bitjang.User {
	t.Helper()
	ok(t, st.InsertUser(t.Context(), u))
	return u
}

func holdsUser(t *testing.T, st store, want bitjang.User) {
	t.Helper()
	got, err := st.User(t.Context(), want.ID)
	ok(t, err)
	equal(t, got, want)
}

func userRoundTrip(t *testing.T, st store) {
	u := insertUser(t, st, randomUser())
	holdsUser(t, st, u)
	got, err := st.UserByEmail(t.Context(), u.Email)
	ok(t, err)
	equal(t, got, u)
	plain := insertUser(t, st, bitjang.User{ID: "plain", Email: "plain@example.com", Version: 1})
	holdsUser(t, st, plain)
}

func userExists(t *testing.T, st store) {
	u := insertUser(t, st, randomUser())
	sameID, sameEmail := randomUser(), randomUser()
	sameID.ID, sameEmail.Email = u.ID, u.Email
	is(t, st.InsertUser(t.Context(), sameID), bitjang.ErrExists)
	is(t, st.InsertUser(t.Context(), sameEmail), bitjang.ErrExists)
	holdsUser(t, st, u)
	_, err := st.User(t.Context(), sameEmail.ID)
	is(t, err, bitjang.ErrNotFound)
}

func userMissing(t *testing.T, st store) {
	_, err := st.User(t.Context(), "nobody")
	is(t, err, bitjang.ErrNotFound)
	_, err = st.UserByEmail(t.Context(), "nobody@example.com")
	is(t, err, bitjang.ErrNotFound)
	is(t, st.UpdateUser(t.Context(), randomUser()), bitjang.ErrConflict)
}

func userBytes(t *testing.T, st store) {
	for i, email := range []string{"a@example.com", "A@example.com", "á@example.com", "a\u0301@example.com", "a @example.com"} {
		u := randomUser()
		u.ID, u.Email = fmt.Sprint(i), email
		insertUser(t, st, u)
		got, err := st.UserByEmail(t.Context(), email)
		ok(t, err)
		equal(t, got, u)
	}
}

func userUpdate(t *testing.T, st store) {
	u := insertUser(t, st, randomUser())
	next := bitjang.User{ID: u.ID, Email: "new@example.com", Name: "새 이름", PasswordHash: "x", CreatedAt: u.CreatedAt, UpdatedAt: epoch.Add(time.Hour), Version: u.Version}
	ok(t, st.UpdateUser(t.Context(), next))
	next.Version++
	holdsUser(t, st, next)
}

func userStale(t *testing.T, st store) {
	u := insertUser(t, st, randomUser())
	ok(t, st.UpdateUser(t.Context(), u))
	stale := u
	stale.Name = "stale"
	is(t, st.UpdateUser(t.Context(), stale), bitjang.ErrConflict)
	u.Version++
	holdsUser(t, st, u)
}

func userTaken(t *testing.T, st store) {
	a, b := insertUser(t, st, randomUser()), insertUser(t, st, randomUser())
	moved := b
	moved.Email = a.Email
	is(t, st.UpdateUser(t.Context(), moved), bitjang.ErrExists)
	holdsUser(t, st, a)
	holdsUser(t, st, b)
}

func userOneWinner(t *testing.T, st store) {
	wins := race(t, 32, func(int) error {
		u := randomUser()
		u.Email = "same@example.com"
		err := st.InsertUser(t.Context(), u)
		if err == bitjang.ErrExists {
			return bitjang.ErrConflict
		}
		return err
	})
	if wins != 1 {
		t.Fatalf("got %d winners, want 1", wins)
	}
}

func userPages(t *testing.T, st store) {
	var want []bitjang.User
	for range 7 {
		want = append(want, insertUser(t, st, randomUser()))
	}
	slices.SortFunc(want, func(a, b bitjang.User) int { return strings.Compare(a.ID, b.ID) })
	first, err := st.Users(t.Context(), "", 5)
	ok(t, err)
	second, err := st.Users(t.Context(), first[4].ID, 5)
	ok(t, err)
	equal(t, append(first, second...), want)
}

func userDeletion(t *testing.T, st store) {
	stays, due, later := randomUser(), randomUser(), randomUser()
	stays.DeleteAt, due.DeleteAt, later.DeleteAt = time.Time{}, epoch, epoch.Add(time.Millisecond)
	another := randomUser()
	another.DeleteAt = epoch.Add(-time.Hour)
	for _, u := range []bitjang.User{stays, due, later, another} {
		insertUser(t, st, u)
	}
	for _, want := range []int{1, 1, 0} {
		n, err := st.DeleteUsers(t.Context(), epoch.Add(time.Millisecond), 1)
		ok(t, err)
		equal(t, n, want)
	}
	holdsUser(t, st, stays)
	holdsUser(t, st, later)
	_, err := st.User(t.Context(), due.ID)
	is(t, err, bitjang.ErrNotFound)
	_, err = st.UserByEmail(t.Context(), another.Email)
	is(t, err, bitjang.ErrNotFound)
	is(t, st.UpdateUser(t.Context(), due), bitjang.ErrConflict)
	due.DeleteAt = time.Time{}
	insertUser(t, st, due) // the address is free again
}

func userCancelled(t *testing.T, st store) {
	ctx := cancelled(t)
	u := randomUser()
	if err := st.InsertUser(ctx, u); err == nil {
		t.Error("InsertUser: got no error, want the context's")
	}
	if _, err := st.UserByEmail(ctx, u.Email); err == nil || err == bitjang.ErrNotFound {
		t.Errorf("UserByEmail: got %v, want the context's error", err)
	}
}

var eventTests = []test[store]{
	{"events come back as they went in, newest first", eventRoundTrip},
	{"an event takes one seal, and everybody's are listed in order", eventsAreSealed},
	{"events are listed by owner, in pages", eventPages},
	{"only the old are deleted, a few at a time", eventDelete},
	{"no events are no error", func(t *testing.T, st store) { ok(t, st.InsertEvents(t.Context())) }},
}

func event(user string, n int) bitjang.Event {
	return bitjang.Event{
		At: epoch.Add(time.Duration(n) * time.Second), Type: bitjang.EventLogin, UserID: user,
		SessionID: bitjang.SessionID{byte(n)}, IP: netip.MustParseAddr("192.0.2.1"), UserAgent: oddText, Reason: "pwd", Count: n,
		Detail: "country_changed=KR>US " + oddText,
	}
}

func eventRoundTrip(t *testing.T, st store) {
	a, b := event("u", 1), bitjang.Event{At: epoch, Type: bitjang.EventSignup, UserID: "u"}
	ok(t, st.InsertEvents(t.Context(), a, b))
	got, err := st.Events(t.Context(), "u", 0, 10)
	ok(t, err)
	if len(got) != 2 || got[0].ID <= got[1].ID {
		t.Fatalf("got %v, want two events with growing ids, newest first", got)
	}
	a.ID, b.ID = got[1].ID, got[0].ID
	equal(t, got, []bitjang.Event{b, a})
}

func eventPages(t *testing.T, st store) {
	for n := range 10 {
		ok(t, st.InsertEvents(t.Context(), event("u", n), event("other", n)))
	}
	var got []int
	var before int64
	for range 3 {
		page, err := st.Events(t.Context(), "u", before, 4)
		ok(t, err)
		for _, e := range page {
			got = append(got, e.Count)
			before = e.ID
		}
	}
	equal(t, got, []int{9, 8, 7, 6, 5, 4, 3, 2, 1, 0})
}

func eventDelete(t *testing.T, st store) {
	for n := range 10 {
		ok(t, st.InsertEvents(t.Context(), event("u", n)))
	}
	for _, want := range []int{3, 2, 0} {
		n, err := st.DeleteEvents(t.Context(), epoch.Add(5*time.Second), 3)
		ok(t, err)
		if n != want {
			t.Fatalf("got %d removed, want %d", n, want)
		}
	}
	left, err := st.Events(t.Context(), "u", 0, 100)
	ok(t, err)
	if len(left) != 5 || left[4].Count != 5 {
		t.Fatalf("got %v, want events 9 to 5", left)
	}
}

var keyTests = []test[store]{
	{"a key comes back as it went in", keyRoundTrip},
	{"a taken id is ErrExists and changes nothing", keyExists},
	{"an update replaces, and of a missing key is ErrNotFound", keyUpdate},
	{"deleting twice is no error", keyDelete},
}

func signingKey(id string) bitjang.SigningKey {
	return bitjang.SigningKey{ID: id, Algorithm: "ES256", Sealed: []byte{0, 1, 0xff, '\''}, CreatedAt: epoch, ActiveFrom: epoch.Add(time.Hour)}
}

func holdsKeys(t *testing.T, st store, want ...bitjang.SigningKey) {
	t.Helper()
	got, err := st.Keys(t.Context())
	ok(t, err)
	slices.SortFunc(got, func(a, b bitjang.SigningKey) int { return strings.Compare(a.ID, b.ID) })
	equal(t, got, want)
}

func keyRoundTrip(t *testing.T, st store) {
	a, b := signingKey("a"), signingKey("b")
	ok(t, st.InsertKey(t.Context(), b))
	ok(t, st.InsertKey(t.Context(), a))
	holdsKeys(t, st, a, b)
}

func keyExists(t *testing.T, st store) {
	k := signingKey("a")
	ok(t, st.InsertKey(t.Context(), k))
	other := k
	other.Sealed = []byte("other")
	is(t, st.InsertKey(t.Context(), other), bitjang.ErrExists)
	holdsKeys(t, st, k)
}

func keyUpdate(t *testing.T, st store) {
	k := signingKey("a")
	is(t, st.UpdateKey(t.Context(), k), bitjang.ErrNotFound)
	ok(t, st.InsertKey(t.Context(), k))
	k.Sealed, k.ActiveFrom = []byte("again"), epoch
	ok(t, st.UpdateKey(t.Context(), k))
	holdsKeys(t, st, k)
}

func keyDelete(t *testing.T, st store) {
	ok(t, st.InsertKey(t.Context(), signingKey("a")))
	ok(t, st.DeleteKey(t.Context(), "a"))
	ok(t, st.DeleteKey(t.Context(), "a"))
	holdsKeys(t, st)
}

// eventsAreSealed is the part of the audit trail that stores have in it.
func eventsAreSealed(t *testing.T, st store) {
	if _, err := st.LastSealed(t.Context()); !errors.Is(err, bitjang.ErrNotFound) {
		t.Fatalf("got %v, want none sealed", err)
	}
	for i := range 5 {
		ok(t, st.InsertEvents(t.Context(), bitjang.Event{At: epoch.Add(time.Duration(i) * time.Second), Type: "x", UserID: fmt.Sprint("u", i%2)}))
	}
	list, err := st.EventsAfter(t.Context(), 0, 3)
	ok(t, err)
	if len(list) != 3 || list[0].ID >= list[1].ID || list[1].ID >= list[2].ID || list[0].UserID == list[1].UserID || list[0].Seal != nil {
		t.Fatalf("got %+v, want everybody's first three in order, without seals", list)
	}
	rest, err := st.EventsAfter(t.Context(), list[2].ID, 10)
	ok(t, err)
	if len(rest) != 2 {
		t.Fatalf("got %d more, want 2", len(rest))
	}
	seal := []byte{0, 1, 0xff, '\'', 0}
	ok(t, st.SealEvent(t.Context(), list[1].ID, seal))
	if err := st.SealEvent(t.Context(), list[1].ID, []byte("another")); !errors.Is(err, bitjang.ErrConflict) {
		t.Fatalf("sealed twice: got %v, want %v", err, bitjang.ErrConflict)
	}
	if err := st.SealEvent(t.Context(), rest[1].ID+100, seal); !errors.Is(err, bitjang.ErrConflict) {
		t.Fatalf("sealed nothing: got %v, want %v", err, bitjang.ErrConflict)
	}
	last, err := st.LastSealed(t.Context())
	ok(t, err)
	if want := list[1]; last.ID != want.ID || !bytes.Equal(last.Seal, seal) || !last.At.Equal(want.At) {
		t.Fatalf("got %+v, want the second with its seal", last)
	}
}
