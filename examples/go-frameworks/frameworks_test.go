package frameworks

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/bitjang/bitjang/verify"
)

type keys struct{ key *verify.Key }

func (k keys) Key(_ context.Context, kid string) (*verify.Key, error) {
	if kid != k.key.ID {
		return nil, verify.ErrUnknownKey
	}
	return k.key, nil
}

// mint signs an access token by hand: ES256 is r and s side by side.
func mint(t *testing.T, key *ecdsa.PrivateKey, scope string) string {
	t.Helper()
	claims, err := json.Marshal(map[string]any{
		"iss": "https://id.example.com", "aud": "https://api.example.com", "sub": "ann", "client_id": "web", "jti": "j",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(), "scope": scope,
	})
	if err != nil {
		t.Fatal(err)
	}
	text := b64([]byte(`{"alg":"ES256","typ":"at+jwt","kid":"k"}`)) + "." + b64(claims)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + b64(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func TestEachFrameworkLetsInWhoMayIn(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	v, err := verify.New(verify.Config{Issuer: "https://id.example.com", Audience: "https://api.example.com", Keys: keys{&verify.Key{ID: "k", Algorithm: "ES256", Public: key.Public()}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]http.Handler{"chi": Chi(v), "gin": Gin(v), "echo": Echo(v)} {
		for _, tt := range []struct {
			authorization string
			status        int
			body          string
		}{
			{"Bearer " + mint(t, key, "orders:read"), 200, "ann"},
			{"Bearer " + mint(t, key, "other"), 403, ""},
			{"Bearer x", 401, ""},
			{"", 401, ""},
		} {
			r := httptest.NewRequest("GET", "https://api.example.com/orders", nil)
			r.Header.Set("Authorization", tt.authorization)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.status || tt.body != "" && w.Body.String() != tt.body {
				t.Errorf("%s: %.12s…: got %d %s, want %d %s", name, tt.authorization, w.Code, w.Body, tt.status, tt.body)
			}
			if tt.status == 401 && w.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%s: got a 401 without a challenge", name)
			}
		}
	}
}
