package verify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/bitjang/bitjang/internal/jws"
)

// Claims is what an access token says (RFC 9068 section 2.2). The issuer
// marshals this very type. Times are seconds since 1970.
type Claims struct {
	Issuer     string   `json:"iss"`
	Subject    string   `json:"sub"`
	Audience   Audience `json:"aud"`
	ExpiresAt  int64    `json:"exp"`
	IssuedAt   int64    `json:"iat"`
	NotBefore  int64    `json:"nbf,omitempty"`
	ID         string   `json:"jti"`
	SessionID  string   `json:"sid,omitempty"`
	ClientID   string   `json:"client_id"`
	Scope      string   `json:"scope,omitempty"` // separated by spaces; see HasScope
	Roles      []string `json:"roles,omitempty"`
	AuthTime   int64    `json:"auth_time,omitempty"` // when the user last proved who they are
	AMR        []string `json:"amr,omitempty"`       // how: RFC 8176
	ACR        string   `json:"acr,omitempty"`
	Generation uint32   `json:"gen"` // the place in the session's chain of refresh tokens

	Confirmation Confirmation `json:"cnf,omitzero"` // of a token that is bound to a key
}

// HasScope reports whether the token was granted the scope.
func (c *Claims) HasScope(scope string) bool {
	for s := range strings.SplitSeq(c.Scope, " ") {
		if s == scope && s != "" {
			return true
		}
	}
	return false
}

// HasRole reports whether the user had the role when the token was issued.
func (c *Claims) HasRole(role string) bool {
	return role != "" && slices.Contains(c.Roles, role)
}

// clone returns a copy that shares nothing with c.
func (c *Claims) clone() *Claims {
	d := *c
	d.Audience, d.Roles, d.AMR = slices.Clone(c.Audience), slices.Clone(c.Roles), slices.Clone(c.AMR)
	return &d
}

// Audience is one or several audiences. In JSON one is a string, several are an
// array (RFC 7519 section 4.1.3).
type Audience []string

// MarshalJSON writes a single audience as a string.
func (a Audience) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]string(a))
}

// UnmarshalJSON reads a string or an array of strings.
func (a *Audience) UnmarshalJSON(data []byte) error {
	if data = bytes.TrimSpace(data); len(data) > 0 && data[0] == '"' {
		var one string
		if err := json.Unmarshal(data, &one); err != nil {
			return err
		}
		*a = Audience{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(a))
}

// parseClaims reads the payload of a token. Unlike json.Unmarshal it wants exact
// names, each once, and refuses null: a claim is there with a value of its type,
// or it is absent.
func parseClaims(payload []byte) (*Claims, error) {
	members, err := jws.Members(payload)
	if err != nil {
		return nil, ErrMalformed
	}
	c := new(Claims)
	for _, m := range members {
		if !c.set(m) {
			return nil, ErrMalformed
		}
	}
	return c, nil
}

// set puts one claim where it belongs, and passes over claims that we do not
// know. It reports false for one of the wrong type.
func (c *Claims) set(m jws.Member) (ok bool) {
	switch m.Name {
	case "iss":
		c.Issuer, ok = m.Text()
	case "sub":
		c.Subject, ok = m.Text()
	case "jti":
		c.ID, ok = m.Text()
	case "sid":
		c.SessionID, ok = m.Text()
	case "client_id":
		c.ClientID, ok = m.Text()
	case "scope":
		c.Scope, ok = m.Text()
	case "acr":
		c.ACR, ok = m.Text()
	case "aud":
		ok = decode(m.Value, &c.Audience)
	case "exp":
		ok = decode(m.Value, &c.ExpiresAt)
	case "iat":
		ok = decode(m.Value, &c.IssuedAt)
	case "nbf":
		ok = decode(m.Value, &c.NotBefore)
	case "auth_time":
		ok = decode(m.Value, &c.AuthTime)
	case "roles":
		ok = decode(m.Value, &c.Roles)
	case "amr":
		ok = decode(m.Value, &c.AMR)
	case "gen":
		ok = decode(m.Value, &c.Generation)
	case "cnf":
		ok = c.Confirmation.set(m.Value)
	default:
		ok = true
	}
	return ok
}

// set reads a confirmation. One that we cannot check, say of a certificate, must
// not be passed over.
func (c *Confirmation) set(value []byte) bool {
	members, err := jws.Members(value)
	if err != nil || len(members) != 1 || members[0].Name != "jkt" {
		return false
	}
	var ok bool
	c.KeyThumbprint, ok = members[0].Text()
	return ok && c.KeyThumbprint != ""
}

func decode(value []byte, v any) bool {
	return !bytes.Equal(value, []byte("null")) && json.Unmarshal(value, v) == nil
}

// complete checks that the claims that RFC 9068 requires are there. An empty one
// is as good as none: it must not equal an empty anything later.
func (c *Claims) complete() error {
	for _, claim := range [...]struct {
		name  string
		there bool
	}{
		{"iss", c.Issuer != ""},
		{"exp", c.ExpiresAt != 0},
		{"aud", len(c.Audience) > 0},
		{"sub", c.Subject != ""},
		{"client_id", c.ClientID != ""},
		{"iat", c.IssuedAt != 0},
		{"jti", c.ID != ""},
	} {
		if !claim.there {
			return fmt.Errorf("%w: %s", ErrMissingClaim, claim.name)
		}
	}
	return nil
}
