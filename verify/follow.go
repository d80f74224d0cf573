package verify

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// silence is how long a stream may say nothing: the issuer gives a sign of
	// life every five seconds.
	silence = 16 * time.Second
	// pollFor is how long we poll where streams do not come through, before we
	// try one again.
	pollFor = 10 * time.Minute
	// pollMargin is how much longer than it was asked to a poll may take.
	pollMargin = 10 * time.Second
	// quickest and slowest bound the pause between two connections.
	quickest, slowest = 250 * time.Millisecond, 15 * time.Second
	// beginAnew is how long we may have been cut off and still trust our cursor. In
	// more time than that somebody may have put an older copy of the issuer's
	// database back, of which the cursor would be ahead.
	beginAnew = 30 * time.Second
	// maxPiece is the length of the longest event or answer.
	maxPiece = 1 << 20
)

var (
	errCursor    = errors.New("the cursor has expired")
	errNoStream  = errors.New("no stream of events comes through")
	errSilence   = errors.New("the stream was silent for too long")
	errStreamEnd = errors.New("the stream has ended")
)

// follower keeps a connection to the feed. Only run touches it.
type follower struct {
	f         *feed
	cursor    string
	pollUntil time.Duration
	heard     bool // something came over this connection
}

// run connects again and again, the sooner the longer the last connection was
// good, and never all verifiers at once.
func (w *follower) run(ctx context.Context) {
	pause := quickest
	for ctx.Err() == nil {
		if stale := w.f.staleness(); w.cursor != "" && stale > beginAnew {
			w.restart()
		}
		w.heard = false
		err := w.connect(ctx)
		w.f.disconnected(err)
		switch {
		case errors.Is(err, errCursor):
			w.restart()
		case errors.Is(err, errNoStream):
			w.pollUntil = w.f.since() + pollFor
			continue // with a poll
		}
		if w.heard {
			pause = quickest
		}
		select {
		case <-ctx.Done():
		case <-time.After(rand.N(pause)):
		}
		pause = min(2*pause, slowest)
	}
}

// restart begins anew. What is known stays refused; what came in between is
// unknown until the feed has caught up.
func (w *follower) restart() {
	w.cursor = ""
	w.f.synced.Store(false)
	w.f.restarts.Add(1)
}

func (f *feed) disconnected(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.transport = ""
	if err != nil {
		f.lastError = err.Error()
	}
}

func (f *feed) connected(transport string) {
	f.connects.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.transport = transport
}

// connect follows the feed over one connection until that breaks.
func (w *follower) connect(ctx context.Context) error {
	if w.f.since() < w.pollUntil {
		return w.poll(ctx)
	}
	return w.stream(ctx)
}

// ask sends a request and sorts the answers that are none.
func (w *follower) ask(ctx context.Context, query url.Values, accept string) (*http.Response, error) {
	target := w.f.URL
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	if err := w.f.Authorize(req); err != nil {
		return nil, fmt.Errorf("authorize: %w", err)
	}
	resp, err := w.f.HTTPClient.Do(req)
	if err != nil {
		return nil, withoutURL(err)
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return resp, nil
	case http.StatusConflict, http.StatusGone:
		err = errCursor
	default:
		err = fmt.Errorf("status %d", resp.StatusCode)
	}
	_ = resp.Body.Close()
	return nil, err
}

// withoutURL takes the URL out of an error: it would be in logs at every try.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// stream reads server-sent events. Whatever stands between may swallow them:
// when nothing arrives although the connection stands, a poll gets through.
func (w *follower) stream(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(silence, func() { cancel(errSilence) })
	defer watchdog.Stop()
	query := url.Values{}
	if w.cursor != "" {
		query.Set("after", w.cursor)
	}
	resp, err := w.ask(ctx, query, "text/event-stream")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";"); strings.TrimSpace(kind) != "text/event-stream" {
		return errNoStream
	}
	w.f.connected("stream")
	err = w.readEvents(resp.Body, func() { watchdog.Reset(silence) })
	if silent := context.Cause(ctx); errors.Is(silent, errSilence) {
		if err = silent; !w.heard {
			err = errNoStream // it was accepted, and then nothing came through
		}
	}
	return err
}

// readEvents reads the part of the format (WHATWG HTML section 9.2) that the
// feed uses.
func (w *follower) readEvents(body io.Reader, alive func()) error {
	in := bufio.NewScanner(body)
	in.Buffer(make([]byte, 0, 4096), maxPiece)
	id, data := "", []byte(nil)
	for in.Scan() {
		line := in.Bytes()
		if len(line) == 0 {
			if id != "" || data != nil {
				if err := w.take(id, data); err != nil {
					return err
				}
				alive()
			}
			id, data = "", nil
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "id":
			id = string(value)
		case "data":
			data = value // one line, and take is done with it before the next
			if err := w.take(id, data); err != nil {
				return err
			}
			id, data = "", nil
			alive()
		}
	}
	if err := in.Err(); err != nil {
		return withoutURL(err)
	}
	return errStreamEnd
}

// poll asks again and again. Each answer is a sign of life.
func (w *follower) poll(ctx context.Context) error {
	wait := min(w.f.MaxStale/3, 25*time.Second)
	w.f.connected("poll")
	for w.f.since() < w.pollUntil {
		query := url.Values{"wait": {strconv.Itoa(int(wait / time.Second))}}
		if w.cursor != "" {
			query.Set("after", w.cursor)
		}
		if err := w.pollOnce(ctx, query, wait+pollMargin); err != nil {
			return err
		}
	}
	return nil
}

func (w *follower) pollOnce(ctx context.Context, query url.Values, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	resp, err := w.ask(ctx, query, "application/json")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	// One byte more than allowed makes what was cut off no JSON.
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxPiece+1))
	if err != nil {
		return withoutURL(err)
	}
	return w.take("", body)
}

// piece is what the feed says at a time.
type piece struct {
	Cursor      string `json:"cursor"`
	More        bool   `json:"more"`
	KeepFor     int64  `json:"keep_for"` // seconds
	Revocations []struct {
		SessionID string `json:"sid"`
		State     string `json:"state"`
	} `json:"revocations"`
}

// take takes in a piece of the feed, or, without data, the news that there is
// none.
func (w *follower) take(id string, data []byte) error {
	w.heard = true
	if data == nil {
		w.cursor = id
		w.f.allKnown()
		return nil
	}
	var p piece
	if err := json.Unmarshal(data, &p); err != nil || p.Cursor == "" {
		return errors.New("the feed cannot be understood")
	}
	list := make([]entry, 0, len(p.Revocations))
	for _, r := range p.Revocations {
		e := entry{key: sessionKey(r.SessionID), state: stateEnded} // whatever else there will be: refuse
		switch r.State {
		case "held":
			e.state = stateHeld
		case "lifted":
			e.state = stateLifted
		}
		list = append(list, e)
	}
	keep := time.Duration(min(max(p.KeepFor, 0), 7*24*3600)) * time.Second
	w.f.revoked.add(list, keep, w.f.since())
	w.f.received.Add(int64(len(list)))
	w.cursor = p.Cursor
	w.f.mu.Lock()
	w.f.lastEvent = time.Now()
	w.f.mu.Unlock()
	if !p.More {
		w.f.allKnown()
	}
	return nil
}
