package bitjang

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestWhichNetworksAnAddressIsCountedIn(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.1":             "192.0.2.0/24 192.0.0.0/16",
		"::ffff:192.0.2.1":      "192.0.2.0/24 192.0.0.0/16",
		"2001:db8:1:2:3:4:5:6":  "2001:db8:1:2::/64 2001:db8:1::/48",
		"2001:db8:1:2::ffff":    "2001:db8:1:2::/64 2001:db8:1::/48",
		"2001:db8:1:3::1":       "2001:db8:1:3::/64 2001:db8:1::/48",
		"fe80::1%eth0":          "fe80::/64 fe80::/48",
		"::ffff:192.0.2.9%eth0": "192.0.2.0/24 192.0.0.0/16",
	} {
		near, wide, ok := nearAndWide(netip.MustParseAddr(address))
		if got := fmt.Sprint(near, " ", wide); !ok || got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
	if _, _, ok := nearAndWide(netip.Addr{}); ok {
		t.Error("no address has a network")
	}
}

func TestOneAccountHasOneBucket(t *testing.T) {
	t.Parallel()
	for _, other := range []string{" Ada@Example.com", "ADA@EXAMPLE.COM ", "ａda@example.com"} {
		if got := accountKey(other); got != "ada@example.com" {
			t.Errorf("%q: got %q", other, got)
		}
	}
	long := accountKey(strings.Repeat("x", 1<<20))
	if len(long) > maxEmail {
		t.Errorf("got %d bytes of what is no address", len(long))
	}
	seen := map[string]bool{}
	for _, l := range limits {
		for _, c := range append(l.charges("a", "b"), l.charges("ab", "")...) {
			if len(c.key) > 256 || seen[c.key] || c.refill < time.Millisecond || c.burst < 1 {
				t.Errorf("%s: key %q, burst %d, refill %v", l.name, c.key, c.burst, c.refill)
			}
			seen[c.key] = true
		}
	}
}

func TestWhatIsUnusual(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		failed, rights int
		baseline       float64
		want           bool
	}{
		{"a quiet node", 0, 0, 0, false},
		{"few failures, even where there are never any", 49, 0, 0, false},
		{"failures at fifty accounts where there are never any", 50, 0, 0, true},
		{"no more than five times what is usual", 500, 10, 100, false},
		{"more than five times what is usual", 501, 10, 100, true},
		{"Monday morning: many fail and many more get in", 600, 200, 20, false},
		{"few get in for all that fail", 601, 200, 20, true},
	} {
		if got := unusual(tt.failed, tt.rights, tt.baseline); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestANodeLearnsWhatIsUsual(t *testing.T) {
	t.Parallel()
	g, now, told := newGuessWatch(), time.Unix(1e9, 0), 0
	window := func(accounts int) {
		for i := range accounts {
			for range 3 { // an account counts once
				if g.wrong(fmt.Sprint(i), now) > 0 {
					told++
				}
			}
		}
		now = now.Add(watchWindow)
	}
	for range 50 {
		window(40)
	}
	if told != 0 {
		t.Fatal("what happens always was found unusual")
	}
	window(190)
	if told != 0 {
		t.Fatal("less than five times the usual was found unusual")
	}
	window(400)
	if told != 1 {
		t.Fatalf("ten times the usual was told %d times, want once", told)
	}
	for i := range 1_000_000 {
		g.wrong(fmt.Sprint("flood", i), now)
	}
	if len(g.failed) > watchAccounts {
		t.Errorf("got %d accounts in memory, want %d at most", len(g.failed), watchAccounts)
	}
}

func TestNearLimitsCountAsTheStoreDoes(t *testing.T) {
	t.Parallel()
	n, now, st := newNearLimits(), time.Unix(1e9, 0), allowance{3, time.Second}
	for i, want := range []time.Duration{0, 0, 0, time.Second, time.Second} {
		if got := n.spend("k", now, st); got != want {
			t.Errorf("try %d: got %v to wait, want %v", i, got, want)
		}
	}
	if n.spend("other", now, st) != 0 {
		t.Error("keys share a bucket")
	}
	if got := n.spend("k", now.Add(999*time.Millisecond), st); got != time.Millisecond {
		t.Errorf("got %v to wait just before there is room, want 1ms", got)
	}
	if n.spend("k", now.Add(time.Second), st) != 0 || n.spend("k", now.Add(time.Second), st) == 0 {
		t.Error("after a second there is room for exactly one")
	}
}

// TestAFloodOfKeysTakesBoundedMemory: what is touched stays, what is not goes.
func TestAFloodOfKeysTakesBoundedMemory(t *testing.T) {
	n, now, st := newNearLimits(), time.Unix(1e9, 0), allowance{60, time.Hour}
	keys := make([]string, 1_000_000)
	for i := range keys {
		keys[i] = fmt.Sprint("session ", i)
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, refused := heap(), 0
	for i, k := range keys {
		n.spend(k, now, st)
		if i%1000 == 0 && n.spend("in a tight loop", now, st) > 0 {
			refused++
		}
	}
	after := heap()
	if got := n.len(); got > 2*nearShards*nearKeys {
		t.Errorf("got %d keys in memory, want at most %d", got, 2*nearShards*nearKeys)
	}
	if refused != 1000-60 {
		t.Errorf("got %d refusals of the one that goes on, want %d: the flood made it forgotten", refused, 1000-60)
	}
	grown := int64(after) - int64(before)
	if grown > 16<<20 {
		t.Errorf("a flood of %d keys took %d bytes", len(keys), grown)
	}
	t.Logf("%d keys: heap %d KiB before, %d KiB after", len(keys), before>>10, after>>10)
	runtime.KeepAlive(keys)
	runtime.KeepAlive(n)
}

// TestTheTableOfLimitsIsTheCodes compares docs/limits.md with the table.
func TestTheTableOfLimitsIsTheCodes(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range limits {
		var steps []string
		for _, st := range l.steps {
			steps = append(steps, fmt.Sprintf("%d, then 1 per %s", st.burst, shortly(st.refill)))
		}
		if row := fmt.Sprintf("| `%s` | %s | %s | %s |", l.name, l.per, l.what, strings.Join(steps, "; ")); !strings.Contains(string(page), row) {
			t.Errorf("docs/limits.md misses\n%s", row)
		}
	}
}

func shortly(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		text = strings.Replace(text, zero, zero[:1], 1)
	}
	return text
}
