package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// load is many apps that refresh in a closed loop. Each stores a new refresh
// token before it uses it, and repeats a refresh that was not answered with the
// same token, until it is.
type load struct {
	*bitjang
	clients []*client
	held    []tokens // what each client has stored

	stop context.CancelFunc
	wg   sync.WaitGroup

	mu       sync.Mutex
	outcomes map[string]int // what happened to requests
	verdicts map[string]int // what bitjang counted, as far as it lived to tell
}

func newLoad(t *testing.T, b *bitjang, n int) *load {
	t.Helper()
	l := &load{bitjang: b, outcomes: map[string]int{}, verdicts: map[string]int{}}
	for range n {
		c := newClient(t, b.url(""))
		l.clients, l.held = append(l.clients, c), append(l.held, c.login(t))
	}
	return l
}

// run starts all clients; halt stops them.
func (l *load) run(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	t.Cleanup(l.halt)
	for i := range l.clients {
		l.wg.Go(func() { l.loop(ctx, i) })
	}
}

func (l *load) halt() {
	l.stop()
	l.wg.Wait()
}

// loop never gives up on a request that was not answered: only an answer tells
// which token is the newest.
func (l *load) loop(ctx context.Context, i int) {
	c := l.clients[i]
	for answered := true; !answered || ctx.Err() == nil; {
		a, err := c.tryRefresh(l.held[i].Refresh)
		answered = err == nil && a.Status != http.StatusServiceUnavailable
		l.count(outcome(a, err))
		switch {
		case !answered:
			time.Sleep(5 * time.Millisecond)
			continue
		case a.Status != http.StatusOK:
			return // the outcomes tell
		}
		l.held[i] = a.tokens
		if i%2 == 0 { // half of the clients use what they got, the others only refresh
			a, err := c.do(http.MethodGet, "/v1/me", l.held[i].Access, nil)
			l.count("me: " + outcome(a, err))
		}
	}
}

func outcome(a answer, err error) string {
	var dial *net.OpError
	switch {
	case err == nil:
		return a.String()
	case errors.Is(err, errTruncated):
		return "truncated"
	case errors.As(err, &dial) && dial.Op == "dial":
		return "nobody there"
	}
	return "not answered"
}

func (l *load) count(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outcomes[what]++
}

func (l *load) seen(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.outcomes[what]
}

// progress waits until so many more refreshes have worked.
func (l *load) progress(t *testing.T, n int) {
	t.Helper()
	want := l.seen("200") + n
	l.until(t, "wait for refreshes", func() error {
		if got := l.seen("200"); got < want {
			return fmt.Errorf("got %d refreshes, want %d", got, want)
		}
		return nil
	})
}

// note adds up what bitjang has counted, before it is stopped.
func (l *load) note(t *testing.T) {
	t.Helper()
	for v, n := range l.bitjang.verdicts(t) {
		l.verdicts[v] += n
	}
}

// wantNobodyOut checks, after halt, that every client was only ever answered
// with tokens and is still logged in, and that bitjang suspects nobody.
func (l *load) wantNobodyOut(t *testing.T) {
	t.Helper()
	l.wantNobodyOutBut(t, 0)
}

// wantNobodyOutBut is wantNobodyOut where the user has more sessions than the
// clients'.
func (l *load) wantNobodyOutBut(t *testing.T, more int) {
	t.Helper()
	harmless := map[string]bool{"200": true, "503": true, "not answered": true, "nobody there": true, "truncated": true}
	for what := range l.outcomes {
		short := strings.TrimPrefix(what, "me: ")
		if status, _, _ := strings.Cut(short, " "); !harmless[short] && status != "503" {
			t.Errorf("got the outcome %q, want only tokens or no answer; all outcomes are %v", what, l.outcomes)
		}
	}
	alive, ended := l.sessions(t, false), l.sessions(t, true)
	for i, c := range l.clients {
		if s := l.held[i].Session; alive[s].State != "active" {
			t.Errorf("got session %d in state %q, want active; ended for %q", i, alive[s].State, ended[s].Reason)
			continue
		}
		l.held[i] = c.refresh(t, l.held[i].Refresh)
	}
	events := l.clients[0].events(t, l.held[0].Access)
	suspicious := maps.Clone(events)
	maps.DeleteFunc(suspicious, func(e string, _ int) bool { return e == "signup" || e == "login" })
	if len(suspicious) > 0 || events["login"] != len(l.clients)+more {
		t.Errorf("got events %v, want the logins of %d clients and nothing else", events, len(l.clients))
	}
}
