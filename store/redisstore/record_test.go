package redisstore

import (
	"crypto/rand"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/bitjang/bitjang"
)

// full is a session with something in every field.
func full() bitjang.Session {
	s := usual("u")
	s.Generation = math.MaxUint32
	rand.Read(s.Parent[:])
	s.ChildSeenAt, s.EndedAt, s.HeldAt = s.CreatedAt.Add(1), s.CreatedAt.Add(time.Second), s.CreatedAt.Add(time.Minute)
	s.ChildSeenAt = s.ChildSeenAt.Truncate(time.Millisecond)
	s.EndReason, s.HeldFor, s.ACR = bitjang.EndedByReuse, "risk", "aal2"
	s.Roles, s.AMR = []string{"", "a b", "관리자"}, []string{"pwd", "otp"}
	s.Audience, s.LoginID, s.KeyThumbprint = "https://api.example.com", bitjang.NewSessionID("u"), strings.Repeat("k", 43)
	s.Device.Name, s.Device.Hints.Model, s.Device.Hints.Mobile = "\x00\xff", "m", true
	s.IP = netip.MustParseAddr("fe80::1%eth0")
	return s
}

func record(t *testing.T, s bitjang.Session) string {
	t.Helper()
	r, err := encodeSession(&s)
	if err != nil {
		t.Fatal(err)
	}
	return r.head + r.kept + r.tail
}

func TestRecord(t *testing.T) {
	for _, s := range []bitjang.Session{full(), usual("u"), {ID: bitjang.SessionID{1}}} {
		got, err := decodeSession(s.ID, record(t, s))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestRecordOfAnotherRelease(t *testing.T) {
	s := full()
	text := record(t, s)
	newer, err := decodeSession(s.ID, text+"\x00\x03new\x00")
	if err != nil || newer.Device != s.Device {
		t.Errorf("with more fields: got %v, want what we know of it", err)
	}
	if _, err := decodeSession(s.ID, "\x03"+text[1:]); err == nil {
		t.Error("of another format: got no error")
	}
	older, err := decodeSession(s.ID, text[:len(text)-len(s.Audience)-2-18-len(s.KeyThumbprint)-2])
	if err != nil || older.Audience != "" || !older.LoginID.IsZero() || !older.Device.Hints.Mobile {
		t.Errorf("without the last fields: got %v, want them to be unset", err)
	}
}

// TestRecordCutShort may accept what ends between two fields, and must not
// panic.
func TestRecordCutShort(t *testing.T) {
	s := full()
	text := record(t, s)
	accepted := 0
	for n := range text {
		if _, err := decodeSession(s.ID, text[:n]); err == nil {
			accepted++
		}
	}
	if accepted > 40 {
		t.Errorf("got %d of %d beginnings accepted, want only those between fields", accepted, len(text))
	}
}

func TestRecordTooLong(t *testing.T) {
	s := usual("u")
	s.Scope = strings.Repeat("x", 1<<16)
	if _, err := encodeSession(&s); err == nil {
		t.Error("got no error for a text of 64 KiB")
	}
}

func TestLifetime(t *testing.T) {
	const retention = 31 * 24 * time.Hour
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	s := bitjang.Session{CreatedAt: now, LastSeenAt: now.Add(time.Hour), ExpiresAt: now.Add(90 * 24 * time.Hour), IdleExpiresAt: now.Add(24 * time.Hour)}
	ended, past := s, s
	ended.EndedAt = now.Add(2 * time.Hour)
	past.ExpiresAt = now
	for name, tt := range map[string]struct {
		s    bitjang.Session
		want time.Duration
	}{
		"until it expires and on":         {s, 90*24*time.Hour - time.Hour + retention},
		"after its end, as long as asked": {ended, retention},
		"expired before it came here":     {past, retention},
	} {
		if got := time.Duration(lifetime(&tt.s, retention)) * time.Millisecond; got != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
	far := bitjang.Session{ExpiresAt: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}
	if got := lifetime(&far, retention); got < millis(far.ExpiresAt) {
		t.Errorf("got %d, want at least until then", got)
	}
}
