package redisstore

import (
	"errors"
	"testing"

	"github.com/bitjang/bitjang"
)

func someCursors() []feedCursor {
	var middle, odd feedCursor
	for i := range middle.last {
		middle.last[i] = entryID{1795343430123 + uint64(i)*100, uint64(i)}
	}
	middle.last[3] = entryID{}
	odd.last[31], odd.begin = entryID{0, 7}, 31
	odd.last[0] = entryID{1 << 62, 1<<64 - 1}
	return []feedCursor{{}, middle, odd}
}

func TestFeedCursor(t *testing.T) {
	for _, c := range someCursors() {
		text := c.String()
		got, err := parseFeedCursor(text)
		if err != nil || *got != c || text == "" {
			t.Errorf("%q: got %v, %v; want %v", text, got, err, c)
		}
		t.Logf("%d bytes", len(text))
	}
}

func TestFeedCursorRefused(t *testing.T) {
	good := someCursors()[1]
	text := good.String()
	for _, bad := range []string{"0", "!", "no cursor", text + "A", text + "AAAA", text[:len(text)-4], "B" + text[1:], "AQA"} {
		if _, err := parseFeedCursor(bad); !errors.Is(err, bitjang.ErrCursor) {
			t.Errorf("%q: got %v, want ErrCursor", bad, err)
		}
	}
}

func FuzzFeedCursor(f *testing.F) {
	for _, c := range someCursors() {
		f.Add(c.String())
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseFeedCursor(text)
		if err == nil && text != "" && c.String() != text {
			t.Errorf("%q is read as %q", text, c)
		}
	})
}

func TestWalkCursor(t *testing.T) {
	c := walkCursor{3, "4f5a", "17"}
	if got, err := parseWalkCursor(c.String()); err != nil || got != c {
		t.Errorf("got %v, %v; want %v", got, err, c)
	}
	for _, bad := range []string{"no cursor", "32:a:0", "-1:a:0", "0:a", "0:a:x", "0:a:-1", "0:a:0:0", "x:a:0"} {
		if _, err := parseWalkCursor(bad); !errors.Is(err, bitjang.ErrCursor) {
			t.Errorf("%q: got %v, want ErrCursor", bad, err)
		}
	}
}
