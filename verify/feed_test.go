package verify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const (
	sidA = "0a0a0a0a-0000-4000-8000-00000000000a"
	sidB = "0b0b0b0b-0000-4000-8000-00000000000b"
)

// pipes connects a client to a server without a network, so that both can live
// in a bubble where time is the test's.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

func (p *pipes) client() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		here, there := net.Pipe()
		select {
		case p.conns <- there:
			return here, nil
		case <-p.done:
			return nil, errors.New("connection refused")
		}
	}}}
}

// issuer is a feed that says what a test makes it say.
type issuer struct {
	mu    sync.Mutex
	serve func(w http.ResponseWriter, r *http.Request)
	asked []string // accept, cursor
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	cursor := r.URL.Query().Get("after")
	i.asked = append(i.asked, r.Header.Get("Accept")+" "+cursor)
	serve := i.serve
	i.mu.Unlock()
	if id, secret, _ := r.BasicAuth(); id != "api" || secret != "secret" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	serve(w, r)
}

func (i *issuer) will(serve func(w http.ResponseWriter, r *http.Request)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.serve = serve
}

func (i *issuer) questions() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]string{}, i.asked...)
}

// inFeedBubble runs a verifier with a feed from i, where time passes as fast as
// everybody waits.
func inFeedBubble(t *testing.T, edit func(*Feed), serve func(http.ResponseWriter, *http.Request), run func(t *testing.T, v *Verifier, i *issuer, token func(sid string) string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{serve: serve}
		p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		server := &http.Server{Handler: i}
		served := make(chan struct{})
		go func() { defer close(served); _ = server.Serve(p) }()
		f := Feed{Authorize: ClientSecret("api", "secret"), WhenStale: FailClosed, HTTPClient: p.client(), URL: "http://issuer/v1/revocations", ReportURL: "http://issuer/v1/seen"}
		if edit != nil {
			edit(&f)
		}
		v := newVerifier(t, func(c *Config) { c.Feed = &f })
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = v.Run(ctx) }()
		run(t, v, i, func(sid string) string { return mint(t, "es", claimsJSON(t, map[string]any{"sid": sid})) })
		stop()
		close(p.done)
		_ = server.Close()
		<-served
		<-done
	})
}

// says writes an event and flushes it.
func says(w http.ResponseWriter, cursor string, more bool, entries ...string) {
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprintf(w, "id: %s\nevent: revocations\ndata: {\"cursor\":%q,\"more\":%v,\"keep_for\":660,\"revocations\":[%s]}\n\n", cursor, cursor, more, strings.Join(entries, ","))
	_ = http.NewResponseController(w).Flush()
}

func heartbeat(w http.ResponseWriter, cursor string) {
	fmt.Fprintf(w, "id: %s\n\n", cursor)
	_ = http.NewResponseController(w).Flush()
}

func tell(sid, state string) string {
	return fmt.Sprintf(`{"sid":%q,"at":1764072000000,"state":%q,"reason":"logout"}`, sid, state)
}

// stays keeps a stream open with signs of life.
func stays(w http.ResponseWriter, r *http.Request, cursor string) {
	for {
		select {
		case <-r.Context().Done():
			return
		case <-time.After(5 * time.Second):
			heartbeat(w, cursor)
		}
	}
}

func wantVerdict(t *testing.T, v *Verifier, token string, want error) {
	t.Helper()
	if _, err := v.Verify(t.Context(), token); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestTokensOfEndedSessionsAreRefused(t *testing.T) {
	t.Parallel()
	var news chan string // of the bubble
	inFeedBubble(t, func(*Feed) { news = make(chan string) }, func(w http.ResponseWriter, r *http.Request) {
		says(w, "1", false, tell(sidA, "ended"))
		for {
			select {
			case <-r.Context().Done():
				return
			case e := <-news:
				says(w, "2", false, e)
			case <-time.After(5 * time.Second):
				heartbeat(w, "1")
			}
		}
	}, func(t *testing.T, v *Verifier, _ *issuer, token func(string) string) {
		if err := v.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		a, b := token(sidA), token(sidB)
		wantVerdict(t, v, a, ErrSessionRevoked)
		wantVerdict(t, v, b, nil)
		step := func(e string, want error) {
			t.Helper()
			news <- e
			time.Sleep(time.Second)
			wantVerdict(t, v, b, want) // also from the cache
		}
		step(tell(sidB, "held"), ErrSessionHeld)
		step(tell(sidB, "lifted"), nil)
		step(tell(sidB, "something new"), ErrSessionRevoked)
		step(tell(sidB, "lifted"), ErrSessionRevoked) // nothing lifts an end
		wantVerdict(t, v, mint(t, "es", claimsJSON(t, map[string]any{"sid": nil})), nil)
		if s := v.FeedStats(); !s.Synced || !s.Current || s.Transport != "stream" || s.Sessions != 2 || s.Received != 5 || s.Refused != 4 || s.Connects != 1 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestWhatAStaleFeedMeans(t *testing.T) {
	t.Parallel()
	for policy, want := range map[StalePolicy]error{FailOpen: nil, FailClosed: ErrFeedUnavailable} {
		var begin chan struct{} // of the bubble
		inFeedBubble(t, func(f *Feed) { f.WhenStale, begin = policy, make(chan struct{}) }, func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-begin:
			case <-r.Context().Done():
				return
			}
			says(w, "1", true, tell(sidA, "ended"))
			time.Sleep(time.Second)
			says(w, "2", false)
			stays(w, r, "2")
		}, func(t *testing.T, v *Verifier, i *issuer, token func(string) string) {
			a, b := token(sidA), token(sidB)
			wantVerdict(t, v, b, want) // nothing is known yet
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := v.Ready(ctx); !errors.Is(err, ErrFeedUnavailable) {
				t.Errorf("got %v before the first sync, want %v", err, ErrFeedUnavailable)
			}
			close(begin)
			time.Sleep(500 * time.Millisecond)
			wantVerdict(t, v, a, ErrSessionRevoked)
			wantVerdict(t, v, b, want) // more is waiting
			if err := v.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantVerdict(t, v, b, nil)
			time.Sleep(5 * time.Minute) // signs of life keep it current
			wantVerdict(t, v, b, nil)
			i.will(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
			time.Sleep(time.Hour) // the streams that are open go on
			wantVerdict(t, v, b, nil)
		})
	}
}

// TestAFeedThatFallsSilent is cut off without a word, as by a firewall that
// forgets a connection.
func TestAFeedThatFallsSilent(t *testing.T) {
	t.Parallel()
	inFeedBubble(t, nil, func(w http.ResponseWriter, r *http.Request) {
		says(w, "1", false)
		<-r.Context().Done()
	}, func(t *testing.T, v *Verifier, i *issuer, token func(string) string) {
		if err := v.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		i.will(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
		b := token(sidB)
		time.Sleep(29 * time.Second)
		wantVerdict(t, v, b, nil)
		time.Sleep(2 * time.Second)
		wantVerdict(t, v, b, ErrFeedUnavailable)
		if s := v.FeedStats(); s.Current || s.Transport != "" || !strings.Contains(s.LastError, "503") {
			t.Errorf("got %+v", s)
		}
		i.will(func(w http.ResponseWriter, r *http.Request) {
			says(w, "2", false, tell(sidB, "ended"))
			stays(w, r, "2")
		})
		time.Sleep(20 * time.Second)
		wantVerdict(t, v, b, ErrSessionRevoked)
		wantVerdict(t, v, token(sidA), nil)
	})
}

func TestAConnectionIsTakenUpWhereItBroke(t *testing.T) {
	t.Parallel()
	n := 0
	inFeedBubble(t, nil, func(w http.ResponseWriter, r *http.Request) {
		switch n++; n {
		case 1:
			says(w, "c1", false)
			heartbeat(w, "c2")
		case 2:
			says(w, "c3", false, tell(sidA, "ended"))
		case 3:
			w.WriteHeader(http.StatusConflict)
		default:
			says(w, "c4", false)
			stays(w, r, "c4")
		}
	}, func(t *testing.T, v *Verifier, i *issuer, token func(string) string) {
		time.Sleep(10 * time.Second)
		const accept = "text/event-stream "
		if got, want := strings.Join(i.questions(), "|"), accept+"|"+accept+"c2|"+accept+"c3|"+accept; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		wantVerdict(t, v, token(sidA), ErrSessionRevoked) // beginning anew forgets nothing
		if s := v.FeedStats(); s.Restarts != 1 || !s.Current {
			t.Errorf("got %+v", s)
		}
	})
}

// TestBeginningAnewIsNotKnowing: until all is heard again, an end may be unknown.
func TestBeginningAnewIsNotKnowing(t *testing.T) {
	t.Parallel()
	n := 0
	inFeedBubble(t, nil, func(w http.ResponseWriter, r *http.Request) {
		switch n++; n {
		case 1:
			says(w, "c1", false)
			time.Sleep(5 * time.Second)
		case 2:
			w.WriteHeader(http.StatusConflict)
		default:
			says(w, "c2", true)
			time.Sleep(10 * time.Second)
			says(w, "c3", false)
			stays(w, r, "c3")
		}
	}, func(t *testing.T, v *Verifier, _ *issuer, token func(string) string) {
		b := token(sidB)
		time.Sleep(4 * time.Second)
		wantVerdict(t, v, b, nil)
		time.Sleep(5 * time.Second)
		wantVerdict(t, v, b, ErrFeedUnavailable)
		time.Sleep(10 * time.Second)
		wantVerdict(t, v, b, nil)
	})
}

func TestOneWhoWasCutOffForLongBeginsAnew(t *testing.T) {
	t.Parallel()
	inFeedBubble(t, nil, func(w http.ResponseWriter, r *http.Request) { says(w, "1", false) }, func(t *testing.T, v *Verifier, i *issuer, _ func(string) string) {
		if err := v.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		i.will(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
		time.Sleep(2 * time.Minute)
		before := len(i.questions())
		if before > 30 {
			t.Errorf("got %d connections in two minutes of failures, want fewer", before)
		}
		i.will(func(w http.ResponseWriter, r *http.Request) { says(w, "2", false); stays(w, r, "2") })
		time.Sleep(time.Minute)
		asked := i.questions()
		if last := asked[len(asked)-1]; last != "text/event-stream " {
			t.Errorf("got %q, want no cursor", last)
		}
	})
}

func TestPollsGetThroughWhereStreamsDoNot(t *testing.T) {
	t.Parallel()
	for name, stream := range map[string]func(http.ResponseWriter, *http.Request){
		"a proxy that keeps the stream to itself": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
		"a server that answers with JSON": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"cursor":"j","more":false,"keep_for":660,"revocations":[]}`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFeedBubble(t, nil, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Accept") == "text/event-stream" {
					stream(w, r)
					return
				}
				if r.URL.Query().Get("after") == "" {
					fmt.Fprintf(w, `{"cursor":"p1","more":false,"keep_for":660,"revocations":[%s]}`, tell(sidA, "ended"))
					return
				}
				select {
				case <-time.After(10 * time.Second):
				case <-r.Context().Done():
				}
				fmt.Fprint(w, `{"cursor":"p2","more":false,"keep_for":660,"revocations":[]}`)
			}, func(t *testing.T, v *Verifier, _ *issuer, token func(string) string) {
				if err := v.Ready(t.Context()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Minute)
				wantVerdict(t, v, token(sidA), ErrSessionRevoked)
				wantVerdict(t, v, token(sidB), nil)
				if s := v.FeedStats(); s.Transport != "poll" || !s.Current {
					t.Errorf("got %+v", s)
				}
			})
		})
	}
}

func TestAFeedThatTalksNonsense(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]func(http.ResponseWriter){
		"no JSON":     func(w http.ResponseWriter) { fmt.Fprint(w, "data: nonsense\n\n") },
		"no cursor":   func(w http.ResponseWriter) { fmt.Fprint(w, "data: {\"more\":false}\n\n") },
		"a huge line": func(w http.ResponseWriter) { fmt.Fprint(w, "data: "+strings.Repeat("x", 2<<20)+"\n\n") },
		"a redirect": func(w http.ResponseWriter) {
			w.Header().Set("Location", "http://evil.example/")
			w.WriteHeader(http.StatusFound)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFeedBubble(t, nil, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				serve(w)
			}, func(t *testing.T, v *Verifier, _ *issuer, token func(string) string) {
				time.Sleep(time.Minute)
				wantVerdict(t, v, token(sidB), ErrFeedUnavailable)
				if s := v.FeedStats(); s.Synced || s.LastError == "" || strings.Contains(s.LastError, "secret") {
					t.Errorf("got %+v", s)
				}
			})
		})
	}
}

func TestSightingsAreReportedOnceAndInBatches(t *testing.T) {
	t.Parallel()
	var reports []string
	var mu sync.Mutex
	fails := 1
	inFeedBubble(t, func(f *Feed) { f.ReportSeen = true }, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			mu.Lock()
			defer mu.Unlock()
			if fails--; fails >= 0 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			body := make([]byte, 1<<10)
			n, _ := r.Body.Read(body)
			reports = append(reports, string(body[:n]))
			w.WriteHeader(http.StatusNoContent)
			return
		}
		says(w, "1", false, tell(sidB, "ended"))
		stays(w, r, "1")
	}, func(t *testing.T, v *Verifier, _ *issuer, _ func(string) string) {
		if err := v.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		use := func(sid string, gen int) {
			_, _ = v.Verify(t.Context(), mint(t, "es", claimsJSON(t, map[string]any{"sid": sid, "gen": gen})))
		}
		for range 3 {
			use(sidA, 7)
			use(sidA, 0) // the login's own token has no parent
			use(sidB, 3) // its session has ended
			time.Sleep(10 * time.Second)
		}
		use(sidA, 8)
		time.Sleep(10 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		want := fmt.Sprintf(`{"seen":[{"sid":%q,"gen":7}]}|{"seen":[{"sid":%q,"gen":8}]}`, sidA, sidA)
		if got := strings.Join(reports, "|"); got != want || v.FeedStats().Reported != 2 {
			t.Errorf("got %s, %+v, want %s", got, v.FeedStats(), want)
		}
	})
}

func TestTheMemoryOfSessionsIsBounded(t *testing.T) {
	t.Parallel()
	key := func(i int) (k [16]byte) { k[0], k[1] = byte(i), byte(i>>8); return k }
	s := newRevokedSet(100, 30*time.Second)
	const keep = 11 * time.Minute
	s.add([]entry{{key(1), stateEnded}}, keep, 0)
	// By time: for as long as a token can live, and less than twice that.
	for _, tt := range []struct {
		at   time.Duration
		want sessionState
	}{{keep, stateEnded}, {keep + 31*time.Second, stateEnded}, {3 * keep, 0}} {
		s.add(nil, keep, tt.at)
		if got := s.get(key(1)); got != tt.want {
			t.Errorf("after %v: got %v, want %v", tt.at, got, tt.want)
		}
	}
	// By number: what does not fit any more makes the set blind for that long.
	now := 4 * keep
	if s.blind(now) {
		t.Fatal("blind before anything was forgotten")
	}
	for i := range 1000 {
		s.add([]entry{{key(i), stateHeld}}, keep, now)
		if n, _ := s.count(); n > 100 {
			t.Fatalf("got %d sessions, want at most 100", n)
		}
	}
	if s.get(key(999)) != stateHeld {
		t.Error("the newest is forgotten")
	}
	if _, forgotten := s.count(); forgotten == 0 || !s.blind(now) || !s.blind(now+keep) || s.blind(now+keep+31*time.Second) {
		t.Errorf("got %d forgotten, blind %v", forgotten, s.blind(now))
	}
}

func TestSessionKeys(t *testing.T) {
	t.Parallel()
	seen := map[[16]byte]string{}
	for _, sid := range []string{sidA, sidB, "session-1", "session-2", "", sidA[:35], sidA[:35] + "g", strings.Repeat("0", 36)} {
		k := sessionKey(sid)
		if other, ok := seen[k]; ok {
			t.Errorf("%q and %q have one key", sid, other)
		}
		seen[k] = sid
	}
	if sessionKey(strings.ToUpper(sidA)) != sessionKey(sidA) {
		t.Error("the letters' case matters")
	}
}

func TestFeedsThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		feed Feed
		edit func(*Config)
		want string
	}{
		"nothing":     {Feed{}, nil, "Feed.Authorize"},
		"no policy":   {Feed{Authorize: ClientSecret("a", "b")}, nil, "Feed.WhenStale"},
		"a query":     {Feed{Authorize: ClientSecret("a", "b"), WhenStale: FailOpen, URL: "https://x.example/f?x"}, nil, "Feed.URL"},
		"impatience":  {Feed{Authorize: ClientSecret("a", "b"), WhenStale: FailOpen, MaxStale: time.Second}, nil, "Feed.MaxStale"},
		"no room":     {Feed{Authorize: ClientSecret("a", "b"), WhenStale: FailOpen, MaxSessions: -1}, nil, "Feed.MaxSessions"},
		"much leeway": {Feed{Authorize: ClientSecret("a", "b"), WhenStale: FailOpen}, func(c *Config) { c.Leeway = time.Minute }, "Leeway"},
	} {
		cfg := Config{Issuer: testIssuer, Audience: testAudience, Keys: keysFor("es"), Feed: &tt.feed}
		if tt.edit != nil {
			tt.edit(&cfg)
		}
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s named", name, err, tt.want)
		}
	}
}

func TestAnswersForTheFeedsSake(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]answer{
		ErrSessionRevoked:  {401, realm + `, error="invalid_token", error_description="the session has ended"`, "invalid_token", "the session has ended"},
		ErrSessionHeld:     {401, realm + `, error="insufficient_user_authentication", error_description="` + errHeld.detail + `"`, "insufficient_user_authentication", errHeld.detail},
		ErrFeedUnavailable: {503, "", "", errFeed.detail},
	} {
		v := newVerifier(t, nil)
		got, w := ask(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { v.Refuse(w, err) }), nil)
		if got != want || (got.Status == 503) != (w.Header().Get("Retry-After") != "") {
			t.Errorf("%v: got %+v, want %+v", err, got, want)
		}
	}
}

func TestWithoutAFeedThereIsNothingToRun(t *testing.T) {
	t.Parallel()
	v := newVerifier(t, nil)
	if err := errors.Join(v.Run(t.Context()), v.Ready(t.Context())); err != nil || v.FeedStats() != (FeedStats{}) {
		t.Errorf("got %v, %+v", err, v.FeedStats())
	}
}

func BenchmarkRevokedSet(b *testing.B) {
	s := newRevokedSet(1_000_000, 0)
	for i := range 10_000 {
		s.add([]entry{{sessionKey(fmt.Sprint(i)), stateEnded}}, time.Hour, 0)
	}
	key := sessionKey(sidA)
	for b.Loop() {
		_ = s.get(key)
	}
}
