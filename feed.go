package bitjang

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ScopeRevocations is the scope of clients that may follow the revocation feed
// and report what they have seen: resource servers.
const ScopeRevocations = "revocations"

// Refusals of the feed.
var (
	// ErrCursorExpired tells a reader to begin anew: with "" it gets all that can
	// still concern a valid access token.
	ErrCursorExpired = &Error{Code: Conflict, Reason: "cursor_expired", Message: "The cursor is older than what is kept, or not of this store. Begin again without one."}
	// ErrFeedUnavailable says that this node itself does not know what is new.
	ErrFeedUnavailable = &Error{Code: Unavailable, Reason: "feed_unavailable", Message: "The revocation feed cannot be read here now. Try again in a moment.", RetryAfter: time.Second}
	errFeedScope       = &Error{Code: Denied, Reason: "insufficient_scope", Message: `The client is not registered for the scope "revocations".`}
)

// FeedCredentials are those of a resource server: its client id with a proof, or
// an access token that it got by client_credentials.
type FeedCredentials struct {
	Client ClientCredentials
	Access Secret // counts if it is set
}

// AuthorizeFeed returns the id of a client that may follow the feed.
func (s *Service) AuthorizeFeed(ctx context.Context, in FeedCredentials) (clientID string, err error) {
	if in.Access.IsZero() {
		c, err := s.AuthenticateClient(ctx, in.Client)
		switch {
		case err != nil:
			return "", err
		case c.public():
			return "", ErrInvalidClient // its id is no secret
		case !slices.Contains(c.Scopes, ScopeRevocations):
			return "", errFeedScope
		}
		return c.ID, nil
	}
	claims, err := s.checkAccess(ctx, in.Access)
	switch {
	case err != nil:
		return "", err
	case claims.SessionID != "" || claims.Subject != claims.ClientID || !claims.HasScope(ScopeRevocations):
		return "", errFeedScope // a person's token, whatever its scope says
	}
	return claims.ClientID, nil
}

const (
	// maxBatches and maxBatched bound what a node keeps of the feed for those who
	// follow it. Whoever needs what is older reads it from the store.
	maxBatches = 4096
	maxBatched = 100_000 // entries
	// catchUps is how many followers may read the store at once.
	catchUps = 4
	// maxGathered is how many entries a follower is given at once.
	maxGathered = 1000
	// maxFollowers bounds what those who follow the feed can cost a node.
	maxFollowers = 20_000
	// feedStale is for how long a node vouches for what it read last.
	feedStale = 3 * time.Second
)

// RevocationBatch is a piece of the feed as this node has read it. All followers
// share it and none may change it.
type RevocationBatch struct {
	List   []Revocation
	Cursor string // to go on from

	stored string // the store's own cursor
	at     time.Time
	next   *RevocationBatch // set before ready is closed
	ready  chan struct{}

	encode  sync.Once
	encoded []byte
}

// Encoded is what encode makes of the batch, made once for all who follow.
func (b *RevocationBatch) Encoded(encode func([]Revocation) []byte) []byte {
	b.encode.Do(func() { b.encoded = encode(b.List) })
	return b.encoded
}

// feedHub fans the feed out: the one reader of a node appends to a list, and any
// number of followers walk along it, each at its own pace. A follower costs a
// pointer. What nobody can need any more is let go with the list's head.
type feedHub struct {
	mu        sync.Mutex
	head      *RevocationBatch // those behind it are kept
	tail      *RevocationBatch
	byCursor  map[string]*RevocationBatch
	entries   int
	cut       bool          // what is kept does not reach back as far as access tokens live
	done      chan struct{} // nil while nobody reads the feed
	lastRead  time.Time     // a stopwatch, not a date
	readAt    time.Time     // the same as a date
	followers atomic.Int64
	catching  chan struct{}
}

func newFeedHub() *feedHub {
	root := &RevocationBatch{ready: make(chan struct{})}
	return &feedHub{head: root, tail: root, byCursor: map[string]*RevocationBatch{}, catching: make(chan struct{}, catchUps)}
}

func (h *feedHub) open() (closed func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	done := make(chan struct{})
	h.done = done
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.done, h.lastRead = nil, time.Time{}
		close(done)
	}
}

// caughtUp notes that the node has just read all there is.
func (h *feedHub) caughtUp(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lastRead, h.readAt = time.Now(), now
}

func (h *feedHub) fresh() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.done != nil && !h.lastRead.IsZero() && time.Since(h.lastRead) < feedStale
}

// add appends what was read up to a cursor of the store, and wakes everybody.
func (h *feedHub) add(list []Revocation, stored string, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(list) == 0 && h.tail.Cursor != "" {
		return
	}
	b := &RevocationBatch{List: list, Cursor: feedCursor(stored, now), stored: stored, at: now, ready: make(chan struct{})}
	h.byCursor[stored] = b
	h.entries += len(list)
	h.tail.next = b
	close(h.tail.ready)
	h.tail = b
	for h.head.next != h.tail && (len(h.byCursor) > maxBatches || h.entries > maxBatched) {
		h.dropFirst()
		h.cut = true
	}
}

// forget lets go of batches that were read before t.
func (h *feedHub) forget(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.head.next != nil && h.head.next != h.tail && h.head.next.at.Before(t) {
		h.dropFirst()
	}
	// Enough has been let go by time alone since the list was cut.
	if h.head.at.Before(t) {
		h.cut = false
	}
}

// dropFirst moves the head on. The batch becomes the new head: it is not served
// itself any more, but a reader may stand on it.
func (h *feedHub) dropFirst() {
	first := h.head.next
	delete(h.byCursor, h.head.stored)
	h.entries -= len(first.List)
	h.head = first
}

// feedCursor writes a cursor for followers: when it was read, so that one can
// see that it is too old, and what the store calls it.
func feedCursor(stored string, at time.Time) string {
	return strconv.FormatInt(at.UnixMilli(), 10) + "." + stored
}

func parseFeedCursor(text string) (stored string, at time.Time, ok bool) {
	ms, stored, found := strings.Cut(text, ".")
	n, err := strconv.ParseInt(ms, 10, 64)
	return stored, time.UnixMilli(n), found && err == nil && stored != ""
}

// RevocationFollower is a reader's place in the feed. It is for one goroutine.
type RevocationFollower struct {
	s       *Service
	at      *RevocationBatch
	done    chan struct{}
	stored  string // where to read on in the store, while behind
	behind  bool
	started bool
	closed  bool
}

// FollowRevocations begins to follow the feed after a cursor that a follower was
// given by any node, or from what can concern a valid access token if it is "".
// Nothing is missed; around a change of node, entries may come twice. Close it.
func (s *Service) FollowRevocations(after string) (*RevocationFollower, error) {
	h := s.hub
	if !h.fresh() {
		return nil, ErrFeedUnavailable
	}
	stored, at, ok := parseFeedCursor(after)
	if after != "" && (!ok || at.Before(s.feedHorizon())) {
		return nil, ErrCursorExpired
	}
	if h.followers.Add(1) > maxFollowers {
		h.followers.Add(-1)
		return nil, ErrFeedUnavailable
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	f := &RevocationFollower{s: s, at: h.tail, done: h.done, stored: stored}
	b, kept := h.byCursor[stored]
	switch {
	case after == "" && !h.cut:
		f.at = h.head
	case after != "" && kept:
		f.at = b
	default:
		// From the store up to now, and what comes from now on from the list:
		// standing there first, nothing can fall between the two.
		f.behind = true
	}
	return f, nil
}

// Close lets go of the follower's place.
func (f *RevocationFollower) Close() {
	if !f.closed {
		f.closed = true
		f.s.hub.followers.Add(-1)
	}
}

// Cursor is where the follower stands, and tells whether this node has just now
// known everything there is. It grows younger while nothing happens.
func (f *RevocationFollower) Cursor() (cursor string, fresh bool) {
	h := f.s.hub
	fresh = h.fresh()
	h.mu.Lock()
	defer h.mu.Unlock()
	if f.at == h.tail && fresh {
		return feedCursor(f.at.stored, h.readAt), true
	}
	return f.at.Cursor, fresh
}

// KeepFor is how long an entry can concern an access token that is still valid.
func (f *RevocationFollower) KeepFor() time.Duration { return f.s.cfg.AccessTTL + feedMargin }

// Next returns what came since it was last asked, and whether more is waiting.
// The first time it answers at once, though there may be nothing; then it waits
// for news, or until ctx ends. ErrFeedUnavailable says that the node stops.
func (f *RevocationFollower) Next(ctx context.Context) (list []*RevocationBatch, more bool, err error) {
	if f.behind {
		return f.catchUp(ctx)
	}
	if !f.started {
		f.started = true
		list = f.gather()
		if len(list) == 0 {
			cursor, _ := f.Cursor()
			list = []*RevocationBatch{{Cursor: cursor}}
		}
		return list, f.waiting(), nil
	}
	select {
	case <-f.at.ready:
		list = f.gather()
		return list, f.waiting(), nil
	case <-f.done:
		return nil, false, ErrFeedUnavailable
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
}

func (f *RevocationFollower) waiting() bool {
	select {
	case <-f.at.ready:
		return true
	default:
		return false
	}
}

// gather walks to the end of the list, or as far as one answer may go.
func (f *RevocationFollower) gather() (list []*RevocationBatch) {
	for n := 0; n < maxGathered && f.waiting(); n += len(f.at.List) {
		f.at = f.at.next
		list = append(list, f.at)
	}
	return list
}

// catchUp reads a page from the store.
func (f *RevocationFollower) catchUp(ctx context.Context) ([]*RevocationBatch, bool, error) {
	select {
	case f.s.hub.catching <- struct{}{}:
		defer func() { <-f.s.hub.catching }()
	case <-f.done:
		return nil, false, ErrFeedUnavailable
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	now := f.s.clock()
	page, next, err := f.s.Revocations(ctx, f.stored, maxGathered)
	if errors.Is(err, ErrCursor) {
		return nil, false, ErrCursorExpired
	} else if err != nil {
		return nil, false, err
	}
	f.stored, f.started = next, true
	f.behind = len(page) == maxGathered
	return []*RevocationBatch{{List: page, Cursor: feedCursor(next, now)}}, f.behind || f.waiting(), nil
}
