package api

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/web"
)

const (
	// heartbeatEvery is how often a stream shows that it and the node behind it
	// are alive.
	heartbeatEvery = 5 * time.Second
	// maxPoll is the longest a poll waits, well below what proxies cut off.
	maxPoll = 25 * time.Second
	// streamLife is how long a stream may last: then the client shows again who
	// it is, and goes on by its cursor.
	streamLife = 10 * time.Minute
	// writeWithin is how long a subscriber may take to take something. One that
	// is slower is dropped and can go on by its cursor.
	writeWithin = 10 * time.Second
	streamType  = "text/event-stream"
)

// Revocations is GET /v1/revocations: a stream for those who accept one, else a
// poll that answers once there is news.
func (a *API) Revocations(w http.ResponseWriter, r *http.Request) error {
	if err := a.subscriber(r); err != nil {
		return err
	}
	streams := strings.Contains(r.Header.Get("Accept"), streamType)
	after := r.URL.Query().Get("after")
	if last := r.Header.Get("Last-Event-ID"); streams && last != "" {
		after = last
	}
	wait, err := pollTime(r.URL.Query().Get("wait"))
	if err != nil {
		return err
	}
	f, err := a.Service.FollowRevocations(after)
	if err != nil {
		return err
	}
	defer f.Close()
	web.NoStore(w)
	if streams {
		return a.streamFeed(w, r, f)
	}
	return a.pollFeed(w, r, f, wait)
}

// subscriber lets resource servers through. They have no sessions, so what
// browsers send along does not count.
func (a *API) subscriber(r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), a.Edge.Timeout)
	defer cancel()
	var in bitjang.FeedCredentials
	if access, ok := web.AccessToken(r); ok {
		in.Access = access
	} else if id, secret, ok := web.BasicAuth(r); ok {
		in.Client = bitjang.ClientCredentials{ID: id, Secret: bitjang.NewSecret(secret), IP: a.Edge.Caller(r).IP}
	} else {
		return bitjang.ErrInvalidClient
	}
	_, err := a.Service.AuthorizeFeed(ctx, in)
	return err
}

func pollTime(text string) (time.Duration, error) {
	if text == "" {
		return maxPoll, nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, web.Refuse(http.StatusBadRequest, "wait_invalid", "The wait is a number of seconds.")
	}
	return min(time.Duration(n)*time.Second, maxPoll), nil
}

// pollFeed answers with what there is, or waits for something.
func (a *API) pollFeed(w http.ResponseWriter, r *http.Request, f *bitjang.RevocationFollower, wait time.Duration) error {
	free(w)
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	list, more, err := f.Next(r.Context())
	if err == nil && count(list) == 0 && !more && r.URL.Query().Get("after") != "" {
		var news []*bitjang.RevocationBatch
		news, more, err = f.Next(ctx)
		if err == nil {
			list = news
		} else if errors.Is(err, context.DeadlineExceeded) && r.Context().Err() == nil {
			cursor, fresh := f.Cursor()
			if err = nil; !fresh {
				err = bitjang.ErrFeedUnavailable
			}
			list, more = []*bitjang.RevocationBatch{{Cursor: cursor}}, false
		}
	}
	if err != nil {
		return gone(r, err)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = write(w, append(document(nil, f, list, more), '\n')) // the caller is gone: nobody to tell
	return nil
}

// gone passes an error on unless it only says that the subscriber has left.
func gone(r *http.Request, err error) error {
	if r.Context().Err() != nil {
		return nil
	}
	return err
}

func count(list []*bitjang.RevocationBatch) (n int) {
	for _, b := range list {
		n += len(b.List)
	}
	return n
}

// streamFeed sends server-sent events until the subscriber leaves or is too slow,
// the node stops, or it is time to show credentials again.
func (a *API) streamFeed(w http.ResponseWriter, r *http.Request, f *bitjang.RevocationFollower) error {
	free(w)
	ends := time.Now().Add(streamLife - rand.N(streamLife/10)) // not all at once
	list, more, err := f.Next(r.Context())
	if err != nil {
		return gone(r, err) // nothing is written yet: say why
	}
	w.Header().Set("Content-Type", streamType)
	w.Header().Set("X-Accel-Buffering", "no") // nginx would keep the news
	buf := append(make([]byte, 0, 1024), "retry: 1000\n\n"...)
	for {
		if len(list) > 0 {
			buf = event(buf, f, list, more)
		} else if cursor, fresh := f.Cursor(); fresh {
			// An event without data is none; only the cursor moves.
			buf = append(append(append(buf, "id: "...), cursor...), "\n\n"...)
		}
		if len(buf) > 0 && write(w, buf) != nil || time.Now().After(ends) {
			return nil
		}
		if buf = buf[:0]; cap(buf) > 8<<10 {
			buf = nil // a stream lives long: what it needed once is not kept
		}
		ctx, cancel := context.WithTimeout(r.Context(), heartbeatEvery)
		list, more, err = f.Next(ctx)
		cancel()
		if err != nil && (r.Context().Err() != nil || !errors.Is(err, context.DeadlineExceeded)) {
			return nil // the subscriber comes back by itself
		}
	}
}

func event(buf []byte, f *bitjang.RevocationFollower, list []*bitjang.RevocationBatch, more bool) []byte {
	buf = append(buf, "id: "...)
	buf = append(buf, list[len(list)-1].Cursor...)
	buf = append(buf, "\nevent: revocations\ndata: "...)
	buf = document(buf, f, list, more)
	return append(buf, "\n\n"...)
}

// document is what an event and the answer to a poll say. Entries are encoded
// once, however many follow.
func document(buf []byte, f *bitjang.RevocationFollower, list []*bitjang.RevocationBatch, more bool) []byte {
	buf = append(buf, `{"cursor":"`...) // cursors need no escaping
	buf = append(buf, list[len(list)-1].Cursor...)
	buf = append(buf, `","more":`...)
	buf = strconv.AppendBool(buf, more)
	buf = append(buf, `,"keep_for":`...)
	buf = strconv.AppendInt(buf, seconds(f.KeepFor()+time.Second-1), 10)
	buf = append(buf, `,"revocations":[`...)
	first := true
	for _, b := range list {
		entries := b.Encoded(encodeEntries)
		if len(entries) > 0 && !first {
			buf = append(buf, ',')
		}
		first = first && len(entries) == 0
		buf = append(buf, entries...)
	}
	return append(buf, "]}"...)
}

// revocationBody is an entry: `sid` as in the access tokens that it is about.
type revocationBody struct {
	SessionID string `json:"sid"`
	At        int64  `json:"at"` // milliseconds since 1970
	State     string `json:"state"`
	Reason    string `json:"reason,omitempty"`
}

func encodeEntries(list []bitjang.Revocation) []byte {
	var buf []byte
	for i, r := range list {
		entry, err := json.Marshal(revocationBody{r.SessionID.String(), r.At.UnixMilli(), string(r.State), r.Reason})
		if err != nil {
			panic(err) // texts and a number
		}
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = append(buf, entry...)
	}
	return buf
}

// free takes the server's own limits of time off a request that is read already.
// Without a connection of the usual kind there are none.
func free(w http.ResponseWriter) {
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Time{})
	_ = c.SetWriteDeadline(time.Now().Add(maxPoll + writeWithin))
}

// write sends at once, within the time that a subscriber has.
func write(w http.ResponseWriter, b []byte) error {
	c := http.NewResponseController(w)
	_ = c.SetWriteDeadline(time.Now().Add(writeWithin))
	if _, err := w.Write(b); err != nil {
		return err
	}
	if err := c.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// maxSeen is how many sightings one report may have.
const maxSeen = 500

// Seen is POST /v1/seen: which sessions' access tokens a resource server has met.
func (a *API) Seen(w http.ResponseWriter, r *http.Request) error {
	if err := a.subscriber(r); err != nil {
		return err
	}
	var in struct {
		Seen []struct {
			SessionID  string `json:"sid"`
			Generation uint32 `json:"gen"`
		} `json:"seen"`
	}
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	if len(in.Seen) > maxSeen {
		return web.Refuse(http.StatusBadRequest, "too_many", "A report has at most 500 sightings.")
	}
	var list []bitjang.Sighting
	for _, s := range in.Seen {
		if id, err := bitjang.ParseSessionID(s.SessionID); err == nil {
			list = append(list, bitjang.Sighting{SessionID: id, Generation: s.Generation})
		}
	}
	if err := a.Service.Saw(r.Context(), list); err != nil {
		return err
	}
	web.NoStore(w)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
