package bitjang_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/bitjang/bitjang"
)

// clockSkew is how far the clocks of nodes may be apart: for so long an access
// token is good beyond its expiry.
const clockSkew = 2 * time.Second

// foreign checks an access token with go-jose and the published keys alone, and
// returns its header and claims.
func foreign(t *testing.T, svc *bitjang.Service, access bitjang.Secret) (jose.Header, map[string]any) {
	t.Helper()
	raw, err := svc.JWKS()
	if err != nil {
		t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(raw, &set); err != nil {
		t.Fatal(err)
	}
	sig, err := jose.ParseSignedCompact(access.Reveal(), []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA, jose.RS256})
	if err != nil {
		t.Fatalf("go-jose cannot parse the token: %v", err)
	}
	keys := set.Key(sig.Signatures[0].Header.KeyID)
	if len(keys) != 1 || !keys[0].IsPublic() || keys[0].Use != "sig" || keys[0].Algorithm != sig.Signatures[0].Header.Algorithm {
		t.Fatalf("got %d keys of the token's kid, or not one for its algorithm", len(keys))
	}
	payload, err := sig.Verify(keys[0])
	if err != nil {
		t.Fatalf("go-jose refuses the signature: %v", err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return sig.Signatures[0].Header, claims
}

func TestAccessTokensAreThoseOfRFC9068(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"ES256", "EdDSA", "RS256"} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *bitjang.Config) {
				c.Algorithm, c.Audience, c.ClientID = algorithm, "https://api.example.com", "web"
			})
			first := r.login(t, fromLaptop)
			r.clock.turn(time.Minute)
			second := r.refresh(t, first, fromLaptop)
			for generation, tokens := range []bitjang.Tokens{first, second} {
				header, got := foreign(t, r.Service, tokens.Access)
				if header.ExtraHeaders[jose.HeaderType] != "at+jwt" || header.Algorithm != algorithm {
					t.Errorf("got typ %v and alg %s, want at+jwt and %s", header.ExtraHeaders[jose.HeaderType], header.Algorithm, algorithm)
				}
				issued := atNoon.Unix() + int64(generation)*60
				want := map[string]any{
					"iss": "https://auth.example.com", "sub": tokens.Session.UserID, "aud": "https://api.example.com",
					"iat": float64(issued), "exp": float64(issued + 600), "jti": got["jti"], "sid": tokens.Session.ID.String(),
					"client_id": "web", "roles": []any{"admin", "author"}, "auth_time": float64(atNoon.Unix()),
					"amr": []any{"pwd"}, "acr": "aal1", "gen": float64(generation),
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("generation %d (-want +got)\n%s", generation, diff)
				}
				r.authenticate(t, tokens)
			}
			_, a := foreign(t, r.Service, first.Access)
			_, b := foreign(t, r.Service, second.Access)
			if a["jti"] == b["jti"] || a["jti"] == "" {
				t.Errorf("got jti %v and %v, want two", a["jti"], b["jti"])
			}
			// The second half names the refresh token that came with it.
			nonce := partsOf(t, second.Refresh).nonce
			if id, err := bitjang.ParseSessionID(b["jti"].(string)); err != nil || bitjang.Nonce(id[8:]) != nonce {
				t.Errorf("got jti %v, want a UUID ending in the nonce %x", b["jti"], nonce)
			}
		})
	}
}

func TestAnAccessTokenNeverOutlivesItsSession(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *bitjang.Config) { c.RefreshTTL, c.SessionTTL = time.Hour, time.Hour })
	tokens := r.login(t, fromLaptop)
	r.clock.turn(55 * time.Minute)
	tokens = r.refresh(t, tokens, fromLaptop)
	end := atNoon.Add(time.Hour)
	if !tokens.AccessExpiresAt.Equal(end) || !tokens.RefreshExpiresAt.Equal(end) {
		t.Errorf("got %v and %v, want both at the session's end, %v", tokens.AccessExpiresAt, tokens.RefreshExpiresAt, end)
	}
	if _, claims := foreign(t, r.Service, tokens.Access); claims["exp"] != float64(end.Unix()) {
		t.Errorf("got exp %v, want %d", claims["exp"], end.Unix())
	}
	r.clock.turn(5 * time.Minute)
	if _, err := r.Authenticate(t.Context(), tokens.Access); !errors.Is(err, bitjang.ErrSessionExpired) {
		t.Errorf("at the end: got %v, want the session expired", err)
	}
	r.clock.turn(clockSkew)
	if _, err := r.Authenticate(t.Context(), tokens.Access); !errors.Is(err, bitjang.ErrAccessToken) {
		t.Errorf("after the end: got %v, want the token refused", err)
	}
	r.refused(t, tokens, fromLaptop, bitjang.ErrSessionExpired)
}

func TestAnAccessTokenThatIsNotOursIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	good := r.login(t, fromLaptop)
	text := good.Access.Reveal()
	other := newRig(t)
	otherTokens := other.login(t, fromLaptop)
	elsewhere := r.cfg
	elsewhere.Audience = "https://other.example.com"
	neighbour := r.node(t, elsewhere)
	if err := neighbour.LoadKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	foreignIssuer := r.cfg
	foreignIssuer.Issuer, foreignIssuer.Audience = "https://evil.example.com", "https://auth.example.com"
	evil := r.node(t, foreignIssuer)
	if err := evil.LoadKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkRefused := func(name string, svc *bitjang.Service, access bitjang.Secret) {
		t.Helper()
		before := len(r.store.calls())
		if _, err := svc.Authenticate(t.Context(), access); !errors.Is(err, bitjang.ErrAccessToken) {
			t.Errorf("%s: got %v, want the token refused", name, err)
		}
		if len(r.store.calls()) != before {
			t.Errorf("%s: the store was asked", name)
		}
	}
	checkRefused("nothing", r.Service, bitjang.Secret{})
	checkRefused("a refresh token", r.Service, good.Refresh)
	checkRefused("cut", r.Service, bitjang.NewSecret(text[:len(text)-1]))
	checkRefused("a key of another service", r.Service, otherTokens.Access)
	checkRefused("another audience", neighbour, good.Access)
	checkRefused("another issuer", evil, good.Access)
	for i := range text {
		b := []byte(text)
		b[i] ^= 4
		checkRefused("changed", r.Service, bitjang.NewSecret(string(b)))
	}
	r.clock.turn(10*time.Minute + clockSkew - time.Second)
	r.authenticate(t, good)
	r.clock.turn(time.Second)
	checkRefused("expired", r.Service, good.Access)
}

func TestNodesWhoseClocksAreApartAcceptEachOthersTokens(t *testing.T) {
	t.Parallel()
	for _, apart := range []time.Duration{-clockSkew, -time.Second, 0, time.Second, clockSkew} {
		r := newRig(t)
		tokens := r.login(t, fromLaptop)
		cfg := r.cfg
		cfg.Now = func() time.Time { return r.clock.now().Add(apart) }
		other := r.node(t, cfg)
		if err := other.LoadKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := other.Authenticate(t.Context(), tokens.Access); err != nil {
			t.Errorf("%v apart: got %v", apart, err)
		}
	}
}

func TestAKeyIsNeverMadeUnderTheWrongMasterKey(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	cfg := r.cfg
	cfg.MasterKeys = []bitjang.Secret{bitjang.NewMasterKey()}
	if _, err := r.node(t, cfg).RotateKey(t.Context(), bitjang.RotateKeyInput{Discard: true}); !errors.Is(err, bitjang.ErrWrongMasterKey) {
		t.Errorf("got %v, want ErrWrongMasterKey", err)
	}
	if keys, err := r.SigningKeys(t.Context()); err != nil || len(keys) != 1 {
		t.Errorf("got %d keys and %v, want the one that was there", len(keys), err)
	}
}

func TestKeysSealedUnderAnotherMasterKeyStopTheService(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	before, err := r.SigningKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cfg := r.cfg
	cfg.MasterKeys = []bitjang.Secret{bitjang.NewMasterKey()}
	wrong := r.node(t, cfg)
	for range 2 {
		if err := wrong.LoadKeys(t.Context()); !errors.Is(err, bitjang.ErrWrongMasterKey) {
			t.Errorf("got %v, want ErrWrongMasterKey", err)
		}
	}
	after, err := r.SigningKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the store has changed (-before +after)\n%s", diff)
	}
	if err := wrong.Ready(t.Context()); !errors.Is(err, bitjang.ErrKeysMissing) {
		t.Errorf("ready: got %v, want ErrKeysMissing", err)
	}
	r.addAda(t)
	_, err = wrong.Login(t.Context(), bitjang.LoginInput{Identifier: ada, Password: bitjang.NewSecret(rightPass), Caller: fromLaptop})
	checkCode(t, err, bitjang.Unavailable)
	_, err = wrong.Authenticate(t.Context(), r.login(t, fromLaptop).Access)
	checkCode(t, err, bitjang.Unavailable)
}

func TestAMasterKeyIsReplacedStepByStep(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	oldTokens := r.login(t, fromLaptop)
	old, fresh := r.cfg.MasterKeys[0], bitjang.NewMasterKey()
	with := func(masters ...bitjang.Secret) *bitjang.Service {
		cfg := r.cfg
		cfg.MasterKeys = masters
		svc := r.node(t, cfg)
		if err := svc.LoadKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
		return svc
	}
	sealed := func() []byte {
		keys, err := r.SigningKeys(t.Context())
		if err != nil || len(keys) != 1 {
			t.Fatalf("got %d keys and %v, want one", len(keys), err)
		}
		return keys[0].Sealed
	}
	underOld := sealed()
	with(old, fresh)
	if !slices.Equal(underOld, sealed()) {
		t.Error("the key was sealed again though its master key is the first")
	}
	both := with(fresh, old)
	if slices.Equal(underOld, sealed()) {
		t.Error("the key was not sealed again under the newer master key")
	}
	underFresh := sealed()
	with(fresh, old)
	if !slices.Equal(underFresh, sealed()) {
		t.Error("the key was sealed again for nothing")
	}
	if _, err := both.Authenticate(t.Context(), oldTokens.Access); err != nil {
		t.Errorf("an access token from before: got %v", err)
	}
	newer, err := both.Refresh(t.Context(), bitjang.RefreshInput{Token: oldTokens.Refresh, Caller: fromLaptop})
	if err != nil {
		t.Errorf("a refresh token of the old key, both in the ring: got %v", err)
	}
	alone := with(fresh)
	if _, err := alone.Refresh(t.Context(), bitjang.RefreshInput{Token: oldTokens.Refresh, Caller: fromLaptop}); !errors.Is(err, bitjang.ErrTokenMalformed) {
		t.Errorf("a refresh token of the old key, gone from the ring: got %v, want malformed", err)
	}
	if _, err := alone.Refresh(t.Context(), bitjang.RefreshInput{Token: newer.Refresh, Caller: fromLaptop}); err != nil {
		t.Errorf("a refresh token of the new key: got %v", err)
	}
	if _, err := alone.Authenticate(t.Context(), newer.Access); err != nil {
		t.Errorf("an access token from between: got %v", err)
	}
}

func TestRotatingTheSigningKeyByCommand(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name          string
		in            bitjang.RotateKeyInput
		oldGood       bool   // do old access tokens verify?
		signs         bool   // does the new key sign at once?
		state         string // of the new key
		keysPublished int
	}{
		{"it is published first", bitjang.RotateKeyInput{}, true, false, "published", 2},
		{"at once it signs at once", bitjang.RotateKeyInput{Now: true}, true, true, "active", 2},
		{"discarding refuses old tokens", bitjang.RotateKeyInput{Discard: true}, false, true, "active", 1},
		{"both is discarding", bitjang.RotateKeyInput{Now: true, Discard: true}, false, true, "active", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			neighbour := r.node(t, r.cfg)
			if err := neighbour.LoadKeys(t.Context()); err != nil {
				t.Fatal(err)
			}
			before := r.login(t, fromLaptop)
			r.authenticate(t, before) // and into the verifier's cache
			r.clock.turn(time.Second)
			k, err := r.RotateKey(t.Context(), tt.in)
			if err != nil {
				t.Fatal(err)
			}
			kid := func(tokens bitjang.Tokens) string {
				header, _ := foreign(t, r.Service, tokens.Access)
				return header.KeyID
			}
			if _, err := r.Authenticate(t.Context(), before.Access); (err == nil) != tt.oldGood {
				t.Errorf("an old access token: got %v", err)
			}
			after := r.refresh(t, before, fromLaptop) // nobody is logged out
			if got := kid(after) == k.ID; got != tt.signs {
				t.Errorf("signed by the new key: got %v, want %v", got, tt.signs)
			}
			keys, err := r.SigningKeys(t.Context())
			if err != nil || len(keys) != tt.keysPublished || keys[0].ID != k.ID || k.KeyState(keys, r.clock.now()) != tt.state {
				t.Errorf("got %d keys, %s and %v, want %d, the new one first and %s", len(keys), k.KeyState(keys, r.clock.now()), err, tt.keysPublished, tt.state)
			}
			r.clock.turn(10 * time.Second)
			after = r.refresh(t, after, fromLaptop)
			if kid(after) != k.ID {
				t.Error("ten seconds later the new key does not sign")
			}
			if err := neighbour.LoadKeys(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := neighbour.Authenticate(t.Context(), after.Access); err != nil {
				t.Errorf("another node, once it has looked: got %v", err)
			}
			if _, err := neighbour.Authenticate(t.Context(), before.Access); (err == nil) != tt.oldGood {
				t.Errorf("an old access token on another node: got %v", err)
			}
			if again := r.login(t, fromPhone); kid(again) != k.ID {
				t.Error("a login is signed by an old key")
			}
		})
	}
}

func TestTwoNodesMakingTheFirstKeyAtOnceAgree(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *bitjang.Config) { c.Store = &lateKeys{Store: c.Store, empty: 2} }) // both look before either writes
	second := r.node(t, r.cfg)
	if err := second.LoadKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, svc := range []*bitjang.Service{r.Service, second} {
		if err := svc.LoadKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	a, errA := r.JWKS()
	b, errB := second.JWKS()
	var set jose.JSONWebKeySet
	if errA != nil || errB != nil || string(a) != string(b) || json.Unmarshal(a, &set) != nil || len(set.Keys) != 2 {
		t.Errorf("got %s and %s, want the same two keys", a, b)
	}
	tokens := r.login(t, fromLaptop)
	if _, err := second.Authenticate(t.Context(), tokens.Access); err != nil {
		t.Errorf("got %v, want each node's tokens to be good on the other", err)
	}
	header, _ := foreign(t, second, tokens.Access)
	login, err := second.Login(t.Context(), bitjang.LoginInput{Identifier: ada, Password: bitjang.NewSecret(rightPass), Caller: fromPhone})
	if err != nil {
		t.Fatal(err)
	}
	if other, _ := foreign(t, r.Service, login.Access); other.KeyID != header.KeyID {
		t.Error("the nodes sign with different keys")
	}
}

// lateKeys is a store whose first looks at the keys find none.
type lateKeys struct {
	bitjang.Store
	empty int
}

func (l *lateKeys) Keys(ctx context.Context) ([]bitjang.SigningKey, error) {
	if l.empty--; l.empty >= 0 {
		return nil, nil
	}
	return l.Store.Keys(ctx)
}

func TestGoingBackToAnAlgorithmNeverLeavesTheServiceWithoutAKey(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	cfg := r.cfg
	cfg.Algorithm = "EdDSA"
	r.clock.turn(24 * time.Hour)
	if err := r.node(t, cfg).LoadKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.clock.turn(time.Minute)
	back := r.node(t, r.cfg)
	for range 100 { // a few hours
		if err := back.LoadKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := back.Ready(t.Context()); err != nil {
			t.Fatalf("%v after noon: got %v, want a key to sign with", r.clock.now().Sub(atNoon), err)
		}
		r.clock.turn(3 * time.Minute)
	}
}

func TestSeveralAlgorithmsArePublishedAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	old := r.login(t, fromLaptop)
	cfg := r.cfg
	cfg.Algorithm = "EdDSA"
	r.clock.turn(time.Minute)
	svc := r.node(t, cfg)
	if diff := cmp.Diff([]string{"EdDSA"}, svc.Algorithms()); diff != "" {
		t.Errorf("before LoadKeys (-want +got)\n%s", diff)
	}
	if err := svc.LoadKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"ES256", "EdDSA"}, svc.Algorithms()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, err := svc.Authenticate(t.Context(), old.Access); err != nil {
		t.Errorf("a token of the algorithm before: got %v", err)
	}
	fresh, err := svc.Refresh(t.Context(), bitjang.RefreshInput{Token: old.Refresh, Caller: fromLaptop})
	if err != nil {
		t.Fatal(err)
	}
	if header, _ := foreign(t, svc, fresh.Access); header.Algorithm != "EdDSA" {
		t.Errorf("got %s, want EdDSA", header.Algorithm)
	}
	foreign(t, svc, old.Access)
}

func TestTheStoreHoldsNoSigningKeyInTheClear(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	keys, err := r.SigningKeys(t.Context())
	if err != nil || len(keys) != 1 {
		t.Fatalf("got %d keys, %v", len(keys), err)
	}
	// PKCS #8 of a P-256 key names the curve by this object identifier.
	if slices.ContainsFunc(windows(keys[0].Sealed, 8), func(w string) bool { return w == "\x2a\x86\x48\xce\x3d\x03\x01\x07" }) {
		t.Error("the key is in the clear")
	}
}

func windows(b []byte, n int) (all []string) {
	for i := 0; i+n <= len(b); i++ {
		all = append(all, string(b[i:i+n]))
	}
	return all
}
