package redisstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/bitjang/bitjang"
)

// A session's record is a string of bytes, all numbers big endian: a fixed
// header that scripts compare and overwrite in place, and texts behind it.
//
//	 0  format, 1 byte
//	 1  version, 8      9  generation, 4
//	13  nonce, 8       21  parent, 8
//	29  confirmed_at   37  child_at       45  child_seen_at
//	53  last_seen_at   61  idle_expires_at
//	69  expires_at     77  ended_at       85  held_at
//	93  auth_time
//	101 created_at, then the user's id: what an update leaves as it is
//	 .. end reason, device id: texts that scripts look at
//	 .. the other texts, in the order of encodeSession
//
// Times are 8 bytes of Unix milliseconds, 0 for unset; a text is its length in
// 2 bytes and its bytes. scripts.go counts from 1, as Lua does. New fields go
// to the end: a reader takes missing ones as zero and ignores those it does not
// know, so that two releases can share a store for as long as an upgrade takes.
// Any other change of layout is a new format.
//
// The record of a session that is bound to a key says format 2, and is laid out
// alike: confirmations refuse it without looking further, and so does a release
// that does not know of keys.
const (
	recordFormat = 1
	boundFormat  = 2
	recordHead   = 101
)

// sessionRecord is a record in the three pieces that an update needs: it
// replaces head and tail.
type sessionRecord struct{ head, kept, tail string }

func encodeSession(s *bitjang.Session) (sessionRecord, error) {
	var head, kept, tail writer
	head.byte(recordFormat)
	if s.KeyThumbprint != "" {
		head.b[0] = boundFormat
	}
	head.int(s.Version)
	head.raw(rotationBytes(s.Generation, s.Nonce, s.Parent))
	for _, t := range []time.Time{
		s.ConfirmedAt, s.ChildAt, s.ChildSeenAt, s.LastSeenAt, s.IdleExpiresAt,
		s.ExpiresAt, s.EndedAt, s.HeldAt, s.AuthTime,
	} {
		head.time(t)
	}
	kept.time(s.CreatedAt)
	kept.text(s.UserID)
	for _, text := range []string{string(s.EndReason), s.Device.ID, s.ClientID, s.HeldFor, s.ACR, s.Scope} {
		tail.text(text)
	}
	tail.list(s.AMR)
	tail.list(s.Roles)
	ip, err := s.IP.MarshalBinary()
	h := &s.Device.Hints
	for _, text := range []string{string(ip), s.Device.Name, s.Device.UserAgent, h.Brand, h.Platform, h.PlatformVersion, h.Model} {
		tail.text(text)
	}
	tail.bool(h.Mobile)
	tail.text(s.Audience)
	if s.LoginID.IsZero() {
		tail.text("")
	} else {
		tail.text(string(s.LoginID[:]))
	}
	tail.text(s.KeyThumbprint)
	err = errors.Join(err, kept.err, tail.err)
	return sessionRecord{string(head.b), string(kept.b), string(tail.b)}, err
}

func decodeSession(id bitjang.SessionID, record string) (bitjang.Session, error) {
	r := reader{rest: record}
	if format := r.byte(); len(record) < recordHead || format != recordFormat && format != boundFormat {
		return bitjang.Session{}, fmt.Errorf("session %s: unknown format of record", id)
	}
	s := bitjang.Session{ID: id, Version: r.int()}
	s.Generation = binary.BigEndian.Uint32([]byte(r.take(4)))
	copy(s.Nonce[:], r.take(8))
	copy(s.Parent[:], r.take(8))
	for _, t := range []*time.Time{
		&s.ConfirmedAt, &s.ChildAt, &s.ChildSeenAt, &s.LastSeenAt, &s.IdleExpiresAt,
		&s.ExpiresAt, &s.EndedAt, &s.HeldAt, &s.AuthTime, &s.CreatedAt,
	} {
		*t = r.time()
	}
	s.UserID = r.text()
	s.EndReason = bitjang.EndReason(r.text())
	for _, text := range []*string{&s.Device.ID, &s.ClientID, &s.HeldFor, &s.ACR, &s.Scope} {
		*text = r.text()
	}
	s.AMR, s.Roles = r.list(), r.list()
	ip := r.text()
	h := &s.Device.Hints
	for _, text := range []*string{&s.Device.Name, &s.Device.UserAgent, &h.Brand, &h.Platform, &h.PlatformVersion, &h.Model} {
		*text = r.text()
	}
	h.Mobile = r.bool()
	s.Audience = r.text()
	copy(s.LoginID[:], r.text())
	s.KeyThumbprint = r.text()
	if err := errors.Join(r.err, s.IP.UnmarshalBinary([]byte(ip))); err != nil {
		return bitjang.Session{}, fmt.Errorf("session %s: %w", id, err)
	}
	return s, nil
}

// rotationBytes are bytes 9 to 28 of a record.
func rotationBytes(generation uint32, nonce, parent bitjang.Nonce) string {
	b := binary.BigEndian.AppendUint32(nil, generation)
	return string(append(append(b, nonce[:]...), parent[:]...))
}

// lifetime is how long a record is kept from now on, at least: until the
// session is dead and for retention after that. It is counted between the
// session's own times, as no store reads the clock: now is no earlier than the
// session was last seen, so this errs on the long side. DeleteSessions usually
// comes first.
func lifetime(s *bitjang.Session, retention time.Duration) int64 {
	left := int64(0)
	if s.EndedAt.IsZero() {
		left = max(0, millis(s.ExpiresAt)-max(millis(s.CreatedAt), millis(s.LastSeenAt)))
	}
	return min(left, math.MaxInt64/4) + retention.Milliseconds()
}

// millis is how times are kept.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// timeBytes is a time as records hold it.
func timeBytes(t time.Time) string {
	return string(binary.BigEndian.AppendUint64(nil, uint64(millis(t))))
}

// encodeGrant writes a grant's record: format, used_at (byte 1, where
// consumeScript writes), created_at, expires_at, texts.
func encodeGrant(g *bitjang.Grant) (string, error) {
	var w writer
	w.byte(recordFormat)
	w.time(g.UsedAt)
	w.time(g.CreatedAt)
	w.time(g.ExpiresAt)
	w.text(g.Kind)
	w.text(g.UserID)
	w.text(string(g.Data))
	return string(w.b), w.err
}

func decodeGrant(id bitjang.GrantID, record string) (bitjang.Grant, error) {
	r := reader{rest: record}
	if r.byte() != recordFormat {
		return bitjang.Grant{}, errors.New("a grant: unknown format of record")
	}
	g := bitjang.Grant{ID: id, UsedAt: r.time(), CreatedAt: r.time(), ExpiresAt: r.time(), Kind: r.text(), UserID: r.text()}
	if data := r.text(); data != "" {
		g.Data = []byte(data)
	}
	return g, r.err
}

// encodeRevocation writes an entry of the feed behind its session's id, which
// endScript puts in front itself.
func encodeRevocation(at time.Time, state bitjang.RevocationState, reason string) (string, error) {
	var w writer
	w.time(at)
	w.text(string(state))
	w.text(reason)
	return string(w.b), w.err
}

func decodeRevocation(entry string) (bitjang.Revocation, error) {
	r := reader{rest: entry}
	var v bitjang.Revocation
	copy(v.SessionID[:], r.take(len(v.SessionID)))
	v.At = r.time()
	v.State = bitjang.RevocationState(r.text())
	v.Reason = r.text()
	return v, r.err
}
