package verify

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestRedirectsKeepTheTransportSafe(t *testing.T) {
	t.Parallel()
	own := errors.New("the caller's own rule")
	for _, tt := range []struct {
		from, to string
		hops     int
		next     error
		ok       bool
	}{
		{"https://a/jwks", "https://a/keys", 1, nil, true},
		{"https://a/jwks", "https://b/keys", 1, nil, true},
		{"http://a/jwks", "https://b/keys", 1, nil, true},
		{"http://a/jwks", "http://a/keys", 1, nil, true},
		{"http://a/jwks", "http://b/keys", 1, nil, false},
		{"http://a/jwks", "http://a:81/keys", 1, nil, false},
		{"https://a/jwks", "http://a/keys", 1, nil, false},
		{"https://a/jwks", "file:///etc/passwd", 1, nil, false},
		{"https://a/jwks", "https://a/keys", maxRedirects, nil, true},
		{"https://a/jwks", "https://a/keys", maxRedirects + 1, nil, false},
		{"https://a/jwks", "https://a/keys", 1, own, false},
	} {
		first, err := http.NewRequest(http.MethodGet, tt.from, nil)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequest(http.MethodGet, tt.to, nil)
		if err != nil {
			t.Fatal(err)
		}
		via := make([]*http.Request, tt.hops)
		for i := range via {
			via[i] = first
		}
		var next func(*http.Request, []*http.Request) error
		if tt.next != nil {
			next = func(*http.Request, []*http.Request) error { return tt.next }
		}
		if err := checkRedirect(next)(req, via); (err == nil) != tt.ok {
			t.Errorf("%s to %s, hop %d: got %v, want ok %v", tt.from, tt.to, tt.hops, err, tt.ok)
		}
	}
}

// TestADowngradingRedirectIsNotFollowed uses the real client, to see that the
// rule is in it.
func TestADowngradingRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	other := serveIssuer(t, "es")
	srv := httptest.NewServer(http.RedirectHandler(other.URL+"/.well-known/jwks.json", http.StatusFound))
	t.Cleanup(srv.Close)
	v := newVerifier(t, func(c *Config) { c.Issuer, c.Keys = srv.URL, nil })
	_, err := v.Verify(t.Context(), mint(t, "es", claimsJSON(t, map[string]any{"iss": srv.URL})))
	if !errors.Is(err, ErrKeysUnavailable) {
		t.Errorf("got %v, want %v", err, ErrKeysUnavailable)
	}
}
