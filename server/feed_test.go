package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
)

// follower is a rig whose service follows the feed, with a client for it.
type follower struct {
	*rig
	auth mod
	stop func()
}

func newFollower(t *testing.T, choose ...func(*setup)) *follower {
	t.Helper()
	r := newRig(t, choose...)
	c, secret, err := r.svc.AddClient(t.Context(), bitjang.Client{Name: "API", GrantTypes: []string{bitjang.GrantClientCredentials}, Scopes: []string{bitjang.ScopeRevocations}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = r.svc.Run(ctx) }()
	f := &follower{rig: r, auth: basic(c.ID, secret.Reveal()), stop: sync.OnceFunc(func() { cancel(); <-done })}
	t.Cleanup(f.stop)
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if place, err := r.svc.FollowRevocations(""); err == nil {
			place.Close()
			return f
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func basic(id, secret string) mod {
	return func(r *http.Request) { r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret)) }
}

// piece is what the feed says at a time.
type piece struct {
	Cursor      string `json:"cursor"`
	More        bool   `json:"more"`
	KeepFor     int    `json:"keep_for"`
	Revocations []struct {
		SID    string `json:"sid"`
		At     int64  `json:"at"`
		State  string `json:"state"`
		Reason string `json:"reason"`
	} `json:"revocations"`
}

func (f *follower) poll(query string) piece {
	f.t.Helper()
	var p piece
	f.do("GET", "/v1/revocations?"+query, nil, f.auth).want(200).decode(&p)
	return p
}

func TestAPollAnswersOnceThereIsNews(t *testing.T) {
	t.Parallel()
	f := newFollower(t)
	f.addUser(alice)
	ended := f.login()
	f.do("POST", "/v1/logout", object{"refresh_token": ended.refresh}).want(204)
	var first piece
	for deadline := time.Now().Add(5 * time.Second); len(first.Revocations) == 0 && time.Now().Before(deadline); {
		first = f.poll("")
	}
	if len(first.Revocations) != 1 || first.KeepFor != 660 || first.More {
		t.Fatalf("got %+v, want the one end", first)
	}
	if e := first.Revocations[0]; e.SID != ended.session || e.State != "ended" || e.Reason != "logout" || e.At != f.clock.Now().UnixMilli() {
		t.Errorf("got %+v", e)
	}
	if p := f.poll("wait=0&after=" + first.Cursor); len(p.Revocations) != 0 || p.Cursor == "" || p.More {
		t.Errorf("got %+v, want nothing new", p)
	}
	later := f.login()
	go func() {
		time.Sleep(300 * time.Millisecond)
		_ = f.svc.Logout(context.Background(), bitjang.LogoutInput{Refresh: bitjang.NewSecret(later.refresh)})
	}()
	if p := f.poll("after=" + url.QueryEscape(first.Cursor)); len(p.Revocations) != 1 || p.Revocations[0].SID != later.session {
		t.Errorf("got %+v, want the later end alone", p)
	}
}

func TestTheFeedIsForResourceServers(t *testing.T) {
	t.Parallel()
	f := newFollower(t)
	f.addUser(alice)
	tk := f.login()
	other, secret, err := f.svc.AddClient(t.Context(), bitjang.Client{Name: "Other", GrantTypes: []string{bitjang.GrantClientCredentials}, Scopes: []string{"x"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range []func(mods ...mod) *answer{
		func(mods ...mod) *answer { return f.do("GET", "/v1/revocations", nil, mods...) },
		func(mods ...mod) *answer { return f.do("POST", "/v1/seen", object{"seen": []any{}}, mods...) },
	} {
		op().want(401, "invalid_client").wantHeader("WWW-Authenticate", `Basic realm="bitjang"`)
		op(tk.asCookies()).want(401, "invalid_client")
		op(basic(other.ID, "bjs_wrong")).want(401, "invalid_client")
		op(header("Authorization", "Basic %%%")).want(401, "invalid_client")
		op(basic(other.ID, secret.Reveal())).want(403, "insufficient_scope")
		op(bearer(tk.access)).want(403, "insufficient_scope")
		op(bearer("a.b.c")).want(401, "access_token_invalid").wantHeader("WWW-Authenticate", `Bearer realm="bitjang", error="invalid_token"`)
	}
}

func TestRefusalsOfTheFeed(t *testing.T) {
	t.Parallel()
	f := newFollower(t)
	f.do("GET", "/v1/revocations?wait=x", nil, f.auth).want(400, "wait_invalid")
	f.do("GET", "/v1/revocations?after=x", nil, f.auth).want(409, "cursor_expired")
	f.do("GET", "/v1/revocations", nil, f.auth, header("Accept", "text/event-stream"), header("Last-Event-ID", "x")).want(409, "cursor_expired")
	f.do("GET", fmt.Sprintf("/v1/revocations?after=%d.nonsense", f.clock.Now().UnixMilli()), nil, f.auth).want(409, "cursor_expired")
	cursor := f.poll("").Cursor
	f.clock.advance(12 * time.Minute)
	f.do("GET", "/v1/revocations?after="+cursor, nil, f.auth).want(409, "cursor_expired")
	f.store.down.Store(true)
	time.Sleep(3500 * time.Millisecond)
	f.do("GET", "/v1/revocations", nil, f.auth).want(503)
	f.store.down.Store(false)
	f.stop()
	f.do("GET", "/v1/revocations", nil, f.auth).want(503, "feed_unavailable")
	f.store.down.Store(true)
	f.clock.advance(time.Minute) // nobody remembers the client
	f.do("GET", "/v1/revocations", nil, f.auth).want(503, "store_unavailable")
	f.do("POST", "/v1/seen", object{"seen": []any{}}, f.auth).want(503, "store_unavailable")
}

func TestSightingsAreReported(t *testing.T) {
	t.Parallel()
	f := newFollower(t)
	f.addUser(alice)
	tk := f.login()
	f.refresh(tk.refresh).want(200)
	id, _ := bitjang.ParseSessionID(tk.session)
	report := func(gen any) object {
		return object{"seen": []any{object{"sid": "no session", "gen": 1}, object{"sid": tk.session, "gen": gen}}}
	}
	f.do("POST", "/v1/seen", report(7), f.auth).want(204)
	if s, _ := f.svc.SessionByID(t.Context(), id); !s.ChildSeenAt.IsZero() {
		t.Error("a sighting of another generation counts")
	}
	f.do("POST", "/v1/seen", report(1), f.auth).want(204)
	if s, _ := f.svc.SessionByID(t.Context(), id); s.ChildSeenAt.IsZero() {
		t.Error("the sighting is not noted")
	}
	f.do("POST", "/v1/seen", report(-1), f.auth).want(400, "json_malformed")
	f.do("POST", "/v1/seen", report("1"), f.auth).want(400, "json_malformed")
	f.do("POST", "/v1/seen", object{"seen": make([]object, 501)}, f.auth).want(400, "too_many")
	f.do("POST", "/v1/seen", strings.Repeat(" ", 70<<10)+"{}", f.auth).want(413, "body_too_large")
	f.do("POST", "/v1/seen", "{}", f.auth, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }).want(415, "media_type_unsupported")
	f.do("POST", "/v1/seen", report(1), f.auth, header("Sec-Fetch-Site", "cross-site")).want(403, "cross_origin")
}

// events reads a stream from a real server.
type events struct {
	t    *testing.T
	resp *http.Response
	in   *bufio.Scanner
}

func (f *follower) stream(server *httptest.Server, lastID string) *events {
	f.t.Helper()
	req, _ := http.NewRequestWithContext(f.t.Context(), "GET", server.URL+"/v1/revocations", nil)
	req.Header.Set("Accept", "text/event-stream")
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	f.auth(req)
	resp, err := server.Client().Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = resp.Body.Close() })
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || kind != "text/event-stream" || resp.Header.Get("Cache-Control") != "no-store" {
		f.t.Fatalf("got %d, %v", resp.StatusCode, resp.Header)
	}
	return newEvents(f.t, resp)
}

func newEvents(t *testing.T, resp *http.Response) *events {
	e := &events{t: t, resp: resp, in: bufio.NewScanner(resp.Body)}
	e.in.Buffer(nil, 1<<20) // an event of 1,000 entries is one line
	return e
}

// next is the next event, and its id. One without data has an empty piece, and
// one that is cut off is none.
func (e *events) next() (id string, p piece, ok bool) {
	data := ""
	for e.in.Scan() {
		switch name, value, _ := strings.Cut(e.in.Text(), ": "); name {
		case "id":
			id = value
		case "data":
			data = value
		case "":
			if data != "" {
				if err := json.Unmarshal([]byte(data), &p); err != nil {
					e.t.Fatal(err)
				}
			}
			if id != "" || data != "" {
				return id, p, true
			}
		}
	}
	return "", p, false
}

// TestAStreamOutlivesTheServersTimeouts runs behind a server that cuts every
// other request off after half a second.
func TestAStreamOutlivesTheServersTimeouts(t *testing.T) {
	t.Parallel()
	f := newFollower(t, func(s *setup) { s.Timeout = 300 * time.Millisecond })
	f.addUser(alice)
	server := httptest.NewUnstartedServer(f.h)
	server.Config.ReadTimeout, server.Config.WriteTimeout = 500*time.Millisecond, 500*time.Millisecond
	server.Start()
	t.Cleanup(server.Close)
	e := f.stream(server, "")
	first, p, ok := e.next()
	if !ok || first == "" || p.Cursor != first || p.More || len(p.Revocations) != 0 {
		t.Fatalf("got %q, %+v, want a cursor and nothing new", first, p)
	}
	time.Sleep(time.Second)
	tk := f.login()
	f.do("POST", "/v1/logout", object{"refresh_token": tk.refresh}).want(204)
	ended := time.Now()
	_, p, ok = e.next()
	if !ok || len(p.Revocations) != 1 || p.Revocations[0].SID != tk.session {
		t.Fatalf("got %+v, %v, want the end", p, ok)
	}
	t.Logf("heard of the end after %v", time.Since(ended))
	if id, p, ok := e.next(); !ok || id == "" || len(p.Revocations) != 0 {
		t.Errorf("got %q, %+v, %v, want a sign of life", id, p, ok)
	}
	// Taken up again it goes on behind what it had.
	if _, p, _ := f.stream(server, first).next(); len(p.Revocations) != 1 {
		t.Errorf("got %+v after the first cursor, want the end once more", p)
	}
	polled := f.poll("wait=1&after=" + p.Cursor) // longer than Timeout
	if polled.Cursor == "" || len(polled.Revocations) != 0 {
		t.Errorf("got %+v", polled)
	}
}

func TestStreamsEndWithTheNode(t *testing.T) {
	t.Parallel()
	f := newFollower(t)
	server := httptest.NewServer(f.h)
	t.Cleanup(server.Close)
	e := f.stream(server, "")
	e.next()
	f.stop()
	if _, _, ok := e.next(); ok {
		t.Error("got an event from a node that has stopped, want the end of the stream")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := server.Config.Shutdown(ctx); err != nil {
		t.Errorf("the server cannot stop: %v", err)
	}
}
