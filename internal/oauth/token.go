package oauth

import (
	"net/http"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/web"
)

// tokenBody is RFC 6749 section 5.1 with OpenID Connect Core section 3.1.3.3.
type tokenBody struct {
	AccessToken      string `json:"access_token"`
	TokenType        string `json:"token_type"`
	ExpiresIn        int64  `json:"expires_in"`
	RefreshToken     string `json:"refresh_token,omitempty"`
	RefreshExpiresIn int64  `json:"refresh_expires_in,omitempty"`
	IDToken          string `json:"id_token,omitempty"`
	Scope            string `json:"scope,omitempty"`
}

// Token is POST /oauth2/token, for every grant type.
func (o *OAuth) Token(w http.ResponseWriter, r *http.Request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	who, err := o.credentials(r, f)
	if err != nil {
		return err
	}
	t, err := o.Service.Grant(r.Context(), bitjang.GrantInput{
		Client: who, Type: f.get("grant_type"),
		Code: f.secret("code"), RedirectURI: f.get("redirect_uri"), Verifier: f.secret("code_verifier"),
		Refresh: f.secret("refresh_token"), Scope: f.get("scope"), Resource: f.get("resource"), Caller: o.Edge.Caller(r),
	})
	if err != nil {
		return err
	}
	body := tokenBody{
		AccessToken: t.Access.Reveal(), TokenType: t.Type, ExpiresIn: seconds(t.AccessExpiresAt.Sub(t.IssuedAt)),
		RefreshToken: t.Refresh.Reveal(), IDToken: t.ID.Reveal(), Scope: t.Scope,
	}
	if !t.Refresh.IsZero() {
		body.RefreshExpiresIn = seconds(t.RefreshExpiresAt.Sub(t.IssuedAt))
	}
	web.NoStore(w)
	w.Header().Set("Pragma", "no-cache") // RFC 6749 section 5.1, for caches of that age
	return web.WriteJSON(w, http.StatusOK, body)
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }
