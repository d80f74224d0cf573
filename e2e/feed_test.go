package e2e

import (
	"context"
	"errors"
	"net"
	"net/http"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/bitjang/bitjang/internal/servers"
	"github.com/bitjang/bitjang/verify"
)

var printedClient = regexp.MustCompile(`client id\s+(\S+)\s+(?:.*\s+)?(bjs_\S+)`)

// either connects to the first node that is there, as a load balancer would.
func either(nodes ...*bitjang) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (c net.Conn, err error) {
		for _, b := range nodes {
			if c, err = new(net.Dialer).DialContext(ctx, network, b.address); err == nil {
				return c, nil
			}
		}
		return nil, err
	}}}
}

// TestAKilledNodeLosesNothingOfTheFeed ends sessions at two nodes while verifiers
// follow the first, kills that, and goes on at the second. Every verifier has to
// refuse every session that has ended, and no other.
func TestAKilledNodeLosesNothingOfTheFeed(t *testing.T) {
	t.Parallel()
	store := servers.Own(t, func(ctx context.Context) (*servers.Server, error) { return servers.Postgres(ctx) })
	one := startBitjang(t, "BITJANG_DATABASE="+store.URL())
	two := secondNode(t, one)
	m := printedClient.FindSubmatch(one.cli(t, "", "client", "add", "API", "--grant", "client_credentials", "--scope", "revocations"))
	if m == nil {
		t.Fatal("the command prints no client")
	}
	const verifiers, sessions = 20, 60
	var running sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(func() { stop(); running.Wait() })
	var crowd []*verify.Verifier
	for range verifiers {
		v, err := verify.New(verify.Config{
			Issuer: "http://" + one.address, Audience: "http://" + one.address, HTTPClient: either(one, two),
			Feed: &verify.Feed{Authorize: verify.ClientSecret(string(m[1]), string(m[2])), WhenStale: verify.FailClosed, HTTPClient: either(one, two)},
		})
		if err != nil {
			t.Fatal(err)
		}
		crowd = append(crowd, v)
		running.Go(func() { _ = v.Run(ctx) })
	}
	for _, v := range crowd {
		if err := v.Ready(ctx); err != nil {
			t.Fatal(err)
		}
	}
	at := []*client{newClient(t, one.url("")), newClient(t, two.url(""))}
	var ended []tokens
	for range sessions {
		ended = append(ended, at[1].login(t))
	}
	going := at[1].login(t)
	for i, s := range ended {
		if i == sessions/2 {
			one.kill() // with the news of the last end on its way, or not
			at[0] = at[1]
		}
		if a, err := at[i%2].do(http.MethodPost, "/v1/logout", s.Access, nil); err != nil || a.Status != http.StatusNoContent {
			t.Fatalf("log out: got %v, %v", a, err)
		}
	}
	began := time.Now()
	for i, v := range crowd {
		for j, s := range ended {
			for {
				_, err := v.Verify(ctx, s.Access)
				if errors.Is(err, verify.ErrSessionRevoked) {
					break
				}
				if time.Since(began) > patience {
					t.Fatalf("verifier %d, session %d of %d: got %v, want it refused; %+v", i, j, sessions, err, v.FeedStats())
				}
				time.Sleep(10 * time.Millisecond)
			}
		}
		for { // it may only just have found the other node
			_, err := v.Verify(ctx, going.Access)
			if err == nil {
				break
			}
			if !errors.Is(err, verify.ErrFeedUnavailable) || time.Since(began) > patience {
				t.Fatalf("verifier %d: got %v for a session that goes on; %+v", i, err, v.FeedStats())
			}
			time.Sleep(10 * time.Millisecond)
		}
		if s := v.FeedStats(); s.Restarts != 0 || s.Connects < 2 {
			t.Errorf("got %+v, want it to have gone on by its cursor", s)
		}
	}
	t.Logf("all knew after %v", time.Since(began).Round(time.Millisecond))
}
