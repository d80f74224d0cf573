package oauth

import (
	"net/http"
	"slices"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/web"
)

// documentAge is how long others may keep the documents. Keys are published a day
// before they sign, and an unknown key id is looked up again.
const documentAge = "public, max-age=300"

// JWKS is GET /.well-known/jwks.json.
func (o *OAuth) JWKS(w http.ResponseWriter, _ *http.Request) error {
	set, err := o.Service.JWKS()
	if err != nil {
		return err
	}
	forEverybody(w)
	w.Header().Set("Content-Type", "application/jwk-set+json")
	_, _ = w.Write(set) // the caller is gone: nobody to tell
	return nil
}

// forEverybody lets any site's script read what says nothing about anybody.
func forEverybody(w http.ResponseWriter) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Cache-Control", documentAge)
}

// metadata says what there is (RFC 8414 section 2, OpenID Connect Discovery
// section 3).
type metadata struct {
	Issuer                   string   `json:"issuer"`
	Authorization            string   `json:"authorization_endpoint,omitempty"`
	Token                    string   `json:"token_endpoint"`
	UserInfo                 string   `json:"userinfo_endpoint"`
	JWKSURI                  string   `json:"jwks_uri"`
	Revocation               string   `json:"revocation_endpoint"`
	Introspection            string   `json:"introspection_endpoint"`
	EndSession               string   `json:"end_session_endpoint,omitempty"`
	Scopes                   []string `json:"scopes_supported"`
	ResponseTypes            []string `json:"response_types_supported"`
	ResponseModes            []string `json:"response_modes_supported,omitempty"`
	GrantTypes               []string `json:"grant_types_supported"`
	SubjectTypes             []string `json:"subject_types_supported"`
	IDTokenAlgorithms        []string `json:"id_token_signing_alg_values_supported"`
	TokenAuthMethods         []string `json:"token_endpoint_auth_methods_supported"`
	TokenAuthAlgorithms      []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	RevocationAuthMethods    []string `json:"revocation_endpoint_auth_methods_supported"`
	RevocationAuthAlgs       []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	IntrospectionAuthMethods []string `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectionAuthAlgs    []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	IntrospectionAlgs        []string `json:"introspection_signing_alg_values_supported"`
	ChallengeMethods         []string `json:"code_challenge_methods_supported"`
	DPoPAlgorithms           []string `json:"dpop_signing_alg_values_supported"`
	IssParameter             bool     `json:"authorization_response_iss_parameter_supported"`
	BackchannelLogout        bool     `json:"backchannel_logout_supported"`
	BackchannelSession       bool     `json:"backchannel_logout_session_supported"`
	Claims                   []string `json:"claims_supported"`
	ClaimsParameter          bool     `json:"claims_parameter_supported"`
	RequestParameter         bool     `json:"request_parameter_supported"`
	RequestURIParameter      bool     `json:"request_uri_parameter_supported"`
	ACRs                     []string `json:"acr_values_supported"`
	Prompts                  []string `json:"prompt_values_supported"`
	Locales                  []string `json:"ui_locales_supported"`
	Documentation            string   `json:"service_documentation"`
}

// Metadata is GET /.well-known/openid-configuration and
// /.well-known/oauth-authorization-server.
func (o *OAuth) Metadata(w http.ResponseWriter, _ *http.Request) error {
	forEverybody(w)
	return web.WriteJSON(w, http.StatusOK, o.metadata())
}

func (o *OAuth) metadata() metadata {
	issuer, proving := o.Service.Issuer(), []string{"client_secret_basic", "client_secret_post", "private_key_jwt"}
	algorithms := bitjang.SigningAlgorithms()
	m := metadata{
		Issuer: issuer, JWKSURI: issuer + "/.well-known/jwks.json",
		Token: issuer + "/oauth2/token", UserInfo: issuer + "/oauth2/userinfo",
		Revocation: issuer + "/oauth2/revoke", Introspection: issuer + "/oauth2/introspect",
		Scopes:        []string{"openid", "profile", "email", "offline_access", "roles"},
		ResponseTypes: []string{"code"}, SubjectTypes: []string{"public"},
		GrantTypes: []string{bitjang.GrantAuthorizationCode, bitjang.GrantRefreshToken, bitjang.GrantClientCredentials},
		// Generic clients take the algorithms of all our tokens from here, so those of
		// access tokens are among them.
		IDTokenAlgorithms: union(o.Service.Algorithms(), o.Service.IDTokenAlgorithms()),
		TokenAuthMethods:  append([]string{"none"}, proving...), TokenAuthAlgorithms: algorithms,
		RevocationAuthMethods: append([]string{"none"}, proving...), RevocationAuthAlgs: algorithms,
		IntrospectionAuthMethods: proving, IntrospectionAuthAlgs: algorithms, IntrospectionAlgs: o.Service.IDTokenAlgorithms(),
		ChallengeMethods: []string{"S256"}, DPoPAlgorithms: o.Service.DPoPAlgorithms(),
		IssParameter: true, BackchannelLogout: true, BackchannelSession: true,
		Claims: []string{"iss", "sub", "aud", "exp", "iat", "jti", "sid", "nonce", "client_id", "scope", "roles", "auth_time", "amr", "acr", "gen", "cnf",
			"name", "locale", "updated_at", "email", "email_verified"},
		ACRs:          []string{"aal1", "aal2"},
		Prompts:       []string{"none", "login", "consent", "select_account"},
		Locales:       []string{"en", "ko"},
		Documentation: issuer + "/openapi.json",
	}
	if o.NoPages {
		m.ResponseTypes = []string{} // required, also where there is nothing to list
		m.GrantTypes = slices.DeleteFunc(m.GrantTypes, func(g string) bool { return g != bitjang.GrantClientCredentials })
		return m
	}
	m.Authorization, m.EndSession, m.ResponseModes = issuer+"/oauth2/authorize", issuer+"/oauth2/logout", []string{"query"}
	return m
}

// union has what is in either, in order.
func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
