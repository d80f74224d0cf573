package bitjang

import (
	"context"
	"net/url"
	"sync"
	"time"
)

// clientOrigins are the web origins of public clients, as of a moment ago.
type clientOrigins struct {
	mu    sync.Mutex
	known map[string]bool
	until time.Time
}

// ClientOrigin tells whether scripts of a web origin may call the endpoints that
// clients in browsers call: whether a public client has a redirect URI there. What
// they do there needs no cookies, and gets none.
func (s *Service) ClientOrigin(ctx context.Context, origin string) (bool, error) {
	o := &s.origins
	o.mu.Lock()
	defer o.mu.Unlock()
	now := s.clock()
	if now.Before(o.until) && !now.Before(o.until.Add(-clientMemory)) {
		return o.known[origin], nil
	}
	known := map[string]bool{}
	for after := ""; len(known) < maxClientsListed; {
		page, err := s.Clients(ctx, after)
		if err != nil {
			return false, err
		}
		for i := range page {
			page[i].addOrigins(known)
		}
		if len(page) < maxPage {
			break
		}
		after = page[len(page)-1].ID
	}
	o.known, o.until = known, now.Add(clientMemory)
	return known[origin], nil
}

func (c *Client) addOrigins(to map[string]bool) {
	if !c.public() {
		return
	}
	for _, uri := range c.RedirectURIs {
		if u, err := url.Parse(uri); err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") {
			to[u.Scheme+"://"+u.Host] = true
		}
	}
}
