package bitjang_test

import (
	"crypto"
	"crypto/rand"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/dpop"
	"github.com/bitjang/bitjang/internal/jws"
)

// holder is a client with a key of its own.
type holder struct {
	t   *testing.T
	r   *rig
	key crypto.Signer
	jkt string
}

func (r *rig) holder(t *testing.T) *holder {
	t.Helper()
	key, err := jws.Generate(jws.ES256)
	if err != nil {
		t.Fatal(err)
	}
	jkt, err := jws.Thumbprint(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return &holder{t, r, key, jkt}
}

const tokenURL = "https://auth.example.com/v1/refresh"

// proves is from with a proof by the holder's key; access is the token it is for.
func (h *holder) proves(from bitjang.Caller, access bitjang.Secret, changes ...func(map[string]any)) bitjang.Caller {
	h.t.Helper()
	claims := map[string]any{"jti": rand.Text(), "htm": "POST", "htu": tokenURL, "iat": h.r.Now().Unix(), "nonce": h.r.DPoPNonce()}
	from.Proof = bitjang.Proof{Method: "POST", URL: tokenURL}
	if !access.IsZero() {
		claims["ath"] = dpop.AccessHash(access.Reveal())
		from.Proof.Scheme = bitjang.TokenDPoP
	}
	for _, change := range changes {
		change(claims)
	}
	raw, err := json.Marshal(claims)
	if err != nil {
		h.t.Fatal(err)
	}
	jwk, err := jws.MarshalPublic(h.key.Public())
	if err != nil {
		h.t.Fatal(err)
	}
	from.Proof.JWT, err = jws.Sign(jws.Header{Alg: jws.ES256, Typ: "dpop+jwt", JWK: string(jwk)}, raw, h.key)
	if err != nil {
		h.t.Fatal(err)
	}
	return from
}

func set(name string, v any) func(map[string]any) { return func(m map[string]any) { m[name] = v } }

func TestALoginWithAProofBindsTheSession(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.addAda(t)
	h, other := r.holder(t), r.holder(t)
	tokens := r.login(t, h.proves(fromLaptop, bitjang.Secret{}))
	if s := r.session(t, tokens); s.KeyThumbprint != h.jkt || tokens.Type != "DPoP" {
		t.Fatalf("got bound to %q with a %s token, want %q", s.KeyThumbprint, tokens.Type, h.jkt)
	}
	if got := bitjang.ClaimsOf(tokens).Confirmation.KeyThumbprint; got != h.jkt {
		t.Errorf("got cnf.jkt %q, want %q", got, h.jkt)
	}
	before := r.session(t, tokens)
	for _, tt := range []struct {
		name string
		from bitjang.Caller
		want error
	}{
		{"no proof", fromLaptop, bitjang.ErrDPoPRequired},
		{"a proof by another key", other.proves(fromLaptop, bitjang.Secret{}), bitjang.ErrDPoPProof},
		{"no nonce", h.proves(fromLaptop, bitjang.Secret{}, func(m map[string]any) { delete(m, "nonce") }), bitjang.ErrDPoPNonce},
		{"a nonce of our own", h.proves(fromLaptop, bitjang.Secret{}, set("nonce", "AAAAAAAAAAAAAAAAAAAAAA")), bitjang.ErrDPoPNonce},
		{"another method", h.proves(fromLaptop, bitjang.Secret{}, set("htm", "GET")), bitjang.ErrDPoPProof},
		{"another server", h.proves(fromLaptop, bitjang.Secret{}, set("htu", "https://evil.example/v1/refresh")), bitjang.ErrDPoPProof},
		{"a clock that is hours off", h.proves(fromLaptop, bitjang.Secret{}, set("iat", r.Now().Add(-time.Hour).Unix())), bitjang.ErrDPoPProof},
	} {
		for range 2 {
			_, err := r.Refresh(t.Context(), bitjang.RefreshInput{Token: tokens.Refresh, Caller: tt.from})
			if !errors.Is(err, tt.want) || bitjang.AsError(err).Code != bitjang.Invalid {
				t.Errorf("%s: got %v, want %v as a bad request", tt.name, err, tt.want)
			}
		}
	}
	if after := r.session(t, tokens); after.Version != before.Version {
		t.Error("a refused refresh has changed the session")
	}
	// A clock that is minutes off does not matter: the nonce tells the time.
	next := r.refresh(t, tokens, h.proves(fromLaptop, bitjang.Secret{}, set("iat", r.Now().Add(-10*time.Minute).Unix())))
	for range 3 {
		next = r.refresh(t, next, h.proves(fromLaptop, bitjang.Secret{}))
		if next.Type != "DPoP" || r.session(t, next).KeyThumbprint != h.jkt {
			t.Fatalf("got a %s token, want it bound all along", next.Type)
		}
	}
	// Not even a child that would be confirmed in one step passes without a proof.
	r.refused(t, next, fromLaptop, bitjang.ErrDPoPRequired)
	r.refused(t, next, other.proves(fromLaptop, bitjang.Secret{}), bitjang.ErrDPoPProof)
	r.refresh(t, next, h.proves(fromLaptop, bitjang.Secret{}))
}

func TestAProofIsTakenOnceHere(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.addAda(t)
	h := r.holder(t)
	once := h.proves(fromLaptop, bitjang.Secret{})
	tokens := r.login(t, once)
	r.refused(t, tokens, once, bitjang.ErrDPoPProof)
	old := h.proves(fromLaptop, bitjang.Secret{})
	r.clock.turn(5 * time.Minute)
	tokens = r.refresh(t, tokens, old) // the nonce is good for five minutes
	old = h.proves(fromLaptop, bitjang.Secret{})
	r.clock.turn(7 * time.Minute)
	r.refused(t, tokens, old, bitjang.ErrDPoPNonce)
}

func TestEveryNodeTakesTheNonce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.addAda(t)
	cfg := r.cfg
	cfg.MasterKeys = append([]bitjang.Secret{bitjang.NewMasterKey()}, cfg.MasterKeys...)
	newer := r.node(t, cfg)
	if newer.DPoPNonce() == r.DPoPNonce() {
		t.Error("two keys give one nonce")
	}
	h := r.holder(t)
	tokens := r.login(t, h.proves(fromLaptop, bitjang.Secret{}))
	checkErr(t, newer.LoadKeys(t.Context()), nil)
	_, err := newer.Refresh(t.Context(), bitjang.RefreshInput{Token: tokens.Refresh, Caller: h.proves(fromLaptop, bitjang.Secret{})})
	checkErr(t, err, nil)
}

func TestABoundAccessTokenIsNoBearerToken(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.addAda(t)
	h, other := r.holder(t), r.holder(t)
	bound := r.login(t, h.proves(fromLaptop, bitjang.Secret{}))
	plain := r.login(t, fromPhone)
	asBearer := h.proves(fromLaptop, bound.Access)
	asBearer.Proof.Scheme = "Bearer"
	asCookie := h.proves(fromLaptop, bound.Access)
	asCookie.Proof.Scheme = ""
	for _, tt := range []struct {
		name   string
		access bitjang.Secret
		from   bitjang.Caller
		want   error
	}{
		{"with a proof", bound.Access, h.proves(fromLaptop, bound.Access), nil},
		{"with a proof, in a cookie", bound.Access, asCookie, nil},
		{"without a proof", bound.Access, fromLaptop, bitjang.ErrDPoPRequired},
		{"as a bearer token with a proof (7.2)", bound.Access, asBearer, bitjang.ErrDPoPRequired},
		{"with a proof by another key", bound.Access, other.proves(fromLaptop, bound.Access), bitjang.ErrDPoPProof},
		{"with a proof for another token", bound.Access, h.proves(fromLaptop, plain.Access), bitjang.ErrDPoPProof},
		{"with a proof for none", bound.Access, h.proves(fromLaptop, bound.Access, func(m map[string]any) { delete(m, "ath") }), bitjang.ErrDPoPProof},
		{"with a proof without a nonce (9)", bound.Access, h.proves(fromLaptop, bound.Access, func(m map[string]any) { delete(m, "nonce") }), bitjang.ErrDPoPNonce},
		{"a bearer token with the DPoP scheme", plain.Access, h.proves(fromPhone, plain.Access), bitjang.ErrAccessToken},
		{"a bearer token", plain.Access, fromPhone, nil},
	} {
		_, err := r.AuthenticateFrom(t.Context(), tt.access, tt.from)
		if !errors.Is(err, tt.want) || err != nil && bitjang.AsError(err).Code != bitjang.Unauthenticated {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	_, err := r.Authenticate(t.Context(), bound.Access)
	checkErr(t, err, bitjang.ErrDPoPRequired)
}

func TestAnUnboundSessionStaysUnbound(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.addAda(t)
	h := r.holder(t)
	first := r.login(t, fromLaptop)
	second := r.refresh(t, first, h.proves(fromLaptop, bitjang.Secret{}))
	if s := r.session(t, second); s.KeyThumbprint != "" || second.Type != "DPoP" || bitjang.ClaimsOf(second).Confirmation.KeyThumbprint != h.jkt {
		t.Errorf("got a session bound to %q and a %s token, want the token bound alone", s.KeyThumbprint, second.Type)
	}
	if third := r.refresh(t, second, fromLaptop); third.Type != "Bearer" || bitjang.ClaimsOf(third).Confirmation.KeyThumbprint != "" {
		t.Errorf("got a %s token without a proof", third.Type)
	}
}

// TestTheKeyIsTheDevice: whoever shows the session's key is the same device,
// whatever it calls itself, and may have lost what it had already used.
func TestTheKeyIsTheDevice(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *bitjang.Config) { c.Risk = bitjang.RiskOff }) // which has its own opinion of another device id
	r.addAda(t)
	h := r.holder(t)
	first := r.login(t, h.proves(fromLaptop, bitjang.Secret{}))
	second := r.refresh(t, first, h.proves(fromLaptop, bitjang.Secret{}))
	r.refresh(t, first, h.proves(fromThief, bitjang.Secret{})) // a retry from what would be another device
	_, err := r.AuthenticateFrom(t.Context(), second.Access, h.proves(fromLaptop, second.Access))
	checkErr(t, err, nil)
	if r.session(t, first).ChildSeenAt.IsZero() {
		t.Fatal("the child was not seen")
	}
	r.clock.turn(time.Hour)
	again := r.refresh(t, first, h.proves(fromPhone, bitjang.Secret{})) // its storage has lost the child
	r.refresh(t, again, h.proves(fromLaptop, bitjang.Secret{}))
	// The child that was lost is in nobody's hands who should have it: a copy of
	// key and tokens is caught as any other.
	r.refused(t, second, h.proves(fromLaptop, bitjang.Secret{}), bitjang.ErrTokenReused)
}

// TestAThiefWithoutTheKeyDoesNothing: neither tokens nor the end of the session.
func TestAThiefWithoutTheKeyDoesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.addAda(t)
	h, thief := r.holder(t), r.holder(t)
	first := r.login(t, h.proves(fromLaptop, bitjang.Secret{}))
	second := r.refresh(t, first, h.proves(fromLaptop, bitjang.Secret{}))
	third := r.refresh(t, second, h.proves(fromLaptop, bitjang.Secret{}))
	r.clock.turn(time.Hour)
	for _, stolen := range []bitjang.Tokens{first, second, third} {
		r.refused(t, stolen, fromThief, bitjang.ErrDPoPRequired)
		r.refused(t, stolen, thief.proves(fromThief, bitjang.Secret{}), bitjang.ErrDPoPProof)
	}
	r.refresh(t, third, h.proves(fromLaptop, bitjang.Secret{}))
	if got := r.Stats().Refreshes["unproven"]; got != 6 {
		t.Errorf("got %d refreshes counted as unproven, want 6", got)
	}
}

func TestAChangeOfPasswordKeepsTheKey(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.addAda(t)
	h := r.holder(t)
	tokens := r.login(t, h.proves(fromLaptop, bitjang.Secret{}))
	id, err := r.AuthenticateFrom(t.Context(), tokens.Access, h.proves(fromLaptop, tokens.Access))
	checkErr(t, err, nil)
	after, err := r.ChangePassword(t.Context(), bitjang.ChangePasswordInput{
		Identity: id, Refresh: tokens.Refresh, Current: bitjang.NewSecret(rightPass), New: bitjang.NewSecret("another right password"), Caller: fromLaptop,
	})
	checkErr(t, err, nil)
	if after.Type != "DPoP" || r.session(t, after).KeyThumbprint != h.jkt {
		t.Errorf("got a %s token", after.Type)
	}
	r.refused(t, after, fromLaptop, bitjang.ErrDPoPRequired)
	r.refresh(t, after, h.proves(fromLaptop, bitjang.Secret{}))
}

func TestAWrongProofSparesThePasswordPool(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.addAda(t)
	from := fromLaptop
	from.Proof = bitjang.Proof{JWT: "x", Method: "POST", URL: tokenURL}
	r.store.watch(nil, nil)
	_, err := r.Login(t.Context(), bitjang.LoginInput{Identifier: ada, Password: bitjang.NewSecret(rightPass), Caller: from})
	checkErr(t, err, bitjang.ErrDPoPProof)
	if calls := r.store.calls(); len(calls) != 0 {
		t.Errorf("got %v, want nothing looked up", calls)
	}
}
