package server_test

import (
	"crypto"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bitjang/bitjang/internal/dpop"
	"github.com/bitjang/bitjang/internal/jws"
)

const issuer = "https://id.example.com"

// keyHolder is a client with a key.
type keyHolder struct {
	r   *rig
	key crypto.Signer
}

func (r *rig) keyHolder() *keyHolder {
	r.t.Helper()
	key, err := jws.Generate(jws.ES256)
	if err != nil {
		r.t.Fatal(err)
	}
	return &keyHolder{r, key}
}

// thumbprint names the key (RFC 7638).
func (h *keyHolder) thumbprint() string {
	h.r.t.Helper()
	text, err := jws.Thumbprint(h.key.Public())
	if err != nil {
		h.r.t.Fatal(err)
	}
	return text
}

// proves adds a proof for the request, for access if that is not empty. nonce ""
// leaves it out.
func (h *keyHolder) proves(access, nonce string) mod {
	return func(req *http.Request) {
		claims := map[string]any{"jti": rand.Text(), "htm": req.Method, "htu": issuer + req.URL.EscapedPath(), "iat": h.r.clock.Now().Unix()}
		if access != "" {
			claims["ath"] = dpop.AccessHash(access)
		}
		if nonce != "" {
			claims["nonce"] = nonce
		}
		raw, err := json.Marshal(claims)
		if err != nil {
			h.r.t.Fatal(err)
		}
		jwk, err := jws.MarshalPublic(h.key.Public())
		if err != nil {
			h.r.t.Fatal(err)
		}
		proof, err := jws.Sign(jws.Header{Alg: jws.ES256, Typ: "dpop+jwt", JWK: string(jwk)}, raw, h.key)
		if err != nil {
			h.r.t.Fatal(err)
		}
		req.Header.Add("DPoP", proof)
	}
}

func withDPoP(access string) mod { return header("Authorization", "DPoP "+access) }

// TestALifeWithDPoP is RFC 9449 sections 5, 7.1, 8 and 9 through the front door.
func TestALifeWithDPoP(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	h, thief := r.keyHolder(), r.keyHolder()
	in := object{"identifier": alice, "password": password}
	a := r.do("POST", "/v1/login", in, h.proves("", "")).want(400, "use_dpop_nonce")
	nonce := a.Header.Get("DPoP-Nonce")
	if nonce == "" {
		t.Fatal("got no nonce to use")
	}
	a = r.do("POST", "/v1/login", in, h.proves("", nonce)).want(200).wantHeader("DPoP-Nonce", nonce)
	if a.text("token_type") != "DPoP" {
		t.Fatalf("got a %s token, want DPoP", a.text("token_type"))
	}
	tk := a.tokens()
	r.do("POST", "/v1/login", in, h.proves("", nonce), h.proves("", nonce)).want(400, "invalid_dpop_proof") // two headers
	r.refresh(tk.refresh).want(400, "dpop_proof_required")
	r.refresh(tk.refresh, thief.proves("", nonce)).want(400, "invalid_dpop_proof")
	r.refresh(tk.refresh, h.proves("", "")).want(400, "use_dpop_nonce")
	tk = r.refresh(tk.refresh, h.proves("", nonce)).tokens()
	r.do("GET", "/v1/me", nil, withDPoP(tk.access), h.proves(tk.access, nonce)).want(200)
	// A link for a login is bound as well.
	r.do("POST", "/v1/login/link/use", object{"token": "bjl_x"}, header("Device-Id", "d"), h.proves("", "")).want(400, "use_dpop_nonce")
	r.do("POST", "/v1/login/link/use", object{"token": "bjl_x"}, header("Device-Id", "d"), header("DPoP", "x")).want(400, "invalid_dpop_proof")
	// Whoever has the refresh token may end its session, as with any other.
	r.do("POST", "/v1/logout", object{"refresh_token": tk.refresh}).want(204)
}

// TestASecondStepKeepsTheKey: a challenge is no way around the session's key.
func TestASecondStepKeepsTheKey(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	h, thief := r.keyHolder(), r.keyHolder()
	nonce := r.svc.DPoPNonce()
	tk := r.do("POST", "/v1/login", object{"identifier": alice, "password": password}, h.proves("", nonce)).tokens()
	r.clock.advance(time.Second)
	asked := r.do("POST", "/v1/step-up", object{"max_age": 0}, withDPoP(tk.access), h.proves(tk.access, nonce)).want(200)
	proof := object{"challenge": asked.text("challenge"), "factor": "password", "code": password, "refresh_token": tk.refresh}
	r.do("POST", "/v1/login/verify", proof).want(400, "dpop_proof_required")
	r.do("POST", "/v1/login/verify", proof, thief.proves("", nonce)).want(400, "invalid_dpop_proof")
	r.do("POST", "/v1/login/verify", proof, h.proves("", "")).want(400, "use_dpop_nonce")
	a := r.do("POST", "/v1/login/verify", proof, h.proves("", nonce)).want(200)
	if a.text("token_type") != "DPoP" {
		t.Errorf("got a %s token", a.text("token_type"))
	}
	r.refresh(a.tokens().refresh).want(400, "dpop_proof_required")
}

// TestEveryEndpointWantsProofsOfBoundTokens goes through the document: wherever
// an access token opens the door, a bound one needs its key.
func TestEveryEndpointWantsProofsOfBoundTokens(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	h, thief := r.keyHolder(), r.keyHolder()
	nonce := r.svc.DPoPNonce()
	tk := r.do("POST", "/v1/login", object{"identifier": alice, "password": password}, h.proves("", nonce)).tokens()
	n := 0
	for path, item := range document().at("paths") {
		for method := range item.(object) {
			if !strings.Contains(string(mustJSON(t, document().at("paths", path, method)["security"])), `"dpop"`) {
				continue
			}
			n++
			target := strings.ReplaceAll(path, "{id}", tk.session)
			call := func(mods ...mod) *answer {
				r.t = t
				return r.do(strings.ToUpper(method), target, object{}, mods...)
			}
			const proof = `, algs="ES256 EdDSA RS256"`
			call(bearer(tk.access)).want(401, "dpop_proof_required").wantHeader("WWW-Authenticate", `DPoP realm="bitjang", error="invalid_token"`+proof)
			call(bearer(tk.access), h.proves(tk.access, nonce)).want(401, "dpop_proof_required")
			call(withDPoP(tk.access)).want(401, "dpop_proof_required")
			call(withDPoP(tk.access), thief.proves(tk.access, nonce)).want(401, "invalid_dpop_proof").wantHeader("WWW-Authenticate", `DPoP realm="bitjang", error="invalid_dpop_proof"`+proof)
			call(withDPoP(tk.access), h.proves("", nonce)).want(401, "invalid_dpop_proof")
			call(withDPoP(tk.access), h.proves(tk.access, "")).want(401, "use_dpop_nonce").wantHeader("DPoP-Nonce", nonce).wantHeader("WWW-Authenticate", `DPoP realm="bitjang", error="use_dpop_nonce"`+proof)
		}
	}
	if n < 10 {
		t.Errorf("got %d endpoints, want all that take access tokens", n)
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestScriptsSeeNonces(t *testing.T) {
	t.Parallel()
	r := newUserRig(t, func(s *setup) { s.CORSOrigins = []string{"https://app.example.com"} })
	a := r.do("POST", "/v1/login", object{}, header("Origin", "https://app.example.com"))
	if got := a.Header.Get("Access-Control-Expose-Headers"); !strings.Contains(got, "Dpop-Nonce") && !strings.Contains(got, "DPoP-Nonce") || !strings.Contains(got, "WWW-Authenticate") && !strings.Contains(got, "Www-Authenticate") {
		t.Errorf("got %q exposed", got)
	}
	a = r.do("OPTIONS", "/v1/login", nil, header("Origin", "https://app.example.com"), header("Access-Control-Request-Method", "POST"), header("Access-Control-Request-Headers", "dpop"))
	if got := a.Header.Get("Access-Control-Allow-Headers"); !strings.EqualFold(got, "dpop") {
		t.Errorf("got %q allowed", got)
	}
}
