package bitjang

import (
	"context"
	"encoding/json"
	"time"

	"github.com/bitjang/bitjang/internal/jws"
)

// The scopes that mean something to us.
const (
	scopeOpenID  = "openid"
	scopeProfile = "profile"
	scopeEmail   = "email"
	scopeOffline = "offline_access"
	scopeRoles   = "roles"
)

// idTokenType is the `typ` of ID tokens. They never pass as access tokens: they
// are for a client, whose id is no URI, and have no client_id.
const idTokenType = "JWT"

// idClaims are those of OpenID Connect Core section 2. What is known of the
// person is asked for at the userinfo endpoint.
type idClaims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  string   `json:"aud"`
	ExpiresAt int64    `json:"exp"`
	IssuedAt  int64    `json:"iat"`
	AuthTime  int64    `json:"auth_time"`
	Nonce     string   `json:"nonce,omitempty"`
	SessionID string   `json:"sid"`
	ACR       string   `json:"acr,omitempty"`
	AMR       []string `json:"amr,omitempty"`
}

func (s *Service) mintID(sess *Session, nonce string, now, expires time.Time) (Secret, error) {
	return s.sign(s.cfg.IDTokenAlgorithm, idTokenType, &idClaims{
		Issuer: s.cfg.Issuer, Subject: sess.UserID, Audience: sess.ClientID,
		ExpiresAt: expires.Unix(), IssuedAt: now.Unix(), AuthTime: sess.AuthTime.Unix(),
		Nonce: nonce, SessionID: sess.ID.String(), ACR: sess.ACR, AMR: sess.AMR,
	}, now)
}

// Hint is what an ID token that comes back tells: who it was given to, and for
// whom.
type Hint struct {
	Client  Client
	UserID  string
	Session SessionID
}

// ReadHint checks an ID token that a client sends back as id_token_hint. It may
// have expired: clients keep it to say whom they mean (RP-Initiated Logout
// section 2).
func (s *Service) ReadHint(ctx context.Context, token Secret) (Hint, error) {
	refused := invalid("id_token_hint_invalid", "The id_token_hint is no ID token of this server.")
	t, err := jws.Parse(token.Reveal())
	if err != nil || t.Header.Typ != idTokenType {
		return Hint{}, refused
	}
	key, ok := s.keySet.Load().find(t.Header.Kid)
	if !ok || t.Verify(key.Algorithm, key.public.Public) != nil {
		return Hint{}, refused
	}
	var claims idClaims
	if _, err := jws.Members(t.Payload); err != nil || json.Unmarshal(t.Payload, &claims) != nil {
		return Hint{}, refused // an access token of type JWT has no nonce, but an audience that is no client
	}
	sid, err := ParseSessionID(claims.SessionID)
	if err != nil || claims.Issuer != s.cfg.Issuer || claims.Subject == "" || !isClientID(claims.Audience) {
		return Hint{}, refused
	}
	c, err := s.knownClient(ctx, claims.Audience)
	if err != nil {
		if AsError(err).Code == NotFound {
			return Hint{}, refused
		}
		return Hint{}, err
	}
	return Hint{c, claims.Subject, sid}, nil
}
