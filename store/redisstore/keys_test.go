package redisstore

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bitjang/bitjang"
)

func TestSlot(t *testing.T) {
	// Of the Cluster's specification, and asked of a real one.
	for tag, want := range map[string]int{"123456789": 0x31C3, "foo": 12182, "": 0} {
		if got := slotOf(tag); got != want {
			t.Errorf("slot of %q: got %d, want %d", tag, got, want)
		}
	}
}

// TestTags fails when a tag changes: stored keys would no longer be found.
func TestTags(t *testing.T) {
	var tags []string
	for part := range parts {
		if got := slotOf(tag(part)) / 512; got != part {
			t.Errorf("tag of part %d: got its slot in part %d", part, got)
		}
		tags = append(tags, tag(part))
	}
	want := "0-63 1-51 2-10 3-22 4-70 5-42 6-113 7-31 8-53 9-61 10-73 11-41 12-71 13-43 14-60 15-52 " +
		"16-61 17-53 18-41 19-2 20-61 21-53 22-0 23-20 24-73 25-41 26-152 27-3 28-51 29-63 30-31 31-121"
	if diff := cmp.Diff(want, strings.Join(tags, " ")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestKeys(t *testing.T) {
	l := newLayout("p:")
	id := bitjang.SessionID{0xff, 1}
	if got, want := l.record(id), "p:{"+tag(31)+"}:s:"+string(id[:]); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if partOf(0) != 0 || partOf(7) != 0 || partOf(8) != 1 || partOf(255) != 31 {
		t.Error("256 shards do not make 32 parts in order")
	}
}
