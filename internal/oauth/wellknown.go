package api

import (
	"net/http"

	"github.com/bitjang/bitjang/internal/web"
)

// jwksMaxAge is how long others may keep the key set, in seconds. Keys are
// published a day before they sign, and an unknown key id is looked up again.
const jwksMaxAge = "public, max-age=300"

// JWKS is GET /.well-known/jwks.json.
func (a *API) JWKS(w http.ResponseWriter, _ *http.Request) error {
	set, err := a.Service.JWKS()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", jwksMaxAge)
	_, _ = w.Write(set) // the caller is gone: nobody to tell
	return nil
}

// metadata says what there is (RFC 8414 section 2, OpenID Connect Discovery
// section 3), and leaves out what there is not yet.
type metadata struct {
	Issuer               string   `json:"issuer"`
	JWKSURI              string   `json:"jwks_uri"`
	ResponseTypes        []string `json:"response_types_supported"`
	SubjectTypes         []string `json:"subject_types_supported"`
	IDTokenSigningAlgs   []string `json:"id_token_signing_alg_values_supported"`
	Claims               []string `json:"claims_supported"`
	DPoPAlgs             []string `json:"dpop_signing_alg_values_supported"`
	ServiceDocumentation string   `json:"service_documentation"`
}

// Metadata is GET /.well-known/openid-configuration and
// /.well-known/oauth-authorization-server.
func (a *API) Metadata(w http.ResponseWriter, _ *http.Request) error {
	issuer := a.Service.Issuer()
	w.Header().Set("Cache-Control", jwksMaxAge)
	return web.WriteJSON(w, http.StatusOK, metadata{
		Issuer:  issuer,
		JWKSURI: issuer + "/.well-known/jwks.json",
		// Required by RFC 8414; there is no authorization endpoint yet.
		ResponseTypes: []string{},
		SubjectTypes:  []string{"public"},
		// Generic clients take the algorithms of our tokens from here.
		IDTokenSigningAlgs:   a.Service.Algorithms(),
		Claims:               []string{"iss", "sub", "aud", "exp", "iat", "jti", "sid", "client_id", "scope", "roles", "auth_time", "amr", "acr", "gen", "cnf"},
		DPoPAlgs:             a.Service.DPoPAlgorithms(), // RFC 9449 section 5.1
		ServiceDocumentation: issuer + "/openapi.json",
	})
}

// Healthz is GET /healthz: the process answers.
func (a *API) Healthz(w http.ResponseWriter, _ *http.Request) error {
	web.NoStore(w)
	return web.WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// Readyz is GET /readyz: stores reachable, keys loaded.
func (a *API) Readyz(w http.ResponseWriter, r *http.Request) error {
	if err := a.Service.Ready(r.Context()); err != nil {
		return err
	}
	web.NoStore(w)
	return web.WriteJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}
