package bitjang

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/bitjang/bitjang/internal/jws"
	"github.com/bitjang/bitjang/verify"
)

// Tokens is what a login or refresh hands out.
type Tokens struct {
	Access           Secret
	Type             string // of Access: TokenBearer, or TokenDPoP if it is bound to a key
	AccessExpiresAt  time.Time
	Refresh          Secret
	RefreshExpiresAt time.Time
	IssuedAt         time.Time
	Session          Session
	User             *User  // after a login
	ID               Secret // an ID token, for a Client with the scope openid
	Scope            string // of the access token

	// Remembered, if set, lets the device do without a second factor until then:
	// it comes back as Caller.Remembered.
	Remembered      Secret
	RememberedUntil time.Time

	claims *verify.Claims // of Access
}

// issue mints both tokens for t, a place in the session's chain that the store
// already knows or will know when t comes back.
func (s *Service) issue(sess Session, t refreshToken, now time.Time, from Caller) (Tokens, error) {
	expires := now.Add(t.terms.accessTTL(s.cfg.AccessTTL))
	if sess.ExpiresAt.Before(expires) {
		expires = sess.ExpiresAt
	}
	claims, kind := s.claims(&sess, t, now, expires), TokenBearer
	if err := t.terms.narrow(claims, &sess); err != nil {
		return Tokens{}, err
	}
	if key := tokenKey(&sess, from); key != "" {
		claims.Confirmation.KeyThumbprint, kind = key, TokenDPoP
	}
	access, err := s.mintAccess(claims, now)
	if err != nil {
		return Tokens{}, err
	}
	return Tokens{
		claims: claims, Scope: claims.Scope,
		Access: access, Type: kind, AccessExpiresAt: expires,
		Refresh: s.ring.mint(t), RefreshExpiresAt: sess.RefreshExpiresAt(),
		IssuedAt: now, Session: sess,
	}, nil
}

// claims are those of RFC 9068 section 2.2. They say nothing about the person
// or the device: those live with the session.
func (s *Service) claims(sess *Session, t refreshToken, now, expires time.Time) *verify.Claims {
	audience := sess.Audience
	setDefault(&audience, s.cfg.Audience)
	return &verify.Claims{
		Issuer: s.cfg.Issuer, Subject: sess.UserID, Audience: verify.Audience{audience},
		ExpiresAt: expires.Unix(), IssuedAt: now.Unix(), ID: tokenID(t.nonce),
		SessionID: sess.ID.String(), ClientID: sess.ClientID, Scope: sess.Scope, Roles: sess.Roles,
		AuthTime: sess.AuthTime.Unix(), AMR: sess.AMR, ACR: sess.ACR, Generation: t.generation,
	}
}

// tokenID makes the `jti` of an access token: a UUID of which the second half is
// the nonce of the refresh token minted with it. Nonces are no secret, and so
// an access token can say which refresh token its holder has.
func tokenID(n Nonce) string {
	var b [16]byte
	rand.Read(b[:8])
	copy(b[8:], n[:])
	return formatUUID(b)
}

// heldWith is the refresh token minted with an access token, as far as its
// claims tell: enough to know it again.
func heldWith(c *verify.Claims) (refreshToken, bool) {
	id, err := ParseSessionID(c.ID) // the same spelling
	return refreshToken{generation: c.Generation, nonce: Nonce(id[8:])}, err == nil
}

func (s *Service) mintAccess(claims *verify.Claims, now time.Time) (Secret, error) {
	r := s.resource(claims.Audience[0])
	return s.sign(r.Algorithm, r.Type, claims, now)
}

// sign signs any token of ours with the active key of an algorithm.
func (s *Service) sign(algorithm, typ string, claims any, now time.Time) (Secret, error) {
	key, ok := s.keySet.Load().active(algorithm, now)
	if !ok {
		return Secret{}, ErrKeysMissing
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return Secret{}, fmt.Errorf("encode claims: %w", err)
	}
	token, err := jws.Sign(jws.Header{Alg: key.Algorithm, Typ: typ, Kid: key.ID}, payload, key.signer)
	if err != nil {
		return Secret{}, fmt.Errorf("sign %s: %w", typ, err)
	}
	return NewSecret(token), nil
}

// Identity is who a request speaks for: the claims of its access token and the
// session behind it, as the store has it now.
type Identity struct {
	Claims  *verify.Claims
	Session Session
}

// Authenticate checks an access token and looks at its session, so that tokens
// of an ended session are refused at once and not only when they expire. For a
// check without a store, see package verify. Tokens that are bound to a key are
// refused: see AuthenticateFrom.
func (s *Service) Authenticate(ctx context.Context, access Secret) (Identity, error) {
	return s.AuthenticateFrom(ctx, access, Caller{})
}

// AuthenticateFrom is Authenticate for a caller who may have a token that is
// bound to a key, and so a proof.
func (s *Service) AuthenticateFrom(ctx context.Context, access Secret, from Caller) (Identity, error) {
	claims, err := s.checkAccess(ctx, access)
	if err != nil {
		return Identity{}, err
	}
	if err := s.holdsKey(claims, access, from); err != nil {
		return Identity{}, err
	}
	id, err := s.alive(ctx, claims)
	if id.Session.ofClient() {
		// It is for what the client was given it for, and not for the account.
		return Identity{}, ErrAccessToken
	}
	return id, err
}

// alive looks at the session behind the claims of a token of ours.
func (s *Service) alive(ctx context.Context, claims *verify.Claims) (Identity, error) {
	id, err := ParseSessionID(claims.SessionID)
	if err != nil {
		return Identity{}, ErrAccessToken.because(err)
	}
	gone, ok := s.Revoked(id)
	if ok && gone.State == RevocationEnded {
		return Identity{}, revokedFor(EndReason(gone.Reason)) // no need to ask, and true in an outage too
	}
	sess, err := s.sessions.Session(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return Identity{}, ErrSessionUnknown
	} else if err != nil && ok {
		return Identity{}, ErrStepUpRequired // held, as far as anybody can tell; the store alone knows of a lift at once
	} else if err != nil {
		return Identity{}, outage("load session", err)
	}
	now := s.clock()
	// A session that has only been idle for too long still admits the access
	// token that outlived its refresh token: the third of the four cases.
	if state := sess.stateAt(now); state != stateActive && !sess.renewable(now) {
		held, _ := heldWith(claims)
		return Identity{}, s.withChallenge(ctx, sess.refusal(now), &sess, held)
	}
	s.noteSeen(ctx, &sess, claims.Generation)
	return Identity{Claims: claims, Session: sess}, nil
}

// checkAccess checks signature, issuer, audience, type and expiry with the
// very code that resource servers run.
func (s *Service) checkAccess(ctx context.Context, access Secret) (*verify.Claims, error) {
	return verified(s.verifier.Verify(ctx, access.Reveal()))
}

// checkAnyAccess is checkAccess for tokens of every audience.
func (s *Service) checkAnyAccess(ctx context.Context, access Secret) (*verify.Claims, error) {
	return verified(s.anyVerifier.Verify(ctx, access.Reveal()))
}

func verified(claims *verify.Claims, err error) (*verify.Claims, error) {
	if errors.Is(err, ErrKeysMissing) {
		return nil, ErrKeysMissing
	} else if err != nil {
		return nil, ErrAccessToken.because(err)
	}
	return claims, nil
}
