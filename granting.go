package bitjang

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"

	"github.com/bitjang/bitjang/verify"
)

// GrantInput is a request of the token endpoint.
type GrantInput struct {
	Client ClientCredentials
	Type   string // one of the grant types

	Code        Secret
	RedirectURI string // that of the authorization request; may be left out
	Verifier    Secret // of PKCE

	Refresh Secret

	Scope    string // separated by spaces; "": all there is
	Resource string // the audience; "": the usual one
	Caller   Caller
}

// request is a grant under way: the client has proved who it is and may use this
// grant type. Only Grant makes one, so no grant can do without either.
type request struct {
	GrantInput
	client *Client
}

// Grant is the token endpoint (RFC 6749 section 3.2): it authenticates the client,
// looks whether it may use the grant type, and leaves the rest to the grant.
func (s *Service) Grant(ctx context.Context, in GrantInput) (Tokens, error) {
	grant := s.grants()[in.Type]
	if in.Type == "" {
		return Tokens{}, invalidRequest("grant_type is missing.")
	}
	c, err := s.AuthenticateClient(ctx, in.Client)
	switch {
	case err != nil:
		return Tokens{}, err
	case grant == nil:
		return Tokens{}, ErrUnsupportedGrant
	case !c.mayUse(in.Type):
		return Tokens{}, ErrUnauthorizedClient
	}
	if err := s.haveKey(ctx, s.cfg.IDTokenAlgorithm); err != nil {
		return Tokens{}, err
	}
	if err := s.showKey(&in.Caller); err != nil {
		return Tokens{}, err
	}
	if c.DPoP && in.Caller.key == "" {
		return Tokens{}, asInvalid(ErrDPoPRequired)
	}
	in.Scope = strings.Join(strings.Fields(in.Scope), " ")
	in.Caller = c.caller(in.Caller)
	return grant(ctx, request{in, &c})
}

// grants are the grant types there are.
func (s *Service) grants() map[string]func(context.Context, request) (Tokens, error) {
	return map[string]func(context.Context, request) (Tokens, error){
		GrantAuthorizationCode: s.grantCode,
		GrantRefreshToken:      s.grantRefresh,
		GrantClientCredentials: s.grantClient,
	}
}

// caller is whom a request of the client speaks for. A client that has proved
// who it is is one device, wherever its servers are; a public one is what it runs on.
func (c *Client) caller(from Caller) Caller {
	if c.public() {
		return from
	}
	from.Device = Device{ID: "client " + c.ID}
	from.backend = true
	return from
}

// grantRefresh is RFC 6749 section 6: our own refresh on the client's terms.
func (s *Service) grantRefresh(ctx context.Context, r request) (Tokens, error) {
	if r.Refresh.IsZero() {
		return Tokens{}, invalidRequest("refresh_token is missing.")
	}
	t, err := s.Refresh(ctx, RefreshInput{
		Token: r.Refresh, Caller: r.Caller, terms: &terms{client: r.client, scope: r.Scope, resource: r.Resource},
	})
	if err != nil {
		return Tokens{}, err
	}
	// Whoever ended the login may have been cut off before this session's turn.
	if err := s.loginHolds(ctx, &t.Session); err != nil {
		return Tokens{}, err
	}
	return s.finish(t, r.client, "")
}

// finish makes of a session's tokens what the client is given: a refresh token
// only if it can use one, and an ID token if it asked for openid.
func (s *Service) finish(t Tokens, c *Client, nonce string) (Tokens, error) {
	if !c.mayUse(GrantRefreshToken) {
		t.Refresh, t.RefreshExpiresAt = Secret{}, time.Time{}
	}
	if !hasScope(t.Session.Scope, scopeOpenID) {
		return t, nil
	}
	id, err := s.mintID(&t.Session, nonce, t.IssuedAt, t.AccessExpiresAt)
	t.ID = id
	return t, err
}

// grantClient is RFC 6749 section 4.4: the client speaks for itself. Its token
// has no session: it cannot be ended, and expires soon.
func (s *Service) grantClient(_ context.Context, r request) (Tokens, error) {
	scope, err := r.client.grantable(r.Scope)
	if err != nil {
		return Tokens{}, err
	}
	audience, err := s.audience(r.client, r.Resource)
	if err != nil {
		return Tokens{}, err
	}
	now := s.clock()
	expires := now.Add((&terms{client: r.client}).accessTTL(s.cfg.AccessTTL))
	claims, kind := &verify.Claims{
		Issuer: s.cfg.Issuer, Subject: r.client.ID, Audience: verify.Audience{audience},
		ExpiresAt: expires.Unix(), IssuedAt: now.Unix(), ID: newUUID(), ClientID: r.client.ID, Scope: scope,
	}, TokenBearer
	if r.Caller.key != "" {
		claims.Confirmation.KeyThumbprint, kind = r.Caller.key, TokenDPoP
	}
	access, err := s.mintAccess(claims, now)
	return Tokens{Access: access, Type: kind, AccessExpiresAt: expires, IssuedAt: now, Scope: scope, claims: claims}, err
}

// grantable is what the client gets of what it asks for; "" asks for all that it
// is registered for, but for what a person has to allow.
func (c *Client) grantable(scope string) (string, error) {
	if scope == "" {
		return strings.Join(c.Scopes, " "), nil
	}
	if !within(scope, strings.Join(c.Scopes, " ")) {
		return "", ErrInvalidScope
	}
	return scope, nil
}

// audience is what an access token of the client is for (RFC 8707 section 2).
func (s *Service) audience(c *Client, resource string) (string, error) {
	allowed := c.Resources
	if len(allowed) == 0 {
		allowed = []string{s.cfg.Audience}
	}
	if resource == "" {
		return allowed[0], nil
	}
	for _, r := range allowed {
		if r == resource {
			return r, nil
		}
	}
	return "", ErrInvalidTarget
}

// clientOf is the client of a token, if it still is one.
func (s *Service) clientOf(ctx context.Context, claims *verify.Claims) (Client, error) {
	c, err := s.knownClient(ctx, claims.ClientID)
	if err != nil && AsError(err).Code == NotFound {
		return Client{}, ErrAccessToken
	}
	return c, err
}

// codePrefix lets secret scanners find leaked codes.
const codePrefix = "bja_"

func newCode() Secret {
	raw := make([]byte, 32)
	rand.Read(raw)
	return NewSecret(codePrefix + base64.RawURLEncoding.EncodeToString(raw))
}

// challengeOf is S256 of RFC 7636 section 4.2; "" for no verifier.
func challengeOf(verifier Secret) string {
	if verifier.IsZero() {
		return ""
	}
	sum := sha256.Sum256([]byte(verifier.Reveal()))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
