package e2e

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// lossy stands between a client and bitjang and loses what it is told to.
type lossy struct {
	*httptest.Server
	to        string
	mu        sync.Mutex
	answers   int // of refreshes, to lose: bitjang has answered, the client hears nothing
	questions int // of refreshes, to lose: bitjang hears nothing
}

func newLossy(t *testing.T, b *bitjang) *lossy {
	t.Helper()
	l := &lossy{to: b.url("")}
	l.Server = httptest.NewServer(http.HandlerFunc(l.pass))
	t.Cleanup(l.Close)
	return l
}

func (l *lossy) pass(w http.ResponseWriter, r *http.Request) {
	loseQuestion, loseAnswer := l.decide(r)
	if loseQuestion {
		panic(http.ErrAbortHandler) // closes the connection
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	out, err := http.NewRequest(r.Method, l.to+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	out.Header = r.Header.Clone()
	resp, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || loseAnswer {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
	w.WriteHeader(resp.StatusCode)
	_, _ = w.Write(answer) // the client is gone: the test sees it
}

func (l *lossy) decide(r *http.Request) (loseQuestion, loseAnswer bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case r.URL.Path != "/v1/refresh":
	case l.questions > 0:
		l.questions--
		return true, false
	case l.answers > 0:
		l.answers--
		return false, true
	}
	return false, false
}

// lose sends a refresh whose answer or question gets lost.
func (l *lossy) lose(t *testing.T, c *client, token string, what *int) {
	t.Helper()
	l.mu.Lock()
	*what = 1
	l.mu.Unlock()
	if a, err := c.tryRefresh(token); err == nil {
		t.Fatalf("got the answer %v, want it lost", a)
	}
}

// shortGrace is the shortest there is; afterGrace waits it out.
const shortGrace = "BITJANG_ROTATION_GRACE=1s"

func afterGrace() { time.Sleep(2500 * time.Millisecond) }

func TestALostAnswerLogsNobodyOut(t *testing.T) {
	t.Parallel()
	b := startBitjang(t, shortGrace)
	tests := []struct {
		name string
		run  func(t *testing.T, l *lossy, c *client, token string) tokens
	}{
		{"when the client tries again at once", func(t *testing.T, l *lossy, c *client, token string) tokens {
			l.lose(t, c, token, &l.answers)
			return c.refresh(t, token)
		}},
		{"when the client tries again after the grace", func(t *testing.T, l *lossy, c *client, token string) tokens {
			l.lose(t, c, token, &l.answers)
			afterGrace()
			return c.refresh(t, token)
		}},
		{"when it is lost five times in a row, at once", func(t *testing.T, l *lossy, c *client, token string) tokens {
			for range 5 {
				l.lose(t, c, token, &l.answers)
			}
			return c.refresh(t, token)
		}},
		{"when it is lost three times, each after the grace", func(t *testing.T, l *lossy, c *client, token string) tokens {
			for range 3 {
				l.lose(t, c, token, &l.answers)
				afterGrace()
			}
			return c.refresh(t, token)
		}},
		{"when it is the question that is lost", func(t *testing.T, l *lossy, c *client, token string) tokens {
			l.lose(t, c, token, &l.questions)
			afterGrace()
			return c.refresh(t, token)
		}},
		{"when each of ten refreshes loses its first answer", func(t *testing.T, l *lossy, c *client, token string) (tok tokens) {
			for range 10 {
				l.lose(t, c, token, &l.answers)
				tok = c.refresh(t, token)
				token = tok.Refresh
			}
			return tok
		}},
	}
	for _, tt := range tests {
		for _, generation := range []string{"the first token", "a later token"} {
			t.Run(generation+", "+tt.name, func(t *testing.T) {
				t.Parallel()
				l := newLossy(t, b)
				c := newClient(t, l.URL)
				tok := c.login(t)
				if generation == "a later token" {
					tok = c.refresh(t, c.refresh(t, tok.Refresh).Refresh)
				}
				tok = tt.run(t, l, c, tok.Refresh)
				// The tokens must be good, and lead on.
				if got := c.asks(t, "/v1/me", tok.Access); got != http.StatusOK {
					t.Errorf("the access token after a loss: got %d, want 200", got)
				}
				c.refresh(t, c.refresh(t, tok.Refresh).Refresh)
				b.wantAlive(t, tok.Session)
			})
		}
	}
}

func TestAnOldTokenEndsTheSessionForBothHolders(t *testing.T) {
	t.Parallel()
	b := startBitjang(t, shortGrace)
	tests := []struct {
		name string
		old  int  // which of the tokens 0 to 3 comes back; 3 is the newest
		wait bool // until the grace is over
	}{
		{"the first of four tokens", 0, false},
		{"the parent of the confirmed token, after the grace", 1, true},
		{"the confirmed token itself, long after its child was used", 2, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, b.url(""))
			chain := []tokens{c.login(t)}
			for range 3 {
				chain = append(chain, c.refresh(t, chain[len(chain)-1].Refresh))
			}
			newest := chain[3]
			if got := c.asks(t, "/v1/me", newest.Access); got != http.StatusOK {
				t.Fatalf("before the theft is noticed: got %d, want 200", got)
			}
			if tt.wait {
				afterGrace()
			}
			c.wantRefused(t, chain[tt.old].Refresh, http.StatusUnauthorized, "refresh_token_reused")
			b.wantEnded(t, newest.Session, reuse)
			c.wantRefused(t, newest.Refresh, http.StatusUnauthorized, "session_revoked")
			c.wantNoAccess(t, newest.Access)
			c.wantNoAccess(t, chain[0].Access)
		})
	}
}

func TestAStragglerIsToldToTryAgainAndNoMore(t *testing.T) {
	t.Parallel()
	b := startBitjang(t)
	c := newClient(t, b.url(""))
	first := c.login(t)
	second := c.refresh(t, first.Refresh)
	third := c.refresh(t, second.Refresh)
	c.wantRefused(t, first.Refresh, http.StatusConflict, "refresh_superseded")
	c.refresh(t, third.Refresh)
	b.wantAlive(t, third.Session)
}
