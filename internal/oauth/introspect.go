package oauth

import (
	"net/http"
	"strings"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/web"
	"github.com/bitjang/bitjang/verify"
)

// introspectionBody is RFC 7662 section 2.2; of an inactive token only that.
type introspectionBody struct {
	Active    bool             `json:"active"`
	TokenType string           `json:"token_type,omitempty"`
	Scope     string           `json:"scope,omitempty"`
	ClientID  string           `json:"client_id,omitempty"`
	Subject   string           `json:"sub,omitempty"`
	Audience  *verify.Audience `json:"aud,omitempty"`
	Issuer    string           `json:"iss,omitempty"`
	ExpiresAt int64            `json:"exp,omitempty"`
	IssuedAt  int64            `json:"iat,omitempty"`
	ID        string           `json:"jti,omitempty"`
	SessionID string           `json:"sid,omitempty"`
	Roles     []string         `json:"roles,omitempty"`
	AuthTime  int64            `json:"auth_time,omitempty"`
	AMR       []string         `json:"amr,omitempty"`
	ACR       string           `json:"acr,omitempty"`

	Confirmation *verify.Confirmation `json:"cnf,omitempty"` // RFC 9449 section 6.2
}

// signedIntrospection is the media type of RFC 9701.
const signedIntrospection = "application/token-introspection+jwt"

// Introspect is POST /oauth2/introspect.
func (o *OAuth) Introspect(w http.ResponseWriter, r *http.Request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	who, err := o.credentials(r, f)
	if err != nil {
		return err
	}
	if f.get("token") == "" {
		return badRequest("token is missing.")
	}
	in, c, err := o.Service.Introspect(r.Context(), who, f.secret("token"))
	if err != nil {
		return err
	}
	web.NoStore(w)
	w.Header().Set("Vary", "Accept")
	body := o.describeToken(in)
	if !strings.Contains(r.Header.Get("Accept"), signedIntrospection) {
		return web.WriteJSON(w, http.StatusOK, body)
	}
	signed, err := o.Service.SignIntrospection(&c, body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", signedIntrospection)
	_, _ = w.Write([]byte(signed.Reveal())) // the caller is gone: nobody to tell
	return nil
}

func (o *OAuth) describeToken(in bitjang.Introspection) introspectionBody {
	if !in.Active {
		return introspectionBody{}
	}
	c := in.Claims
	if c == nil { // a refresh token
		s := in.Session
		return introspectionBody{
			Active: true, Scope: s.Scope, ClientID: s.ClientID, Subject: s.UserID, Issuer: o.Service.Issuer(),
			ExpiresAt: s.RefreshExpiresAt().Unix(), SessionID: s.ID.String(),
		}
	}
	b := introspectionBody{
		Active: true, TokenType: in.Type, Scope: c.Scope, ClientID: c.ClientID, Subject: c.Subject, Audience: &c.Audience, Issuer: c.Issuer,
		ExpiresAt: c.ExpiresAt, IssuedAt: c.IssuedAt, ID: c.ID, SessionID: c.SessionID, Roles: c.Roles, AuthTime: c.AuthTime, AMR: c.AMR, ACR: c.ACR,
	}
	if c.Confirmation.KeyThumbprint != "" {
		b.Confirmation = &c.Confirmation
	}
	return b
}

// Revoke is POST /oauth2/revoke (RFC 7009).
func (o *OAuth) Revoke(w http.ResponseWriter, r *http.Request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	who, err := o.credentials(r, f)
	if err != nil {
		return err
	}
	if err := o.Service.RevokeToken(r.Context(), who, f.secret("token"), o.Edge.Caller(r)); err != nil {
		return err
	}
	web.NoStore(w)
	w.WriteHeader(http.StatusOK)
	return nil
}
