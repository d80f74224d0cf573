package bitjang_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bitjang/bitjang"
)

// forger shows a store as somebody has left it who may write to the database.
type forger struct {
	bitjang.Store
	edit func([]bitjang.Event) []bitjang.Event
}

func (f *forger) EventsAfter(ctx context.Context, after int64, limit int) ([]bitjang.Event, error) {
	list, err := f.Store.EventsAfter(ctx, 0, 1000)
	if f.edit != nil {
		list = f.edit(list)
	}
	list = slices.DeleteFunc(list, func(e bitjang.Event) bool { return e.ID <= after })
	return list[:min(len(list), limit)], err
}

// trail is a service with sealed events 1 to 6.
func trail(t *testing.T) (*rig, *forger) {
	t.Helper()
	r := newRig(t)
	f := &forger{Store: r.store.Store}
	r.store.Store = f
	for i := range 6 {
		checkErr(t, f.InsertEvents(t.Context(), bitjang.Event{At: r.clock.now(), Type: bitjang.EventLogin, UserID: "u", Reason: fmt.Sprint(i)}), nil)
		r.clock.turn(time.Minute)
	}
	checkErr(t, r.SealEvents(t.Context()), nil)
	return r, f
}

func TestTheAuditTrailShowsWhatWasDoneToIt(t *testing.T) {
	t.Parallel()
	type events = []bitjang.Event
	for name, tt := range map[string]struct {
		edit func(events) events
		want []bitjang.AuditProblem
	}{
		"nothing":          {nil, nil},
		"a changed reason": {func(l events) events { l[2].Reason = "x"; return l }, []bitjang.AuditProblem{{ID: 3, What: "changed"}}},
		"a changed time":   {func(l events) events { l[2].At = l[2].At.Add(time.Millisecond); return l }, []bitjang.AuditProblem{{ID: 3, What: "changed"}}},
		"another user":     {func(l events) events { l[5].UserID = "v"; return l }, []bitjang.AuditProblem{{ID: 6, What: "changed"}}},
		"texts that moved": {func(l events) events { l[1].UserAgent, l[1].Reason = "1", ""; return l }, []bitjang.AuditProblem{{ID: 2, What: "changed"}}},
		"a missing line":   {func(l events) events { return slices.Delete(l, 2, 3) }, []bitjang.AuditProblem{{ID: 4, What: "missing before"}}},
		"a missing first":  {func(l events) events { return l[1:] }, []bitjang.AuditProblem{{ID: 2, What: "missing before"}}},
		"a line put in": {func(l events) events {
			return append(l, bitjang.Event{ID: 7, At: l[5].At.Add(-time.Hour), Type: bitjang.EventLogin, UserID: "u"})
		}, []bitjang.AuditProblem{{ID: 7, What: "not sealed"}}},
		"a line put in with another's seal": {func(l events) events {
			return append(l, bitjang.Event{ID: 7, At: l[5].At, Type: l[5].Type, UserID: "u", Reason: l[5].Reason, Seal: l[5].Seal})
		}, []bitjang.AuditProblem{{ID: 7, What: "changed"}}},
		"two lines exchanged": {func(l events) events {
			l[2], l[3] = l[3], l[2]
			l[2].ID, l[3].ID = 3, 4
			return l
		}, []bitjang.AuditProblem{{ID: 3, What: "changed"}, {ID: 4, What: "changed"}, {ID: 5, What: "missing before"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, f := trail(t)
			f.edit = tt.edit
			got, err := r.VerifyAudit(t.Context(), "")
			checkErr(t, err, nil)
			if diff := cmp.Diff(tt.want, got.Problems); diff != "" {
				t.Errorf("problems (-want +got)\n%s", diff)
			}
		})
	}
}

func TestAHeadShowsWhatWasCutOff(t *testing.T) {
	t.Parallel()
	r, f := trail(t)
	whole, err := r.VerifyAudit(t.Context(), "")
	checkErr(t, err, nil)
	f.edit = func(l []bitjang.Event) []bitjang.Event { return l[:4] }
	if got, err := r.VerifyAudit(t.Context(), ""); err != nil || len(got.Problems) > 0 {
		t.Errorf("got %v and %v: without a head nothing is known of the end", got.Problems, err)
	}
	got, err := r.VerifyAudit(t.Context(), whole.Head)
	checkErr(t, err, nil)
	if diff := cmp.Diff([]bitjang.AuditProblem{{ID: 6, What: "cut off"}}, got.Problems); diff != "" {
		t.Error(diff)
	}
	if _, err := r.VerifyAudit(t.Context(), "nonsense"); bitjang.AsError(err).Reason != "head_invalid" {
		t.Errorf("got %v", err)
	}
}

func TestOldEventsMayGoAndNewOnesWait(t *testing.T) {
	t.Parallel()
	r, f := trail(t)
	r.clock.turn(400*24*time.Hour - 4*time.Minute) // the first two are older than the retention
	checkErr(t, f.InsertEvents(t.Context(), bitjang.Event{At: r.clock.now(), Type: bitjang.EventLogin, UserID: "u"}), nil)
	checkErr(t, r.SealEvents(t.Context()), nil) // too new to be sealed
	f.edit = func(l []bitjang.Event) []bitjang.Event { return l[2:] }
	got, err := r.VerifyAudit(t.Context(), "")
	checkErr(t, err, nil)
	if got.Removed != 1 || got.Fresh != 1 || got.Sealed != 4 || len(got.Problems) > 0 {
		t.Errorf("got %+v, want four sealed, one fresh and the others gone by age", got)
	}
	f.edit = func(l []bitjang.Event) []bitjang.Event { return l[3:] } // the third was young enough to be kept
	if got, err = r.VerifyAudit(t.Context(), ""); err != nil || len(got.Problems) != 1 {
		t.Errorf("got %+v and %v, want the missing line", got, err)
	}
}

func TestNodesSealTogetherAndUnderANewMasterKey(t *testing.T) {
	t.Parallel()
	r, f := trail(t)
	renewed := r.cfg
	renewed.MasterKeys = append([]bitjang.Secret{bitjang.NewMasterKey()}, r.cfg.MasterKeys...)
	nodes := []*bitjang.Service{r.Service, r.node(t, renewed), r.Service}
	for i := range 20 {
		checkErr(t, f.InsertEvents(t.Context(), bitjang.Event{At: r.clock.now(), Type: bitjang.EventLogin, UserID: "u", Reason: fmt.Sprint(i)}), nil)
	}
	r.clock.turn(time.Minute)
	race(t, nodes, func(s *bitjang.Service) error { return s.SealEvents(t.Context()) })
	checkErr(t, r.SealEvents(t.Context()), nil)
	got, err := nodes[1].VerifyAudit(t.Context(), "")
	checkErr(t, err, nil)
	if got.Sealed != 26 || len(got.Problems) > 0 {
		t.Errorf("got %+v, want all sealed in one chain", got)
	}
}

func race(t *testing.T, nodes []*bitjang.Service, work func(*bitjang.Service) error) {
	t.Helper()
	errs := make(chan error, len(nodes))
	for _, n := range nodes {
		go func() { errs <- work(n) }()
	}
	for range nodes {
		checkErr(t, <-errs, nil)
	}
}
