package redisstore_test

import (
	"context"
	"strings"
	"testing"

	"github.com/bitjang/bitjang/internal/servers"
	"github.com/bitjang/bitjang/store/redisstore"
)

// expect checks that of the findings with hints exactly these are there.
func expect(t *testing.T, st *redisstore.Store, want ...string) {
	t.Helper()
	findings, err := st.Check(t.Context())
	ok(t, err)
	found := map[string]bool{}
	for _, f := range findings {
		known := f.Hint == ""
		for _, text := range want {
			if strings.Contains(f.Text, text) {
				known, found[text] = true, true
			}
		}
		if !known {
			t.Errorf("got an unexpected %q", f)
		}
	}
	for _, text := range want {
		if !found[text] {
			t.Errorf("got no finding with %q in %q", text, findings)
		}
	}
}

func TestCheck(t *testing.T) {
	server := servers.Own(t, func(ctx context.Context) (*servers.Server, error) {
		return servers.Redis(ctx, servers.RedisOptions{AppendFsync: "always"})
	})
	st := open(t, server.URL())
	set := func(lines string) {
		t.Helper()
		_, err := server.CLI(t.Context(), lines)
		ok(t, err)
	}
	findings, err := st.Check(t.Context())
	ok(t, err)
	if len(findings) != 1 || findings[0].Node != server.Addr() || !strings.Contains(findings[0].Text, "primary, 0 replicas") {
		t.Errorf("got %q, want what it is and nothing else", findings)
	}
	set("CONFIG SET appendfsync everysec")
	expect(t, st, "up to a second")
	set("CONFIG SET appendfsync no")
	expect(t, st, "30 seconds")
	set("CONFIG SET appendonly no")
	expect(t, st, "snapshots")
	set("CONFIG SET save ''")
	expect(t, st, "nothing on disk")
	set("CONFIG SET appendonly yes\nCONFIG SET appendfsync always\nCONFIG SET maxmemory 100mb\nCONFIG SET maxmemory-policy allkeys-lru")
	expect(t, st, "throws away live sessions")
	set("CONFIG SET maxmemory 0")
	expect(t, st)
	expect(t, open(t, server.URL(), "replicas", "1"), "says replicas=1 and it has 0")
	ok(t, server.Kill())
	if _, err := st.Check(t.Context()); err == nil {
		t.Error("of a dead server: got no error")
	}
}

func TestCheckGroups(t *testing.T) {
	for _, tt := range []struct{ name, address, replicas string }{
		{"Sentinel", servers.NeedSentinel(t).URL(), "2"}, {"Cluster", servers.NeedCluster(t).URL(), "1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			expect(t, open(t, tt.address), "it has "+tt.replicas+" replicas and the address says replicas=0", "cut off", "up to a second")
			expect(t, open(t, tt.address, "replicas", tt.replicas), "cut off", "up to a second")
		})
	}
	findings, err := open(t, servers.NeedCluster(t).URL()).Check(t.Context())
	ok(t, err)
	primaries := 0
	for _, f := range findings {
		if strings.Contains(f.Text, "primary, ") {
			primaries++
		}
	}
	if primaries != 3 {
		t.Errorf("got %d primaries, want 3", primaries)
	}
}
