package bitjang

import (
	"context"
	"slices"
	"time"

	"github.com/bitjang/bitjang/verify"
)

// ErrUnsupportedToken says that a token of this type cannot be taken back: it has
// no session.
var ErrUnsupportedToken = &Error{Code: Invalid, Reason: "unsupported_token_type", Message: "A client's own access token cannot be revoked. It expires soon."}

// Introspection is what there is to say about a token (RFC 7662 section 2.2). Of
// an inactive one nothing is said, not even why.
type Introspection struct {
	Active  bool
	Type    string         // of an access token: TokenBearer or TokenDPoP; "": a refresh token
	Claims  *verify.Claims // of an access token
	Session Session        // zero for a client's own token
}

// Introspect tells a resource server about an access token that is for one of its
// audiences, or a client about a token that it was given itself (RFC 7662). Unlike
// a look at the signature it knows at once what has become of the session.
func (s *Service) Introspect(ctx context.Context, who ClientCredentials, token Secret) (Introspection, Client, error) {
	c, err := s.AuthenticateClient(ctx, who)
	if err == nil && c.public() {
		err = ErrInvalidClient // anybody can say its id
	}
	if err != nil {
		return Introspection{}, Client{}, err
	}
	if t, err := s.ring.parseFor(token, &terms{client: &c}); err == nil {
		in, err := s.introspectRefresh(ctx, t)
		return in, c, err
	}
	in, err := s.introspectAccess(ctx, &c, token)
	return in, c, err
}

func (s *Service) introspectAccess(ctx context.Context, c *Client, token Secret) (Introspection, error) {
	claims, err := s.checkAnyAccess(ctx, token)
	if err != nil {
		return inactive(err)
	}
	if claims.ClientID != c.ID && !slices.ContainsFunc(claims.Audience, c.isFor) && !(len(c.Resources) == 0 && slices.Contains(claims.Audience, s.cfg.Audience)) {
		return Introspection{}, nil
	}
	in := Introspection{Active: true, Type: TokenBearer, Claims: claims}
	if claims.Confirmation.KeyThumbprint != "" {
		in.Type = TokenDPoP
	}
	if claims.SessionID == "" {
		_, err = s.clientOf(ctx, claims)
	} else {
		var id Identity
		id, err = s.alive(ctx, claims)
		in.Session = id.Session
	}
	if err != nil {
		return inactive(err)
	}
	return in, nil
}

func (c *Client) isFor(audience string) bool { return slices.Contains(c.Resources, audience) }

// introspectRefresh tells whether a refresh token would be exchanged now, by the
// device that has it. Nothing changes by it, also where the answer is no.
func (s *Service) introspectRefresh(ctx context.Context, t refreshToken) (Introspection, error) {
	sess, err := s.SessionByID(ctx, t.session)
	if err != nil {
		return inactive(err)
	}
	holder := Caller{Device: sess.Device, IP: sess.IP, key: sess.KeyThumbprint}
	if !judge(&sess, t, s.clock(), holder, s.cfg.RotationGrace).grants() {
		return Introspection{}, nil
	}
	return Introspection{Active: true, Session: sess}, nil
}

// inactive is the answer about a token that is no good. That a store is down says
// nothing about the token.
func inactive(err error) (Introspection, error) {
	if code := AsError(err).Code; code == Unavailable || code == Internal {
		return Introspection{}, err
	}
	return Introspection{}, nil
}

// SignIntrospection signs an answer for the one who asked (RFC 9701 section 5).
// body is the answer as it would stand by itself, as JSON.
func (s *Service) SignIntrospection(c *Client, body any) (Secret, error) {
	now := s.clock()
	return s.sign(s.cfg.IDTokenAlgorithm, "token-introspection+jwt", struct {
		Issuer   string `json:"iss"`
		Audience string `json:"aud"`
		IssuedAt int64  `json:"iat"`
		Answer   any    `json:"token_introspection"`
	}{s.cfg.Issuer, c.ID, now.Unix(), body}, now)
}

// RevokeToken takes back what a client was given, by either token: the session
// behind it ends (RFC 7009). A token of somebody else's, or one that means nothing
// here, is no error (section 2.2), and nothing ends.
func (s *Service) RevokeToken(ctx context.Context, who ClientCredentials, token Secret, from Caller) error {
	c, err := s.AuthenticateClient(ctx, who)
	if err != nil {
		return err
	}
	if token.IsZero() {
		return invalidRequest("token is missing.")
	}
	id := SessionID{}
	if t, err := s.ring.parseFor(token, &terms{client: &c}); err == nil {
		id = t.session
	} else {
		claims, err := s.checkAnyAccess(ctx, token)
		switch {
		case err != nil && AsError(err).Code == Unavailable:
			return err
		case err != nil || claims.ClientID != c.ID:
			return nil
		case claims.SessionID == "":
			return ErrUnsupportedToken
		}
		if id, err = ParseSessionID(claims.SessionID); err != nil {
			return nil
		}
	}
	err = s.EndSession(ctx, EndSessionInput{ID: id, Reason: EndedByClient, Caller: c.caller(from)})
	if err != nil && AsError(err).Code == NotFound {
		return nil
	}
	return err
}

// UserInfo are the claims about a person that a client may know (OpenID Connect
// Core section 5.4). What its scope does not cover is left out.
type UserInfo struct {
	Subject       string
	Name          string
	Locale        string
	UpdatedAt     time.Time
	Email         string
	EmailVerified bool
}

// UserInfo tells a client about the person whose access token it has. It asks for
// the session behind the token, and not for the token alone.
func (s *Service) UserInfo(ctx context.Context, access Secret, from Caller) (UserInfo, error) {
	claims, err := s.checkAnyAccess(ctx, access)
	if err != nil {
		return UserInfo{}, err
	}
	if err := s.holdsKey(claims, access, from); err != nil {
		return UserInfo{}, err
	}
	if !claims.HasScope(scopeOpenID) || claims.SessionID == "" {
		return UserInfo{}, ErrInsufficientScope
	}
	if _, err := s.alive(ctx, claims); err != nil {
		return UserInfo{}, err
	}
	u, err := s.User(ctx, claims.Subject)
	if err != nil {
		return UserInfo{}, err
	}
	info := UserInfo{Subject: u.ID}
	if claims.HasScope(scopeProfile) {
		info.Name, info.Locale, info.UpdatedAt = u.Name, u.Language, u.UpdatedAt
	}
	if claims.HasScope(scopeEmail) {
		info.Email, info.EmailVerified = u.Email, !u.EmailVerifiedAt.IsZero()
	}
	return info, nil
}
