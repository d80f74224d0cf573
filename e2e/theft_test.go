package e2e

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// hand is one of two holders of the same refresh token.
type hand struct {
	token     string
	refreshes int // that worked since the theft; from the second on it has confirmed a token minted after it
}

// theft is a session whose refresh token is in two hands, the owner's and a
// thief's that looks just like the owner.
type theft struct {
	t       *testing.T
	order   string
	c       *client
	session string
	hands   map[byte]*hand // by 'v' and 't'
	ended   bool
}

func newTheft(t *testing.T, b *bitjang, order string) *theft {
	t.Helper()
	c := newClient(t, b.url(""))
	stolen := c.refresh(t, c.login(t).Refresh)
	return &theft{t: t, order: order, c: c, session: stolen.Session, hands: map[byte]*hand{
		'v': {token: stolen.Refresh}, 't': {token: stolen.Refresh},
	}}
}

// step lets one of them refresh and checks the promise: once either has
// confirmed a token minted after the theft, the other gets no tokens any more,
// and its next refresh ends the session. The one exception is the stolen token
// itself within the grace: that might be a straggler and ends nothing yet.
func (th *theft) step(who byte) {
	me, rival := th.hands[who], th.hands['v'+'t'-who]
	a, err := th.c.tryRefresh(me.token)
	if err != nil {
		th.t.Errorf("%s: %v", th.order, err)
		return
	}
	got, caught := a.String(), rival.refreshes >= 2
	straggler := caught && me.refreshes == 0
	switch {
	case th.ended:
		if got != "401 session_revoked" {
			th.t.Errorf("%s: %c got %s after the end, want 401 session_revoked", th.order, who, got)
		}
	case caught && got == "401 refresh_token_reused":
		th.ended = true
	case straggler && got == "409 refresh_superseded":
	case caught || a.Status != http.StatusOK:
		th.t.Errorf("%s: %c got %s after refreshes %d, the other's %d", th.order, who, got, me.refreshes, rival.refreshes)
	default:
		me.token = a.Refresh
		me.refreshes++
	}
}

// TestAThiefIsCaughtWhateverTheOrder plays all orders of five refreshes by
// owner and thief, quickly, all within the grace, and slowly, each after it.
func TestAThiefIsCaughtWhateverTheOrder(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		grace time.Duration
		pause time.Duration
	}{
		{"within the grace", 5 * time.Second, 0},
		{"after the grace", time.Second, 1100 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := startBitjang(t, "BITJANG_ROTATION_GRACE="+tt.grace.String())
			var thefts []*theft
			for _, order := range orders(5) {
				thefts = append(thefts, newTheft(t, b, order))
			}
			var wg sync.WaitGroup
			for _, th := range thefts {
				wg.Go(func() {
					for _, who := range []byte(th.order) {
						time.Sleep(tt.pause)
						th.step(who)
					}
					// Both go on, the owner first, once nobody can be a straggler.
					time.Sleep(tt.grace + 100*time.Millisecond)
					for _, who := range []byte("vvt") {
						th.step(who)
					}
				})
			}
			wg.Wait()
			ended := b.sessions(t, true)
			for _, th := range thefts {
				if got := ended[th.session].Reason; !th.ended || got != reuse {
					t.Errorf("%s: got the session ended for %q, want %q", th.order, got, reuse)
				}
			}
		})
	}
}

// orders lists all sequences of n steps by 'v' and 't'.
func orders(n int) []string {
	list := []string{""}
	for range n {
		var longer []string
		for _, o := range list {
			longer = append(longer, o+"v", o+"t")
		}
		list = longer
	}
	return list
}

func TestAThiefOnAnotherDeviceIsCaughtAtTheFirstRefresh(t *testing.T) {
	t.Parallel()
	b := startBitjang(t)
	c := newClient(t, b.url(""))
	stolen := c.login(t)
	fresh := c.refresh(t, stolen.Refresh)
	req, err := http.NewRequest(http.MethodPost, b.url("/v1/refresh"), strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Refresh-Token", stolen.Refresh)
	req.Header.Set("User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0")
	resp, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("got %d for the thief, want 401", resp.StatusCode)
	}
	b.wantEnded(t, stolen.Session, "retry_from_other_device")
	c.wantRefused(t, fresh.Refresh, http.StatusUnauthorized, "session_revoked")
}

func TestAThiefIsCaughtOnceTheOwnersNewAccessTokenWasSeen(t *testing.T) {
	t.Parallel()
	b := startBitjang(t, shortGrace)
	c := newClient(t, b.url(""))
	stolen := c.login(t)
	fresh := c.refresh(t, stolen.Refresh)
	if got := c.asks(t, "/forward-auth", fresh.Access); got != http.StatusOK {
		t.Fatalf("got %d for the owner, want 200", got)
	}
	afterGrace()
	c.wantRefused(t, stolen.Refresh, http.StatusUnauthorized, "refresh_token_reused")
	c.wantNoAccess(t, fresh.Access)
	b.wantEnded(t, stolen.Session, reuse)
}
