package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
)

var clientTests = []test[store]{
	{"a client comes back as it went in", clientRoundTrip},
	{"a taken id is ErrExists and changes nothing", clientExists},
	{"a missing client is ErrNotFound, and its update ErrConflict", clientMissing},
	{"an update writes every field but id and creation", clientUpdate},
	{"of many concurrent updates exactly one wins", clientOneWinner},
	{"clients are listed in pages, in the order of ids", clientPages},
	{"deleting twice is no error", clientDelete},
	{"a cancelled context is honoured", clientCancelled},
}

func registered(id string) bitjang.Client {
	return bitjang.Client{
		ID: id, Name: oddText, Auth: bitjang.ClientBySecret,
		Secrets: []bitjang.ClientSecret{{Hash: []byte{0, 1, 0xff}, CreatedAt: epoch}, {Hash: []byte("old"), CreatedAt: epoch.Add(-time.Hour)}},
		Keys:    []byte(`{"keys":[]}`), FirstParty: true, NoPKCE: true,
		GrantTypes: []string{"authorization_code"}, Scopes: []string{"openid", "a:b"}, Resources: []string{"https://api.example.com"},
		RedirectURIs: []string{"https://app.example.com/cb?a=b&c=" + oddText}, LogoutURIs: []string{"https://app.example.com/bye"},
		BackchannelLogoutURI: "https://app.example.com/backchannel",
		AccessTTL:            time.Minute, RefreshTTL: time.Hour, SessionTTL: 24 * time.Hour,
		CreatedAt: epoch, UpdatedAt: epoch.Add(time.Second), Version: 1,
	}
}

func holdsClient(t *testing.T, st store, want bitjang.Client) {
	t.Helper()
	got, err := st.Client(t.Context(), want.ID)
	ok(t, err)
	equal(t, got, want)
}

func clientRoundTrip(t *testing.T, st store) {
	for _, c := range []bitjang.Client{registered("full"), {ID: "bare", Version: 1}} {
		ok(t, st.InsertClient(t.Context(), c))
		holdsClient(t, st, c)
	}
}

func clientExists(t *testing.T, st store) {
	c := registered("a")
	ok(t, st.InsertClient(t.Context(), c))
	is(t, st.InsertClient(t.Context(), bitjang.Client{ID: "a", Name: "other", Version: 1}), bitjang.ErrExists)
	holdsClient(t, st, c)
	ok(t, st.InsertClient(t.Context(), bitjang.Client{ID: "A", Version: 1})) // ids are compared byte for byte
	holdsClient(t, st, c)
}

func clientMissing(t *testing.T, st store) {
	_, err := st.Client(t.Context(), "nobody")
	is(t, err, bitjang.ErrNotFound)
	is(t, st.UpdateClient(t.Context(), registered("nobody")), bitjang.ErrConflict)
}

func clientUpdate(t *testing.T, st store) {
	c := registered("a")
	ok(t, st.InsertClient(t.Context(), c))
	next := bitjang.Client{ID: "a", Name: "n", Auth: bitjang.ClientPublic, UpdatedAt: epoch.Add(time.Hour), CreatedAt: epoch.Add(time.Hour), Version: 1}
	ok(t, st.UpdateClient(t.Context(), next))
	next.CreatedAt = c.CreatedAt
	next.Version++
	holdsClient(t, st, next)
	is(t, st.UpdateClient(t.Context(), c), bitjang.ErrConflict)
	holdsClient(t, st, next)
}

func clientOneWinner(t *testing.T, st store) {
	c := registered("a")
	ok(t, st.InsertClient(t.Context(), c))
	if wins := race(t, 16, func(int) error { return st.UpdateClient(t.Context(), c) }); wins != 1 {
		t.Fatalf("got %d winners, want 1", wins)
	}
}

func clientPages(t *testing.T, st store) {
	var want []bitjang.Client
	for _, id := range []string{"d", "b", "B", "a", "c"} {
		c := registered(id)
		ok(t, st.InsertClient(t.Context(), c))
		want = append(want, c)
	}
	slices.SortFunc(want, func(a, b bitjang.Client) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	first, err := st.Clients(t.Context(), "", 3)
	ok(t, err)
	second, err := st.Clients(t.Context(), first[2].ID, 3)
	ok(t, err)
	equal(t, append(first, second...), want)
}

func clientDelete(t *testing.T, st store) {
	ok(t, st.InsertClient(t.Context(), registered("a")))
	ok(t, st.DeleteClient(t.Context(), "a"))
	ok(t, st.DeleteClient(t.Context(), "a"))
	_, err := st.Client(t.Context(), "a")
	is(t, err, bitjang.ErrNotFound)
}

func clientCancelled(t *testing.T, st store) {
	ctx := cancelled(t)
	if err := st.InsertClient(ctx, registered("a")); err == nil {
		t.Error("InsertClient: got no error, want the context's")
	}
	if _, err := st.Client(ctx, "a"); err == nil || err == bitjang.ErrNotFound {
		t.Errorf("Client: got %v, want the context's error", err)
	}
}

var consentTests = []test[store]{
	{"a consent comes back as it was given last", consentRoundTrip},
	{"consents are listed by user", consentList},
	{"one consent is deleted, or all of a user's", consentDelete},
	{"of many that are put at once one stays", consentRace},
}

func allowed(user, client, scope string) bitjang.Consent {
	return bitjang.Consent{UserID: user, ClientID: client, Scope: scope, At: epoch}
}

func consentRoundTrip(t *testing.T, st store) {
	_, err := st.Consent(t.Context(), "u", "c")
	is(t, err, bitjang.ErrNotFound)
	for _, c := range []bitjang.Consent{allowed("u", "c", "openid"), allowed("u", "c", "openid"), allowed("u", "c", "openid email"), allowed("U", "c", ""), allowed("u", "C", "x")} {
		ok(t, st.PutConsent(t.Context(), c))
		got, err := st.Consent(t.Context(), c.UserID, c.ClientID)
		ok(t, err)
		equal(t, got, c)
	}
	got, err := st.Consent(t.Context(), "u", "c")
	ok(t, err)
	equal(t, got, allowed("u", "c", "openid email"))
}

func consentList(t *testing.T, st store) {
	for _, client := range []string{"b", "c", "a"} {
		ok(t, st.PutConsent(t.Context(), allowed("u", client, client)))
		ok(t, st.PutConsent(t.Context(), allowed("other", client, client)))
	}
	got, err := st.Consents(t.Context(), "u")
	ok(t, err)
	equal(t, got, []bitjang.Consent{allowed("u", "a", "a"), allowed("u", "b", "b"), allowed("u", "c", "c")})
}

func consentDelete(t *testing.T, st store) {
	for _, client := range []string{"a", "b", "c"} {
		ok(t, st.PutConsent(t.Context(), allowed("u", client, client)))
		ok(t, st.PutConsent(t.Context(), allowed("other", client, client)))
	}
	ok(t, st.DeleteConsents(t.Context(), "u", "a"))
	got, err := st.Consents(t.Context(), "u")
	ok(t, err)
	equal(t, got, []bitjang.Consent{allowed("u", "b", "b"), allowed("u", "c", "c")})
	ok(t, st.DeleteConsents(t.Context(), "u", ""))
	got, err = st.Consents(t.Context(), "u")
	ok(t, err)
	equal(t, len(got), 0)
	got, err = st.Consents(t.Context(), "other")
	ok(t, err)
	equal(t, len(got), 3)
}

func consentRace(t *testing.T, st store) {
	if puts := race(t, 16, func(int) error { return st.PutConsent(t.Context(), allowed("u", "c", "openid")) }); puts != 16 {
		t.Fatalf("got %d that succeeded, want all", puts)
	}
	got, err := st.Consents(t.Context(), "u")
	ok(t, err)
	equal(t, got, []bitjang.Consent{allowed("u", "c", "openid")})
}
