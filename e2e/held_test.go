package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bitjang/bitjang/internal/servers"
	"github.com/bitjang/bitjang/verify"
)

// asker is one that decides whether an access token is good. It answers nil if
// so, errRefused if not, and anything else if it could not decide.
type asker struct {
	name string
	ask  func(access string) error
}

var errRefused = errors.New("refused")

// askers are all that a service may ask about an access token. one and two are
// nodes on one store; v follows the feed of two.
func askers(v *verify.Verifier, one, two *bitjang, id, secret string) []asker {
	over := func(b *bitjang, path string) func(string) error {
		return func(access string) error {
			got, err := send(http.MethodGet, b.url(path), thisDevice, map[string]string{"Authorization": "Bearer " + access}, nil)
			switch {
			case err != nil:
				return err
			case got.Status == http.StatusUnauthorized || got.Status == http.StatusForbidden:
				return fmt.Errorf("%w: %v", errRefused, got)
			case got.Status/100 != 2:
				return fmt.Errorf("got status %d", got.Status)
			}
			return nil
		}
	}
	return []asker{
		{"verify with the feed", func(access string) error {
			_, err := v.Verify(context.Background(), access)
			if errors.Is(err, verify.ErrSessionHeld) {
				return errRefused
			}
			return err
		}},
		{"introspection", introspects(one, id, secret)},
		{"introspection at another node", introspects(two, id, secret)},
		{"forward auth", over(one, "/forward-auth")},
		{"forward auth of another node", over(two, "/forward-auth")},
		{"the API", over(one, "/v1/me")},
		{"the API of another node", over(two, "/v1/me")},
	}
}

// device is what a request says of where it comes from.
type device struct{ id, agent string }

var (
	thisDevice  = device{"an-owner-0123456789abcdef", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
	otherDevice = device{"a-thief-0123456789abcdef", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36"}
)

// introspects asks POST /oauth2/introspect, as the client of a resource server.
func introspects(b *bitjang, id, secret string) func(string) error {
	return func(access string) error {
		form := url.Values{"token": {access}, "client_id": {id}, "client_secret": {secret}}
		resp, err := http.PostForm(b.url("/oauth2/introspect"), form)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		var said struct{ Active bool }
		if err := json.NewDecoder(resp.Body).Decode(&said); err != nil || resp.StatusCode != http.StatusOK {
			return fmt.Errorf("got status %d, %v", resp.StatusCode, err)
		}
		if !said.Active {
			return errRefused
		}
		return nil
	}
}

type heldAnswer struct {
	answer
	Challenge string   `json:"challenge"`
	HeldFor   string   `json:"held_for"`
	Factors   []string `json:"factors"`
}

func send(method, target string, from device, headers map[string]string, body any) (a heldAnswer, err error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return a, err
	}
	req, err := http.NewRequest(method, target, strings.NewReader(string(raw)))
	if err != nil {
		return a, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", from.agent)
	req.Header.Set("Device-Id", from.id)
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	a.Status = resp.StatusCode
	if raw, err = io.ReadAll(resp.Body); err == nil && strings.Contains(resp.Header.Get("Content-Type"), "json") {
		err = json.Unmarshal(raw, &a)
	}
	return a, err
}

// follower is a verifier that follows a node's feed.
func follower(t *testing.T, issuer, node *bitjang, id, secret string) *verify.Verifier {
	t.Helper()
	v, err := verify.New(verify.Config{
		Issuer: "http://" + issuer.address, Audience: "http://" + issuer.address, HTTPClient: either(node),
		Feed: &verify.Feed{Authorize: verify.ClientSecret(id, secret), WhenStale: verify.FailClosed, HTTPClient: either(node)},
	})
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(func() { stop(); running.Wait() })
	running.Go(func() { _ = v.Run(ctx) })
	if err := v.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestAHeldSessionIsRefusedEverywhereAndGoesOn has a copied token used on another
// device. The session is frozen, whoever is asked refuses its access token, and
// after the owner's proof it goes on under its id.
func TestAHeldSessionIsRefusedEverywhereAndGoesOn(t *testing.T) {
	t.Parallel()
	store := servers.Own(t, func(ctx context.Context) (*servers.Server, error) { return servers.Postgres(ctx) })
	one := startBitjang(t, "BITJANG_DATABASE="+store.URL(), "BITJANG_MAIL_CODE=off")
	two := secondNode(t, one)
	m := printedClient.FindStringSubmatch(string(one.cli(t, "", "client", "add", "API", "--grant", "client_credentials", "--scope", "revocations")))
	if m == nil {
		t.Fatal("the command prints no client")
	}
	all := askers(follower(t, one, two, m[1], m[2]), one, two, m[1], m[2])
	post := func(path string, from device, status int, body any) heldAnswer {
		t.Helper()
		a, err := send(http.MethodPost, one.url(path), from, nil, body)
		if err != nil || a.Status != status {
			t.Fatalf("POST %s: got %+v, %v, want %d", path, a, err, status)
		}
		return a
	}
	login := map[string]string{"identifier": email, "password": password}
	mine, other := post("/v1/login", thisDevice, 200, login), post("/v1/login", device{"the-owners-phone-0123456789", "App/1.0"}, 200, login)
	agreeOn(t, all, mine.Access, nil)

	stolen := map[string]string{"refresh_token": mine.Refresh}
	if theft := post("/v1/refresh", otherDevice, 403, stolen); theft.Code != "step_up_required" || theft.Refresh != "" || theft.Access != "" {
		t.Fatalf("the thief: got %+v", theft)
	}
	agreeOn(t, all, mine.Access, errRefused)
	agreeOn(t, all, other.Access, nil) // it is about one session

	held := post("/v1/refresh", thisDevice, 403, stolen)
	if held.HeldFor != "risk" || fmt.Sprint(held.Factors) != "[password]" {
		t.Fatalf("got %+v", held)
	}
	proof := map[string]string{"challenge": held.Challenge, "factor": "password", "code": password, "refresh_token": mine.Refresh}
	post("/v1/login/verify", otherDevice, 401, proof) // the thief knows the password too, and is elsewhere
	agreeOn(t, all, mine.Access, errRefused)
	on := post("/v1/login/verify", thisDevice, 200, proof)
	if on.Session != mine.Session {
		t.Errorf("got session %s, want %s to go on", on.Session, mine.Session)
	}
	agreeOn(t, all, on.Access, nil)
	agreeOn(t, all, post("/v1/refresh", thisDevice, 200, map[string]string{"refresh_token": on.Refresh}).Access, nil)
}

// agreeOn waits until all that are asked about an access token give the same
// answer, and tells when each came to it.
func agreeOn(t *testing.T, all []asker, access string, want error) {
	t.Helper()
	began := time.Now()
	var asking sync.WaitGroup
	for _, a := range all {
		asking.Go(func() {
			for {
				err := a.ask(access)
				if errors.Is(err, want) {
					t.Logf("%s: %v after %v", a.name, want, time.Since(began).Round(time.Millisecond))
					return
				}
				if time.Since(began) > patience {
					t.Errorf("%s: got %v, want %v", a.name, err, want)
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	asking.Wait()
	if t.Failed() {
		t.FailNow()
	}
}
