package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/bitjang/bitjang"
)

// OAuth 2.1 section 4.1.3: what a code is exchanged for.
func TestOAuth21_4_1_3_ACodeGivesTokens(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t)
	g := r.authorize(r.public, "openid email notes", func(in *bitjang.AuthorizeInput) { in.Nonce = "n-1" })
	a := r.exchange(g).wantHeader("Pragma", "no-cache")
	tk := a.oauth()
	if tk.Type != "Bearer" || tk.Expires != 600 || tk.Scope != "openid email notes" || !strings.HasPrefix(tk.Refresh, "bjr_") || len(a.cookies()) > 0 {
		t.Errorf("got %+v", tk)
	}
	access, id := jwtPart(t, tk.Access, 1), jwtPart(t, tk.ID, 1)
	if access["client_id"] != r.public.ID || access["sub"] != r.user.ID || access["scope"] != "openid email notes" || access["aud"] != "https://id.example.com" || jwtPart(t, tk.Access, 0)["typ"] != "at+jwt" {
		t.Errorf("got access token %v", access)
	}
	// OpenID Connect Core section 2; RFC 9068 section 5: neither passes for the other.
	head := jwtPart(t, tk.ID, 0)
	if id["aud"] != r.public.ID || id["nonce"] != "n-1" || id["sub"] != r.user.ID || id["sid"] != access["sid"] || id["iss"] != "https://id.example.com" || id["auth_time"] == nil || id["email"] != nil || head["alg"] != "RS256" || head["typ"] != "JWT" {
		t.Errorf("got ID token %v %v", head, id)
	}
	r.do("GET", "/oauth2/userinfo", nil, bearer(tk.ID)).want(401, "access_token_invalid")
	r.do("GET", "/v1/me", nil, bearer(tk.Access)).want(401, "access_token_invalid") // it is for what the client asked for, not for the account
	r.refresh(tk.Refresh).want(401, "refresh_token_malformed")                      // nor at our own refresh
}

// OAuth 2.1 section 3.2: the shape of a request.
func TestOAuth21_3_2_TheShapeOfATokenRequest(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t)
	tk := r.grants(r.public, "openid")
	v := r.as(r.public, values("grant_type", "refresh_token", "refresh_token", tk.Refresh))
	r.raw("/oauth2/token", v.Encode()+"&refresh_token="+url.QueryEscape(tk.Refresh)).wantError(400, "invalid_request")
	r.raw("/oauth2/token", v.Encode()+"&x=1&x=2").wantError(400, "invalid_request")
	r.do("POST", "/oauth2/token?"+v.Encode(), "", func(q *http.Request) { q.Header.Set("Content-Type", "application/x-www-form-urlencoded") }).wantError(400, "invalid_request")
	r.do("POST", "/oauth2/token", object{"grant_type": "refresh_token"}).wantError(400, "invalid_request")
	r.raw("/oauth2/token", "%zz").wantError(400, "invalid_request")
	r.raw("/oauth2/token", strings.Repeat("a", 70<<10)).wantError(413, "invalid_request")
	r.form("/oauth2/token", r.as(r.public, values("refresh_token", tk.Refresh))).wantError(400, "invalid_request")
	r.form("/oauth2/token", r.as(r.public, values("grant_type", "password"))).wantError(400, "unsupported_grant_type")
	r.form("/oauth2/token", r.as(r.public, values("grant_type", "client_credentials"))).wantError(400, "unauthorized_client")
	r.form("/oauth2/token", r.as(r.public, values("grant_type", "authorization_code"))).wantError(400, "invalid_request")
	r.form("/oauth2/token", r.as(r.public, values("grant_type", "refresh_token"))).wantError(400, "invalid_request")
	r.do("GET", "/oauth2/token", nil).want(405)
	v.Set("code", "") // empty is absent
	v.Set("unknown", "x")
	r.form("/oauth2/token", v).oauth()
}

// OAuth 2.1 section 2.4.1 and 3.2.4: who a client is.
func TestOAuth21_2_4_1_HowClientsAuthenticate(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t)
	v := func() url.Values { return values("grant_type", "client_credentials") }
	id, secret := r.machine.ID, r.secrets[r.machine.ID]
	r.form("/oauth2/token", r.as(r.machine, v())).oauth()
	r.form("/oauth2/token", v(), basic(id, secret)).oauth()
	both := v()
	both.Set("client_id", id)
	r.form("/oauth2/token", both, basic(id, secret)).oauth() // it only says it again
	both.Set("client_id", r.third.ID)
	r.form("/oauth2/token", both, basic(id, secret)).wantError(400, "invalid_request")
	r.form("/oauth2/token", r.as(r.machine, v()), basic(id, secret)).wantError(400, "invalid_request")
	r.form("/oauth2/token", v(), basic(id, "bjs_wrong")).wantError(401, "invalid_client").wantHeader("WWW-Authenticate", `Basic realm="bitjang"`)
	r.form("/oauth2/token", v(), header("Authorization", "Basic %%%")).wantError(401, "invalid_client")
	r.form("/oauth2/token", v(), bearer("x")).wantError(401, "invalid_client")
	for _, wrong := range []url.Values{values("client_id", id), values("client_id", id, "client_secret", "bjs_wrong"), values("client_id", "nobody", "client_secret", secret), values("client_id", ""), values("client_id", r.public.ID, "client_secret", "x")} {
		wrong.Set("grant_type", "client_credentials")
		r.form("/oauth2/token", wrong).wantError(401, "invalid_client")
	}
	r.form("/oauth2/token", values("grant_type", "client_credentials", "client_id", id, "client_assertion", "a.b.c")).wantError(400, "invalid_request")
	r.form("/oauth2/token", values("grant_type", "client_credentials", "client_id", id, "client_assertion", "a.b.c", "client_assertion_type", "urn:x")).wantError(400, "invalid_request")
	odd := r.as(r.machine, v())
	odd.Set("client_assertion", "a.b.c")
	odd.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	r.form("/oauth2/token", odd).wantError(400, "invalid_request")
}

// OAuth 2.1 section 2.4.1: guessing at secrets is limited, and no stranger locks a
// client out by it.
func TestOAuth21_2_4_1_WrongCredentialsAreLimited(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t)
	v := values("grant_type", "client_credentials")
	wrong := basic(r.machine.ID, "bjs_wrong")
	for range 30 {
		r.form("/oauth2/token", v, wrong).wantError(401, "invalid_client")
	}
	a := r.form("/oauth2/token", v, basic(r.machine.ID, r.secrets[r.machine.ID])).wantError(429, "temporarily_unavailable", "too_many_attempts").wantHeader("Retry-After", "10")
	if !strings.HasPrefix(a.Header.Get("RateLimit"), `"client"`) {
		t.Errorf("got RateLimit %q", a.Header.Get("RateLimit"))
	}
	for _, path := range []string{"/oauth2/introspect", "/oauth2/revoke"} {
		r.form(path, values("token", "x"), wrong).wantError(429, "temporarily_unavailable", "too_many_attempts")
	}
	r.form("/oauth2/token", v, basic(r.machine.ID, r.secrets[r.machine.ID]), peer("203.0.113.9:1")).oauth()
	r.clock.advance(10 * time.Second)
	r.form("/oauth2/token", v, basic(r.machine.ID, r.secrets[r.machine.ID])).oauth()
}

// RFC 7523 section 3: a client that signs what it says.
func TestRFC7523_3_PrivateKeyJWT(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set, _ := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "ES256"}}})
	c := r.add(bitjang.Client{Name: "Signs", Auth: bitjang.ClientByKey, Keys: set, GrantTypes: []string{bitjang.GrantClientCredentials}, Scopes: []string{"a"}})
	assert := func(change func(object)) *answer {
		claims := object{"iss": c.ID, "sub": c.ID, "aud": "https://id.example.com", "jti": rand.Text(), "exp": r.clock.Now().Add(time.Minute).Unix()}
		change(claims)
		signer, _ := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
		raw, _ := json.Marshal(claims)
		signed, _ := signer.Sign(raw)
		text, _ := signed.CompactSerialize()
		return r.form("/oauth2/token", values("grant_type", "client_credentials", "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", text))
	}
	assert(func(object) {}).oauth()
	assert(func(c object) { c["jti"] = "once" }).oauth()
	assert(func(c object) { c["jti"] = "once" }).wantError(401, "invalid_client")
	for name, wrong := range map[string]any{"aud": []string{"https://id.example.com", "https://evil.example"}, "iss": "x", "exp": r.clock.Now().Unix() - 60, "jti": ""} {
		assert(func(c object) { c[name] = wrong }).wantError(401, "invalid_client")
	}
	assert(func(c object) { c["aud"] = "https://id.example.com/oauth2/token" }).wantError(401, "invalid_client") // the issuer alone
}

// OAuth 2.1 sections 4.1.3 and 7.5.2: a code is used once, and a second valid use
// ends what it gave.
func TestOAuth21_4_1_3_ACodeThatComesTwiceEndsWhatItGave(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t)
	g := r.authorize(r.third, "openid offline_access")
	tk := r.exchange(g).oauth()
	// In other hands, or without the verifier, it is unknown: nobody can end a stranger's session.
	stolen := g
	stolen.verifier, _ = newVerifier()
	r.exchange(stolen).wantError(400, "invalid_grant")
	stolen = g
	stolen.client = r.public
	r.exchange(stolen).wantError(400, "invalid_grant")
	stolen = g
	stolen.redirect = "https://app.example.com/other"
	r.exchange(stolen).wantError(400, "invalid_grant")
	r.do("GET", "/oauth2/userinfo", nil, bearer(tk.Access)).want(200)
	r.exchange(g).wantError(400, "invalid_grant")
	r.do("GET", "/oauth2/userinfo", nil, bearer(tk.Access)).want(401, "session_revoked")
	r.refreshFor(r.third, tk.Refresh).wantError(400, "invalid_grant", "session_revoked")
	r.do("GET", "/v1/me", nil, bearer(r.login.access)).want(200) // the person's own session goes on
}

func TestOAuth21_4_1_3_OfManyAtOnceOneCodeGivesOneSessionAtMost(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t)
	g := r.authorize(r.public, "openid")
	var all sync.WaitGroup
	answers := make([]*answer, 16)
	for i := range answers {
		all.Go(func() { answers[i] = r.exchange(g) })
	}
	all.Wait()
	given := 0
	for _, a := range answers {
		if a.Status == 200 {
			given++
			r.do("GET", "/oauth2/userinfo", nil, bearer(a.oauth().Access)).want(401, "session_revoked")
		}
	}
	if given > 1 {
		t.Errorf("got %d sessions of one code", given)
	}
}

// RFC 7636 section 4.6 and RFC 9700 section 2.1.1: PKCE is neither left out nor added.
func TestRFC7636_4_6_PKCEIsNotDowngraded(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t)
	with := r.authorize(r.public, "openid")
	without := with
	without.verifier = ""
	r.exchange(without).wantError(400, "invalid_grant")
	r.exchange(with).oauth()
	old := r.add(bitjang.Client{Name: "Old", RedirectURIs: []string{callback}, NoPKCE: true})
	g := r.authorize(old, "openid", func(in *bitjang.AuthorizeInput) { in.Challenge, in.ChallengeMethod, in.Nonce = "", "", "n" })
	added := g
	r.exchange(added).wantError(400, "invalid_grant") // a verifier without a challenge
	g.verifier = ""
	r.exchange(g).oauth()
}

// OAuth 2.1 section 10.2: a redirect URI that is sent must be the same, and may be
// left out.
func TestOAuth21_10_2_TheRedirectURIAtTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t)
	g := r.authorize(r.public, "openid")
	g.redirect = "http://127.0.0.1/cb"
	r.exchange(g).wantError(400, "invalid_grant")
	g = r.authorize(r.public, "openid")
	g.redirect = ""
	r.exchange(g).oauth()
	late := r.authorize(r.public, "openid")
	r.clock.advance(61 * time.Second) // a code lives for a minute (ASVS 10.4.3)
	r.exchange(late).wantError(400, "invalid_grant")
}

// OAuth 2.1 section 4.3: refresh tokens of clients are the same rotation.
func TestOAuth21_4_3_RefreshTokensRotate(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t)
	tk := r.grants(r.public, "openid notes")
	first := jwtPart(t, tk.ID, 1)
	r.clock.advance(time.Minute)
	next := r.refreshFor(r.public, tk.Refresh).oauth()
	// OpenID Connect Core section 12.2: the same person, login and audience, and no nonce.
	again := jwtPart(t, next.ID, 1)
	for _, name := range []string{"iss", "sub", "aud", "auth_time", "sid"} {
		if first[name] != again[name] {
			t.Errorf("%s: got %v after %v", name, again[name], first[name])
		}
	}
	if again["nonce"] != nil || again["iat"] == first["iat"] || next.Scope != "openid notes" {
		t.Errorf("got %v", again)
	}
	// RFC 6749 section 6: less, and never more; less once is not less for ever.
	v := r.as(r.public, values("grant_type", "refresh_token", "refresh_token", next.Refresh, "scope", "notes"))
	less := r.form("/oauth2/token", v).oauth()
	if less.Scope != "notes" || jwtPart(t, less.Access, 1)["scope"] != "notes" {
		t.Errorf("got scope %q", less.Scope)
	}
	v = r.as(r.public, values("grant_type", "refresh_token", "refresh_token", less.Refresh, "scope", "openid email"))
	r.form("/oauth2/token", v).wantError(400, "invalid_scope")
	// Another client's token is none at all.
	r.refreshFor(r.third, less.Refresh).wantError(400, "invalid_grant", "refresh_token_malformed")
	r.refreshFor(r.public, r.login.refresh).wantError(400, "invalid_grant", "refresh_token_malformed")
	full := r.refreshFor(r.public, less.Refresh).oauth()
	if full.Scope != "openid notes" {
		t.Errorf("got scope %q", full.Scope)
	}
	// RFC 9700 section 4.14.2: an old one is theft.
	r.clock.advance(time.Minute)
	last := r.refreshFor(r.public, full.Refresh).oauth()
	r.clock.advance(time.Minute)
	r.refreshFor(r.public, next.Refresh).wantError(400, "invalid_grant", "refresh_token_reused")
	r.refreshFor(r.public, last.Refresh).wantError(400, "invalid_grant", "session_revoked")
	r.do("GET", "/oauth2/userinfo", nil, bearer(last.Access)).want(401, "session_revoked")
}

// RFC 10017 section 6.3.2.3: no rotation outlives the session's own limit.
func TestRFC10017_6_3_2_3_RotationDoesNotLengthenASession(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t)
	c := r.add(bitjang.Client{Name: "Short", Auth: bitjang.ClientPublic, FirstParty: true, RedirectURIs: []string{callback}, AccessTTL: time.Minute, RefreshTTL: 30 * time.Minute, SessionTTL: time.Hour})
	tk := r.grants(c, "openid")
	if tk.Expires != 60 {
		t.Errorf("got %d s", tk.Expires)
	}
	for range 3 {
		r.clock.advance(19 * time.Minute)
		tk = r.refreshFor(c, tk.Refresh).oauth()
	}
	r.clock.advance(4 * time.Minute)
	r.refreshFor(c, tk.Refresh).wantError(400, "invalid_grant", "session_expired")
}

// RFC 6749 section 4.4: a client that speaks for itself.
func TestRFC6749_4_4_ClientCredentials(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t)
	tk := r.form("/oauth2/token", r.as(r.machine, values("grant_type", "client_credentials", "scope", "b"))).oauth()
	c := jwtPart(t, tk.Access, 1)
	if c["sub"] != r.machine.ID || c["client_id"] != r.machine.ID || c["scope"] != "b" || c["sid"] != nil || c["aud"] != api || tk.Refresh != "" || tk.ID != "" {
		t.Errorf("got %v", c)
	}
	r.form("/oauth2/token", r.as(r.machine, values("grant_type", "client_credentials", "scope", "c"))).wantError(400, "invalid_scope")
	if all := r.form("/oauth2/token", r.as(r.machine, values("grant_type", "client_credentials"))).oauth(); all.Scope != "a b" {
		t.Errorf("got scope %q", all.Scope)
	}
	r.do("GET", "/oauth2/userinfo", nil, bearer(tk.Access)).want(403, "insufficient_scope").wantHeader("WWW-Authenticate", `Bearer realm="bitjang", error="insufficient_scope"`)
}

// RFC 8707 section 2: which resource a token is for.
func TestRFC8707_2_ResourceIndicators(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t, func(s *setup) {
		s.Resources = []bitjang.Resource{{Audience: "https://other.example.com", Type: "JWT", Algorithm: "RS256"}}
	})
	v := r.as(r.machine, values("grant_type", "client_credentials", "resource", "https://elsewhere.example.com"))
	r.form("/oauth2/token", v).wantError(400, "invalid_target")
	other := func(in *bitjang.AuthorizeInput) { in.Resource = "https://other.example.com" }
	g := r.authorize(r.third, "openid", other)
	elsewhere := r.as(r.third, values("grant_type", "authorization_code", "code", g.code, "code_verifier", g.verifier, "resource", api))
	r.form("/oauth2/token", elsewhere).wantError(400, "invalid_target")
	tk := r.exchange(r.authorize(r.third, "openid", other)).oauth()
	head := jwtPart(t, tk.Access, 0)
	if jwtPart(t, tk.Access, 1)["aud"] != "https://other.example.com" || head["typ"] != "JWT" || head["alg"] != "RS256" {
		t.Errorf("got %v", head)
	}
	r.do("GET", "/oauth2/userinfo", nil, bearer(tk.Access)).want(200)
	v = r.as(r.third, values("grant_type", "refresh_token", "refresh_token", tk.Refresh, "resource", api))
	r.form("/oauth2/token", v).wantError(400, "invalid_target") // it was granted for another one
}

// RFC 9449: proofs at the token endpoint.
func TestRFC9449_5_TokensBoundToAKey(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t)
	h, thief := r.keyHolder(), r.keyHolder()
	nonce := r.svc.DPoPNonce()
	g := r.authorize(r.public, "openid")
	r.exchange(g, h.proves("", "")).wantError(400, "use_dpop_nonce").wantHeader("DPoP-Nonce", nonce) // section 8
	r.exchange(g, header("DPoP", "x")).wantError(400, "invalid_dpop_proof")
	tk := r.exchange(g, h.proves("", nonce)).oauth() // the code is still good
	if tk.Type != "DPoP" {
		t.Errorf("got a %s token", tk.Type)
	}
	// Section 5: a public client's refresh token is bound too.
	r.refreshFor(r.public, tk.Refresh).wantError(400, "invalid_dpop_proof", "dpop_proof_required")
	r.refreshFor(r.public, tk.Refresh, thief.proves("", nonce)).wantError(400, "invalid_dpop_proof")
	tk = r.refreshFor(r.public, tk.Refresh, h.proves("", nonce)).oauth()
	r.do("GET", "/oauth2/userinfo", nil, bearer(tk.Access)).want(401, "dpop_proof_required") // section 7.2
	r.do("GET", "/oauth2/userinfo", nil, withDPoP(tk.Access), thief.proves(tk.Access, nonce)).want(401, "invalid_dpop_proof")
	r.do("GET", "/oauth2/userinfo", nil, withDPoP(tk.Access), h.proves(tk.Access, "")).want(401, "use_dpop_nonce") // section 9
	r.do("GET", "/oauth2/userinfo", nil, withDPoP(tk.Access), h.proves(tk.Access, nonce)).want(200)
	// A client that proves who it is binds its access tokens only.
	conf := r.exchange(r.authorize(r.third, "openid offline_access"), h.proves("", nonce)).oauth()
	if conf = r.refreshFor(r.third, conf.Refresh).oauth(); conf.Type != "Bearer" {
		t.Errorf("got a %s token", conf.Type)
	}
	if m := r.form("/oauth2/token", r.as(r.machine, values("grant_type", "client_credentials")), h.proves("", nonce)).oauth(); m.Type != "DPoP" || jwtPart(t, m.Access, 1)["cnf"] == nil {
		t.Errorf("got %+v", m)
	}
}

// RFC 9449 sections 5.2 and 10.
func TestRFC9449_10_CodesAndClientsBoundToAKey(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t)
	h, thief := r.keyHolder(), r.keyHolder()
	nonce := r.svc.DPoPNonce()
	bound := func(in *bitjang.AuthorizeInput) { in.KeyThumbprint = h.thumbprint() }
	r.exchange(r.authorize(r.public, "openid", bound), thief.proves("", nonce)).wantError(400, "invalid_dpop_proof")
	r.exchange(r.authorize(r.public, "openid", bound)).wantError(400, "invalid_dpop_proof", "dpop_proof_required")
	r.exchange(r.authorize(r.public, "openid", bound), h.proves("", nonce)).oauth()
	c := r.add(bitjang.Client{Name: "Bound", Auth: bitjang.ClientPublic, FirstParty: true, RedirectURIs: []string{callback}, DPoP: true})
	g := r.authorize(c, "openid")
	r.exchange(g).wantError(400, "invalid_dpop_proof", "dpop_proof_required")
	r.exchange(g, h.proves("", nonce)).oauth()
}

// RFC 9470 and the policy for risk: a session on hold wants its person.
func TestAHeldClientSessionNeedsInteraction(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t, func(s *setup) { s.OnReuse = bitjang.HoldOnReuse })
	tk := r.grants(r.public, "openid")
	r.clock.advance(time.Minute)
	second := r.refreshFor(r.public, tk.Refresh).oauth()
	r.clock.advance(time.Minute)
	third := r.refreshFor(r.public, second.Refresh).oauth()
	r.clock.advance(time.Minute)
	r.refreshFor(r.public, tk.Refresh).wantError(400, "interaction_required", "step_up_required")
	r.refreshFor(r.public, third.Refresh).wantError(400, "interaction_required", "step_up_required")
	r.do("GET", "/oauth2/userinfo", nil, bearer(third.Access)).want(403, "step_up_required")
	r.form("/oauth2/userinfo", values("access_token", third.Access)).want(403, "step_up_required")
	if r.active(r.resource, third.Access)["active"] != false || r.active(r.third, third.Access)["active"] != false {
		t.Error("a held session's token is active")
	}
	// Authorizing once more gives a session anew.
	r.refreshFor(r.public, r.grants(r.public, "openid").Refresh).oauth()
}

// RFC 9700 section 2.6 and RFC 10017: scripts of registered origins, without cookies.
func TestRFC9700_2_6_CrossOriginRequests(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t, func(s *setup) { s.CORSOrigins = []string{"https://front.example.com"} })
	preflight := func(path, origin string) *answer {
		return r.do("OPTIONS", path, nil, header("Origin", origin), header("Access-Control-Request-Method", "POST"), header("Access-Control-Request-Headers", "dpop"))
	}
	for _, path := range []string{"/oauth2/token", "/oauth2/revoke", "/oauth2/userinfo"} {
		a := preflight(path, "https://app.example.com").wantHeader("Access-Control-Allow-Origin", "https://app.example.com").wantHeader("Access-Control-Allow-Credentials", "")
		if !strings.EqualFold(a.Header.Get("Access-Control-Allow-Headers"), "dpop") {
			t.Errorf("got %v", a.Header)
		}
		preflight(path, "https://evil.example").wantHeader("Access-Control-Allow-Origin", "")
		preflight(path, "https://front.example.com").wantHeader("Access-Control-Allow-Origin", "") // it is for /v1
	}
	preflight("/oauth2/introspect", "https://app.example.com").wantHeader("Access-Control-Allow-Origin", "")
	preflight("/oauth2/authorize", "https://app.example.com").wantHeader("Access-Control-Allow-Origin", "")
	preflight("/v1/me", "https://app.example.com").wantHeader("Access-Control-Allow-Origin", "")
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/jwks.json"} {
		r.do("GET", path, nil, header("Origin", "https://anybody.example")).want(200).wantHeader("Access-Control-Allow-Origin", "*")
	}
	a := r.exchange(r.authorize(r.public, "openid"), header("Origin", "https://app.example.com"))
	a.wantHeader("Access-Control-Allow-Origin", "https://app.example.com").oauth()
}

// An outage logs nobody out: 503, and the same token works afterwards.
func TestAnOutageAtTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t)
	tk := r.grants(r.public, "openid")
	r.clock.advance(time.Minute) // nobody remembers the clients
	r.store.down.Store(true)
	r.refreshFor(r.public, tk.Refresh).wantError(503, "temporarily_unavailable")
	r.form("/oauth2/introspect", r.as(r.resource, values("token", tk.Access))).wantError(503, "temporarily_unavailable")
	r.form("/oauth2/revoke", r.as(r.public, values("token", tk.Access))).wantError(503, "temporarily_unavailable")
	r.do("GET", "/oauth2/userinfo", nil, bearer(tk.Access)).want(503, "store_unavailable")
	r.form("/oauth2/userinfo", values("access_token", tk.Access)).want(503, "store_unavailable")
	r.store.down.Store(false)
	r.refreshFor(r.public, tk.Refresh).oauth()
}
