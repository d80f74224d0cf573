//go:build fault

package e2e

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/bitjang/bitjang/internal/servers"
)

// TestFaultAnAnsweredEndOutlivesItsPrimary ends a session while there is no
// replica, which must be refused; and when it is asked for again, success may
// only be answered if the end survives the primary.
func TestFaultAnAnsweredEndOutlivesItsPrimary(t *testing.T) {
	tests := []struct {
		name    string
		success int
		end     func(c *client, by, which tokens) (answer, error)
	}{
		{"logging out again", http.StatusNoContent, func(c *client, _, which tokens) (answer, error) {
			return c.do(http.MethodPost, "/v1/logout", "", map[string]string{"refresh_token": which.Refresh})
		}},
		{"ending another device's session again", http.StatusNoContent, func(c *client, by, which tokens) (answer, error) {
			return c.do(http.MethodDelete, "/v1/sessions/"+which.Session, by.Access, nil)
		}},
		{"logging all others out again", http.StatusOK, func(c *client, by, _ tokens) (answer, error) {
			return c.do(http.MethodPost, "/v1/logout-all", by.Access, map[string]bool{"keep_current": true})
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := servers.Own(t, func(ctx context.Context) (*servers.SentinelGroup, error) {
				return servers.Sentinel(ctx, servers.RedisOptions{})
			})
			b := startBitjang(t, "BITJANG_SESSIONS="+g.URL()+bothReplicas)
			c := newClient(t, b.url(""))
			by, which := c.login(t), c.login(t)
			promised := false
			// A stopped replica would still find in its socket what it was sent.
			err := away(t.Context(), g.Nodes[1:], 0, func() error {
				for range 3 {
					a, err := tt.end(c, by, which)
					t.Logf("without replicas: %v", a)
					if err != nil {
						return err
					}
					promised = promised || a.Status == tt.success
				}
				return g.Nodes[0].Kill()
			})
			if err != nil {
				t.Fatal(err)
			}
			b.until(t, "wait for a new primary", func() error { return overthrown(t.Context(), g) })
			b.until(t, "wait for /readyz", func() error { return expect(http.Get(b.url("/readyz"))) })
			a, err := c.tryRefresh(which.Refresh)
			if promised && (err != nil || a.Status != http.StatusUnauthorized) {
				t.Errorf("got %v, %v for a session whose end was answered with success, want 401", a, err)
			}
		})
	}
}

// overthrown says whether the group has another primary than at the start.
func overthrown(ctx context.Context, g *servers.SentinelGroup) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	i, err := g.Primary(ctx)
	if err == nil && i == 0 {
		err = errors.New("the primary is still the same")
	}
	return err
}
