package sqlstore

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/bitjang/bitjang"
)

// millis is how times are kept: Unix milliseconds, 0 for unset.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// timeCol reads a time back.
type timeCol struct{ t *time.Time }

func (c timeCol) Scan(src any) error {
	ms, ok := src.(int64)
	if !ok {
		return fmt.Errorf("a time is %T, not an integer", src)
	}
	*c.t = time.Time{}
	if ms != 0 {
		*c.t = time.UnixMilli(ms).UTC()
	}
	return nil
}

// listCol reads a list of words separated by spaces.
type listCol struct{ list *[]string }

func (c listCol) Scan(src any) error {
	*c.list = nil
	if text := textOf(src); text != "" {
		*c.list = strings.Split(text, " ")
	}
	return nil
}

func list(words []string) string { return strings.Join(words, " ") }

// fixedCol reads exactly as many bytes as the array behind it has.
type fixedCol struct{ b []byte }

func (c fixedCol) Scan(src any) error {
	raw, _ := src.([]byte)
	if len(raw) != len(c.b) && len(raw) != 0 {
		return fmt.Errorf("%d bytes instead of %d", len(raw), len(c.b))
	}
	clear(c.b)
	copy(c.b, raw)
	return nil
}

// ipCol reads an address, invalid for "".
type ipCol struct{ ip *netip.Addr }

func (c ipCol) Scan(src any) error {
	*c.ip = netip.Addr{}
	text := textOf(src)
	if text == "" {
		return nil
	}
	ip, err := netip.ParseAddr(text)
	*c.ip = ip
	return err
}

func ipText(ip netip.Addr) string {
	if !ip.IsValid() {
		return ""
	}
	return ip.String()
}

// hintsCol reads client hints, kept as JSON because nobody searches them.
type hintsCol struct{ h *bitjang.ClientHints }

func (c hintsCol) Scan(src any) error {
	*c.h = bitjang.ClientHints{}
	text := textOf(src)
	if text == "" {
		return nil
	}
	return json.Unmarshal([]byte(text), c.h)
}

func hintsText(h bitjang.ClientHints) (string, error) {
	if h == (bitjang.ClientHints{}) {
		return "", nil
	}
	b, err := json.Marshal(h)
	return string(b), err
}

func textOf(src any) string {
	switch v := src.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}
