package redisstore

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"github.com/bitjang/bitjang"
)

// entryID is the id of an entry in one of the feed's streams.
type entryID struct{ ms, seq uint64 }

func (id entryID) String() string {
	return strconv.FormatUint(id.ms, 10) + "-" + strconv.FormatUint(id.seq, 10)
}

func parseEntryID(text string) (id entryID, ok bool) {
	ms, seq, ok := strings.Cut(text, "-")
	var errMS, errSeq error
	id.ms, errMS = strconv.ParseUint(ms, 10, 64)
	id.seq, errSeq = strconv.ParseUint(seq, 10, 64)
	return id, ok && errMS == nil && errSeq == nil
}

// feedCursor is how far a reader has come: the last id read of each part, the
// zero id for none, and the part to begin with next.
type feedCursor struct {
	last  [parts]entryID
	begin int
}

const feedCursorVersion = 1

// String writes the cursor for whoever reads on later. Times are written as
// distances from the latest: parts that are in use lie close together.
func (c *feedCursor) String() string {
	var latest uint64
	for _, id := range c.last {
		latest = max(latest, id.ms)
	}
	b := []byte{feedCursorVersion, byte(c.begin)}
	b = binary.AppendUvarint(b, latest)
	for _, id := range c.last {
		if id == (entryID{}) {
			b = append(b, 0)
			continue
		}
		b = binary.AppendUvarint(b, latest-id.ms+1)
		b = binary.AppendUvarint(b, id.seq)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// parseFeedCursor reads what String wrote, and nothing else.
func parseFeedCursor(text string) (*feedCursor, error) {
	var c feedCursor
	if text == "" {
		return &c, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < 2 || b[0] != feedCursorVersion || b[1] >= parts {
		return nil, bitjang.ErrCursor
	}
	c.begin, b = int(b[1]), b[2:]
	ok := true
	next := func() (v uint64) {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			ok, b = false, nil
			return 0
		}
		b = b[n:]
		return v
	}
	latest := next()
	for i := range c.last {
		distance := next()
		if distance == 0 {
			continue
		}
		c.last[i] = entryID{latest - (distance - 1), next()}
		ok = ok && distance-1 <= latest
	}
	if !ok || len(b) != 0 || latest > math.MaxInt64 || c.String() != text {
		return nil, bitjang.ErrCursor
	}
	return &c, nil
}

// walkCursor is how far a walk through all sessions has come: in this part, to
// this cursor of that server.
type walkCursor struct {
	part      int
	run, scan string
}

func (c walkCursor) String() string {
	return strings.Join([]string{strconv.Itoa(c.part), c.run, c.scan}, ":")
}

func parseWalkCursor(text string) (walkCursor, error) {
	if text == "" {
		return walkCursor{scan: "0"}, nil
	}
	fields := strings.Split(text, ":")
	if len(fields) != 3 {
		return walkCursor{}, bitjang.ErrCursor
	}
	part, err := strconv.Atoi(fields[0])
	if err != nil || part < 0 || part >= parts {
		return walkCursor{}, bitjang.ErrCursor
	}
	if _, err := strconv.ParseUint(fields[2], 10, 64); err != nil {
		return walkCursor{}, bitjang.ErrCursor
	}
	return walkCursor{part, fields[1], fields[2]}, nil
}
