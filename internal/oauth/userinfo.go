package oauth

import (
	"net/http"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/web"
)

// userInfoBody is OpenID Connect Core section 5.1.
type userInfoBody struct {
	Subject       string `json:"sub"`
	Name          string `json:"name,omitempty"`
	Locale        string `json:"locale,omitempty"`
	UpdatedAt     int64  `json:"updated_at,omitempty"`
	Email         string `json:"email,omitempty"`
	EmailVerified *bool  `json:"email_verified,omitempty"`
}

// UserInfo is GET and POST /oauth2/userinfo. Its errors are those of a resource
// server (RFC 6750 section 3), and so package web writes them.
func (o *OAuth) UserInfo(w http.ResponseWriter, r *http.Request) error {
	access, err := userInfoToken(r)
	if err != nil {
		return err
	}
	info, err := o.Service.UserInfo(r.Context(), access, o.Edge.Caller(r))
	if err != nil {
		return err
	}
	body := userInfoBody{Subject: info.Subject, Name: info.Name, Locale: info.Locale, Email: info.Email}
	if !info.UpdatedAt.IsZero() {
		body.UpdatedAt = info.UpdatedAt.Unix()
	}
	if info.Email != "" {
		body.EmailVerified = &info.EmailVerified
	}
	web.NoStore(w)
	return web.WriteJSON(w, http.StatusOK, body)
}

// userInfoToken takes the access token from the header, or from the body of a POST
// (RFC 6750 section 2.2); never from a cookie, which speaks for no client, and
// never from the query.
func userInfoToken(r *http.Request) (bitjang.Secret, error) {
	access, fromHeader := web.AccessToken(r)
	if fromHeader {
		return access, nil
	}
	if r.Method == http.MethodPost && r.Header.Get("Content-Type") != "" {
		f, err := readForm(r)
		if err != nil {
			return bitjang.Secret{}, err
		}
		return f.secret("access_token"), nil
	}
	return bitjang.Secret{}, nil
}
