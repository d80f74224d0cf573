package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// client is an app that keeps its tokens itself and sends them as JSON.
type client struct {
	http http.Client
	base string
}

const userAgent = "e2e/1.0 (Linux)"

// newClient returns a client with connections of its own.
func newClient(t *testing.T, base string) *client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{http: http.Client{Transport: transport, Timeout: patience}, base: base}
}

// tokens are what an app stores after a login or refresh.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Session string `json:"session_id"`
}

// answer is an answer of the JSON API, a refusal too.
type answer struct {
	tokens
	Status     int    `json:"-"`
	Code       string `json:"code"`
	SessionEnd string `json:"session_end"`
}

func (a answer) String() string { return strings.TrimSpace(fmt.Sprint(a.Status, " ", a.Code)) }

// errTruncated is an answer that began and did not end.
var errTruncated = errors.New("truncated answer")

func (c *client) do(method, path, access string, body any) (answer, error) {
	var payload bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&payload).Encode(body); err != nil {
			return answer{}, err
		}
	}
	req, err := http.NewRequest(method, c.base+path, &payload)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Content-Type", "application/json")
	if access != "" {
		req.Header.Set("Authorization", "Bearer "+access)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, fmt.Errorf("%w: %w", errTruncated, err)
	}
	a := answer{Status: resp.StatusCode}
	if strings.Contains(resp.Header.Get("Content-Type"), "json") {
		err = json.Unmarshal(raw, &a)
	}
	return a, err
}

// login opens a session.
func (c *client) login(t *testing.T) tokens {
	t.Helper()
	a, err := c.do(http.MethodPost, "/v1/login", "", map[string]string{"identifier": email, "password": password})
	if err != nil || a.Status != http.StatusOK || a.Refresh == "" {
		t.Fatalf("log in: got %v, %v", a, err)
	}
	return a.tokens
}

// tryRefresh sends a refresh token once.
func (c *client) tryRefresh(token string) (answer, error) {
	return c.do(http.MethodPost, "/v1/refresh", "", map[string]string{"refresh_token": token})
}

// refresh exchanges a refresh token that must be good.
func (c *client) refresh(t *testing.T, token string) tokens {
	t.Helper()
	a, err := c.tryRefresh(token)
	if err != nil || a.Status != http.StatusOK {
		t.Fatalf("refresh: got %v, %v, want new tokens", a, err)
	}
	return a.tokens
}

// wantRefused sends a refresh token that must be refused with a code.
func (c *client) wantRefused(t *testing.T, token string, status int, code string) {
	t.Helper()
	a, err := c.tryRefresh(token)
	if err != nil || a.Status != status || a.Code != code || a.Refresh != "" {
		t.Errorf("refresh: got %v, %v, want %d %s", a, err, status, code)
	}
}

// asks returns the status of a request with an access token.
func (c *client) asks(t *testing.T, path, access string) int {
	t.Helper()
	a, err := c.do(http.MethodGet, path, access, nil)
	if err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
	return a.Status
}

// wantNoAccess checks that an access token is refused everywhere.
func (c *client) wantNoAccess(t *testing.T, access string) {
	t.Helper()
	for _, path := range []string{"/v1/me", "/forward-auth"} {
		if got := c.asks(t, path, access); got != http.StatusUnauthorized {
			t.Errorf("GET %s with an access token of an ended session: got %d, want 401", path, got)
		}
	}
}

// leeway is how long after its expiry bitjang still takes an access token,
// because the clocks of several nodes may differ.
const leeway = 2 * time.Second

// waitExpired waits until bitjang takes an access token no more.
func waitExpired(t *testing.T, access string) {
	t.Helper()
	parts := strings.Split(access, ".")
	if len(parts) != 3 {
		t.Fatalf("got an access token of %d parts, want 3", len(parts))
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatalf("decode the access token: %v", err)
	}
	var claims struct {
		Exp int64 `json:"exp"`
	}
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatalf("read the access token: %v", err)
	}
	time.Sleep(time.Until(time.Unix(claims.Exp, 0).Add(leeway + 100*time.Millisecond)))
}

// events lists the types of all events of the user.
func (c *client) events(t *testing.T, access string) map[string]int {
	t.Helper()
	types := map[string]int{}
	for cursor := ""; ; {
		req, err := http.NewRequest(http.MethodGet, c.base+"/v1/activity?limit=100"+cursor, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+access)
		resp, err := c.http.Do(req)
		if err != nil {
			t.Fatalf("list events: %v", err)
		}
		var page struct {
			Events []struct {
				ID   int64
				Type string
			}
		}
		err = json.NewDecoder(resp.Body).Decode(&page)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("list events: status %d, %v", resp.StatusCode, err)
		}
		if len(page.Events) == 0 {
			return types
		}
		for _, e := range page.Events {
			types[e.Type]++
		}
		cursor = fmt.Sprintf("&before=%d", page.Events[len(page.Events)-1].ID)
	}
}
