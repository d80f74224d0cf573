package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
)

var mailTests = []test[store]{
	{"a mail comes back as it went in, counted and put off", mailRoundTrip},
	{"a taken id is ErrExists and changes nothing", mailExists},
	{"mails are claimed when they are due, the longest due first, some at a time", mailOrder},
	{"of many concurrent claims exactly one gets each mail", mailOneWinner},
	{"a mail that is put off comes back, one that is deleted does not", mailFates},
	{"a cancelled context is honoured", mailCancelled},
}

func waiting(id string, due time.Time) bitjang.WaitingMail {
	return bitjang.WaitingMail{ID: id, Sealed: []byte{0, 1, 0xff, '\'', 0}, CreatedAt: epoch, DueAt: due}
}

func claim(t *testing.T, st store, now time.Time, limit int) []bitjang.WaitingMail {
	t.Helper()
	list, err := st.ClaimMails(t.Context(), now, now.Add(time.Minute), limit)
	ok(t, err)
	return list
}

func mailRoundTrip(t *testing.T, st store) {
	m := waiting("a", epoch)
	ok(t, st.InsertMail(t.Context(), m))
	for attempt := 1; attempt <= 3; attempt++ {
		now := epoch.Add(time.Duration(attempt) * time.Hour)
		m.DueAt, m.Attempts = now.Add(time.Minute), attempt
		equal(t, claim(t, st, now, 10), []bitjang.WaitingMail{m})
	}
}

func mailExists(t *testing.T, st store) {
	ok(t, st.InsertMail(t.Context(), waiting("a", epoch)))
	other := waiting("a", epoch.Add(time.Hour))
	other.Sealed = []byte("other")
	is(t, st.InsertMail(t.Context(), other), bitjang.ErrExists)
	equal(t, claim(t, st, epoch, 10)[0].Sealed, waiting("a", epoch).Sealed)
}

func mailOrder(t *testing.T, st store) {
	for i, due := range []time.Duration{3, 1, 2, 0, 4} {
		ok(t, st.InsertMail(t.Context(), waiting(fmt.Sprint(i), epoch.Add(due*time.Second))))
	}
	ids := func(list []bitjang.WaitingMail) (ids string) {
		for _, m := range list {
			ids += m.ID
		}
		return ids
	}
	equal(t, ids(claim(t, st, epoch.Add(3*time.Second), 3)), "312")
	equal(t, ids(claim(t, st, epoch.Add(3*time.Second), 3)), "0")
	equal(t, ids(claim(t, st, epoch.Add(3*time.Second), 3)), "")
	equal(t, ids(claim(t, st, epoch.Add(4*time.Second), 3)), "4")
}

func mailOneWinner(t *testing.T, st store) {
	const mails, claimers = 20, 16
	for i := range mails {
		ok(t, st.InsertMail(t.Context(), waiting(fmt.Sprint(i), epoch)))
	}
	var mu sync.Mutex
	got := map[string]int{}
	var all sync.WaitGroup
	for range claimers {
		all.Go(func() {
			for range mails {
				list, err := st.ClaimMails(t.Context(), epoch, epoch.Add(time.Hour), 3)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				for _, m := range list {
					got[m.ID]++
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for i := range mails {
		equal(t, got[fmt.Sprint(i)], 1)
	}
}

func mailFates(t *testing.T, st store) {
	for _, id := range []string{"again", "sent"} {
		ok(t, st.InsertMail(t.Context(), waiting(id, epoch)))
	}
	equal(t, len(claim(t, st, epoch, 10)), 2)
	ok(t, st.PostponeMail(t.Context(), "again", epoch.Add(time.Second)))
	ok(t, st.DeleteMail(t.Context(), "sent"))
	ok(t, st.DeleteMail(t.Context(), "sent"))
	is(t, st.PostponeMail(t.Context(), "sent", epoch), bitjang.ErrNotFound)
	equal(t, len(claim(t, st, epoch, 10)), 0)
	list := claim(t, st, epoch.Add(24*time.Hour), 10)
	equal(t, len(list), 1)
	equal(t, list[0].ID, "again")
	equal(t, list[0].Attempts, 2)
}

func mailCancelled(t *testing.T, st store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	is(t, st.InsertMail(ctx, waiting("a", epoch)), context.Canceled)
	_, err := st.ClaimMails(ctx, epoch, epoch, 1)
	is(t, err, context.Canceled)
	is(t, st.PostponeMail(ctx, "a", epoch), context.Canceled)
	is(t, st.DeleteMail(ctx, "a"), context.Canceled)
}
