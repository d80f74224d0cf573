package bitjang

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

const (
	codeGrant = "authorization_code"
	codeLife  = time.Minute
)

// codeFacts is what an authorization code gives, and what must still hold when
// it is redeemed.
type codeFacts struct {
	Session  SessionID // that it will give: whoever redeems it twice names what to end
	Login    SessionID // in which the person allowed it
	Redirect string
	Nonce    string
	Scope    string
	Audience string
	Roles    []string
	AuthTime time.Time
	AMR      []string
	ACR      string

	PasswordVersion int64
	Device          Device // that the person sat at
	IP              netip.Addr
	KeyThumbprint   string // by whose key the code must be redeemed (RFC 9449 section 10); "": anybody's
}

// codeHash covers the client and the PKCE challenge, so that a code in other
// hands is unknown: no other client, and nobody without the verifier, can use it
// up or have it taken for stolen. A challenge without a verifier, or a verifier
// without a challenge, is another code as well (RFC 9700 section 4.8).
func codeHash(clientID, challenge string, code Secret) GrantID {
	return sha256.Sum256([]byte(strings.Join([]string{codeGrant, clientID, challenge, code.Reveal()}, "\x00")))
}

func (s *Service) newCode(ctx context.Context, userID, clientID, challenge string, facts codeFacts) (Secret, error) {
	code := newCode()
	data, err := json.Marshal(facts)
	if err != nil {
		return Secret{}, fmt.Errorf("encode code: %w", err)
	}
	now := s.clock()
	g := Grant{ID: codeHash(clientID, challenge, code), Kind: codeGrant, UserID: userID, Data: data, CreatedAt: now, ExpiresAt: now.Add(codeLife)}
	if err := s.sessions.InsertGrant(ctx, g); err != nil {
		return Secret{}, outage("save code", err)
	}
	return code, nil
}

// grantCode is RFC 6749 section 4.1.3 with RFC 7636.
func (s *Service) grantCode(ctx context.Context, r request) (Tokens, error) {
	if r.Code.IsZero() {
		return Tokens{}, invalidRequest("code is missing.")
	}
	now := s.clock()
	g, err := s.sessions.ConsumeGrant(ctx, codeHash(r.client.ID, challengeOf(r.Verifier), r.Code), now)
	again := errors.Is(err, ErrConflict)
	if errors.Is(err, ErrNotFound) {
		return Tokens{}, ErrInvalidGrant
	} else if err != nil && !again {
		return Tokens{}, outage("use code", err)
	}
	var facts codeFacts
	if err := json.Unmarshal(g.Data, &facts); err != nil {
		return Tokens{}, ErrInvalidGrant.because(err)
	}
	switch {
	case r.RedirectURI != "" && r.RedirectURI != facts.Redirect: // left out it is OAuth 2.1 (section 10.2)
		return Tokens{}, ErrInvalidGrant
	case r.Resource != "" && r.Resource != facts.Audience:
		return Tokens{}, ErrInvalidTarget
	case facts.KeyThumbprint != "" && facts.KeyThumbprint != r.Caller.key:
		return Tokens{}, unproven(r.Caller)
	case again:
		return Tokens{}, s.codeAgain(ctx, &g, &facts, r)
	case !now.Before(g.ExpiresAt):
		return Tokens{}, ErrInvalidGrant
	}
	return s.redeem(ctx, g.UserID, &facts, r)
}

// redeem opens the client's session.
func (s *Service) redeem(ctx context.Context, userID string, facts *codeFacts, r request) (Tokens, error) {
	now := s.clock()
	t := firstToken(facts.Session)
	t.terms = &terms{client: r.client, scope: r.Scope}
	sess := s.clientSession(userID, facts, r, now)
	sess.Rotation = Rotation{Nonce: t.nonce, ConfirmedAt: now}
	if !within(r.Scope, sess.Scope) {
		return Tokens{}, ErrInvalidScope
	}
	err := s.saveSession(ctx, sess, facts.PasswordVersion)
	if err == nil {
		err = s.consentHolds(ctx, &sess, r.client)
	}
	if err == nil {
		err = s.loginHolds(ctx, &sess)
	}
	switch e := AsError(err); {
	case err == nil:
	case errors.Is(err, ErrExists), e.Code == Unauthenticated, e.Code == Denied, e.Code == NotFound:
		return Tokens{}, ErrInvalidGrant.because(err)
	default:
		return Tokens{}, err
	}
	s.record(ctx, happened(EventClientSession, &sess, r.Caller, r.client.ID))
	tokens, err := s.issue(sess, t, now, r.Caller)
	if err != nil {
		return Tokens{}, err
	}
	return s.finish(tokens, r.client, facts.Nonce)
}

// clientSession is the session that a code gives: one of its own beside the one
// that the person logged in with, on the client's terms.
func (s *Service) clientSession(userID string, facts *codeFacts, r request, now time.Time) Session {
	life := s.cfg.SessionTTL
	if r.client.SessionTTL > 0 {
		life = r.client.SessionTTL
	}
	sess := Session{
		ID: facts.Session, UserID: userID, ClientID: r.client.ID, Version: 1,
		CreatedAt: now, LastSeenAt: now,
		IdleExpiresAt: now.Add((&terms{client: r.client}).refreshTTL(s.cfg.RefreshTTL)), ExpiresAt: now.Add(life),
		AuthTime: facts.AuthTime, AMR: facts.AMR, ACR: facts.ACR,
		Scope: facts.Scope, Audience: facts.Audience, Roles: facts.Roles, LoginID: facts.Login,
		Device: r.Caller.Device.bounded(), IP: r.Caller.IP,
	}
	if r.Caller.backend {
		// What people know is where they sat, not where the client's server stands.
		sess.Device, sess.IP = facts.Device, facts.IP
		sess.Device.ID = r.Caller.Device.ID
	}
	sess.Device.Name = r.client.Name
	if r.client.public() {
		sess.KeyThumbprint = r.Caller.key // a client that proves who it is binds only its access tokens (RFC 9449 section 5)
	}
	return sess
}

// codeAgain is for a code that comes back with everything that belongs to it:
// two hands hold it, and what it gave ends (RFC 6749 section 4.1.2). If that is
// not there yet, its place is taken, so that it never will be.
func (s *Service) codeAgain(ctx context.Context, g *Grant, facts *codeFacts, r request) error {
	err := s.EndSession(ctx, EndSessionInput{ID: facts.Session, Reason: EndedByCodeReuse, Caller: r.Caller})
	if errors.Is(err, ErrNoSuchSession) {
		now := s.clock()
		dead := s.clientSession(g.UserID, facts, r, now)
		dead.Nonce = newNonce()
		dead.end(now, EndedByCodeReuse)
		if err = s.sessions.InsertSession(ctx, dead); errors.Is(err, ErrExists) {
			err = s.EndSession(ctx, EndSessionInput{ID: facts.Session, Reason: EndedByCodeReuse, Caller: r.Caller})
		}
	}
	if err != nil {
		return outage("end what a code gave", err)
	}
	s.log.Warn("authorization code reuse", "client", r.client.ID, "session", facts.Session.String(), "user", g.UserID, "ip", r.Caller.IP)
	return ErrInvalidGrant
}
