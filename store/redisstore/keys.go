package redisstore

import (
	"fmt"

	"github.com/bitjang/bitjang"
)

// parts is how many hash slots of a Cluster the store uses. All keys of a user
// lie in one of them, so that one script can change them in one step. The feed
// is a stream per part, and its cursor holds a position in each: few parts keep
// cursors short and polls cheap, many spread the load. 32 spread over the
// primaries of any cluster that a store of sessions needs, and a poll of 32
// streams is one round trip to each primary.
const (
	parts      = 32
	slots      = 16384
	shardShift = 3 // 256 shards make 32 parts
)

func partOf(shard byte) int { return int(shard >> shardShift) }

// layout knows the names of all keys:
//
//	<prefix>{tag}:s:<16 bytes>   a session's record
//	<prefix>{tag}:u:<user id>    sorted set of the user's session ids
//	<prefix>{tag}:sweep          sorted set: session id, when to look whether it is dead
//	<prefix>{tag}:feed           stream of revocations
//	<prefix>{tag}:g:<32 bytes>   a grant
//	<prefix>{tag}:grants         sorted set: grant id, when it expires
//	<prefix>{tag}:limits         sorted set: key of a bucket, when it is empty
type layout struct{ base [parts]string }

func newLayout(prefix string) *layout {
	var l layout
	for i := range l.base {
		l.base[i] = prefix + "{" + tag(i) + "}:"
	}
	return &l
}

func (l *layout) records(part int) string { return l.base[part] + "s:" }
func (l *layout) indexes(part int) string { return l.base[part] + "u:" }
func (l *layout) sweep(part int) string   { return l.base[part] + "sweep" }
func (l *layout) feed(part int) string    { return l.base[part] + "feed" }
func (l *layout) grants(part int) string  { return l.base[part] + "grants" }
func (l *layout) limits(part int) string  { return l.base[part] + "limits" }

func (l *layout) grant(part int) string { return l.base[part] + "g:" }

func (l *layout) record(id bitjang.SessionID) string {
	return l.records(partOf(id.Shard())) + string(id[:])
}

// tag is the first of "<part>-0", "<part>-1" and so on whose slot lies in the
// part's own stretch of the slots, so that the parts are spread evenly over
// them. It must never change: it is in the names of stored keys.
func tag(part int) string {
	for n := 0; ; n++ {
		t := fmt.Sprintf("%d-%d", part, n)
		if slotOf(t)/(slots/parts) == part {
			return t
		}
	}
}

// slotOf is the Cluster's hash slot of a tag: CRC16 as in XMODEM.
func slotOf(tag string) int {
	var crc uint16
	for i := range len(tag) {
		crc ^= uint16(tag[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc % slots)
}
