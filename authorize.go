package bitjang

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// AuthorizeInput is an authorization request (RFC 6749 section 4.1.1, OpenID
// Connect Core section 3.1.2.1), as it came.
type AuthorizeInput struct {
	ResponseType, ResponseMode    string
	ClientID, RedirectURI         string
	Scope, State, Nonce           string
	Challenge, ChallengeMethod    string // PKCE
	Resource                      string
	Prompt, MaxAge                string
	LoginHint, IDTokenHint        string
	UILocales                     string
	Repeated, Request, RequestURI bool // a parameter came twice; an object was sent instead of parameters

	// AskedAt is when the person was led away to log in; zero at first.
	AskedAt time.Time
}

// AuthorizeStep says what comes next.
type AuthorizeStep int

// The steps.
const (
	AuthorizeRedirect AuthorizeStep = iota // back to the client, with a code or an error
	AuthorizeLogin                         // the person must log in, and come back
	AuthorizeAgain                         // the same, although somebody is logged in
	AuthorizeConsent                       // the person must be asked
)

// Authorization is the answer to an authorization request.
type Authorization struct {
	Step   AuthorizeStep
	URL    string // of AuthorizeRedirect
	Client Client
	Scopes []string // of AuthorizeConsent: what is new
	Input  AuthorizeInput
}

// The person's answer on the consent page.
type ConsentAnswer int

// The answers.
const (
	NotAsked ConsentAnswer = iota
	Allowed
	Refused
)

// authorizing is an authorization request under way, whose client and redirect
// URI are known to belong together: only from then on may anybody be redirected.
type authorizing struct {
	AuthorizeInput
	client *Client
	scope  string
	aud    string
}

// Authorize decides an authorization request. login is the session of whoever is
// in front of the browser, nil for nobody. An error is to be shown, and never
// redirected (RFC 6749 section 4.1.2.1).
func (s *Service) Authorize(ctx context.Context, in AuthorizeInput, login *Session, answer ConsentAnswer, from Caller) (Authorization, error) {
	c, err := s.knownClient(ctx, in.ClientID)
	if err != nil {
		return Authorization{}, err
	}
	if !c.redirects(in.RedirectURI) {
		return Authorization{}, ErrRedirectURI
	}
	a := &authorizing{AuthorizeInput: in, client: &c}
	refusal := s.checkAuthorize(a)
	silent := slices.Contains(strings.Fields(in.Prompt), "none")
	if login != nil && login.ofClient() {
		login = nil
	}
	switch again, err := s.mustLogIn(ctx, a, login); {
	case err != nil:
		return Authorization{}, err
	case again && silent:
		return a.refuse(s, first(refusal, oauthError("login_required"))), nil
	case login == nil:
		return Authorization{Step: AuthorizeLogin, Client: c, Input: in}, nil
	case refusal != nil: // to somebody who is logged in: we redirect nobody else (OAuth 2.1 section 7.13.2)
		return a.refuse(s, refusal), nil
	case again:
		return Authorization{Step: AuthorizeAgain, Client: c, Input: in}, nil
	}
	return s.authorizeFor(ctx, a, login, answer, from)
}

// first is the first error that there is.
func first(a, b *Error) *Error {
	if a != nil {
		return a
	}
	return b
}

// mustLogIn tells whether the person has to log in first, or once more. Having
// been led away to do so, a person is not asked again.
func (s *Service) mustLogIn(ctx context.Context, a *authorizing, login *Session) (bool, error) {
	if login == nil {
		return true, nil
	}
	since := !a.AskedAt.IsZero() && !login.AuthTime.Before(a.AskedAt)
	if maxAge, err := strconv.ParseInt(a.MaxAge, 10, 32); err == nil && !since &&
		s.clock().Sub(login.AuthTime) > time.Duration(maxAge)*time.Second || a.MaxAge == "0" && !since {
		return true, nil
	}
	if slices.Contains(strings.Fields(a.Prompt), "login") && !since {
		return true, nil
	}
	if a.IDTokenHint == "" {
		return false, nil
	}
	hint, err := s.ReadHint(ctx, NewSecret(a.IDTokenHint))
	if err != nil && AsError(err).Code == Unavailable {
		return false, err
	}
	return err == nil && hint.UserID != login.UserID, nil // of another account than the one that is meant
}

// authorizeFor is for somebody who is logged in, and a request in order.
func (s *Service) authorizeFor(ctx context.Context, a *authorizing, login *Session, answer ConsentAnswer, from Caller) (Authorization, error) {
	prompts := strings.Fields(a.Prompt)
	asks := slices.Contains(prompts, "consent")
	var before Consent
	var err error
	if !a.client.FirstParty {
		if before, err = s.consent(ctx, login.UserID, a.client.ID); err != nil {
			return Authorization{}, err
		}
		asks = asks || !before.covers(a.scope)
	}
	switch {
	case answer == Refused:
		return a.refuse(s, oauthError("access_denied")), nil
	case asks && slices.Contains(prompts, "none"):
		return a.refuse(s, oauthError("consent_required")), nil
	case asks && answer == NotAsked:
		return Authorization{Step: AuthorizeConsent, Client: *a.client, Scopes: strings.Fields(a.scope), Input: a.AuthorizeInput}, nil
	case asks:
		if err := s.giveConsent(ctx, login.UserID, a.client, a.scope, from); err != nil {
			return Authorization{}, err
		}
	}
	return s.authorized(ctx, a, login)
}

// authorized gives the code.
func (s *Service) authorized(ctx context.Context, a *authorizing, login *Session) (Authorization, error) {
	u, err := s.User(ctx, login.UserID)
	if err != nil {
		return Authorization{}, err
	}
	facts := codeFacts{
		Session: NewSessionID(u.ID), Login: login.ID, Redirect: a.RedirectURI, Nonce: a.Nonce, Scope: a.scope, Audience: a.aud,
		AuthTime: login.AuthTime, AMR: login.AMR, ACR: login.ACR, PasswordVersion: u.PasswordVersion, Device: login.Device, IP: login.IP,
	}
	if a.client.FirstParty || hasScope(a.scope, scopeRoles) {
		facts.Roles = u.Roles
	}
	code, err := s.newCode(ctx, u.ID, a.client.ID, a.Challenge, facts)
	if err != nil {
		return Authorization{}, err
	}
	return a.redirect(s, "code", code.Reveal()), nil
}

// oauthError is an error of which RFC 6749 section 4.1.2.1 or OpenID Connect Core
// section 3.1.2.6 has the word.
func oauthError(word string) *Error { return &Error{Code: Invalid, Reason: word} }

// checkAuthorize is everything that is wrong with a request and may be told to
// the client, and fills in what it comes to.
func (s *Service) checkAuthorize(a *authorizing) *Error {
	prompts := strings.Fields(a.Prompt)
	known := []string{"none", "login", "consent", "select_account"}
	switch {
	case a.Repeated:
		return invalidRequest("A parameter is repeated.")
	case a.Request:
		return oauthError("request_not_supported")
	case a.RequestURI:
		return oauthError("request_uri_not_supported")
	case !a.client.mayUse(GrantAuthorizationCode):
		return ErrUnauthorizedClient
	case a.ResponseType != "code":
		return &Error{Code: Invalid, Reason: "unsupported_response_type", Message: "This server has the response type code."}
	case a.ResponseMode != "" && a.ResponseMode != "query":
		return invalidRequest("This server has the response mode query.")
	case len(prompts) > 1 && slices.Contains(prompts, "none"), slices.ContainsFunc(prompts, func(p string) bool { return !slices.Contains(known, p) }):
		return invalidRequest("The prompt is unknown, or none is not alone.")
	case len(a.Nonce) > maxNonce:
		return invalidRequest("The nonce is too long.")
	}
	if a.MaxAge != "" {
		if n, err := strconv.ParseInt(a.MaxAge, 10, 32); err != nil || n < 0 {
			return invalidRequest("max_age is a number of seconds.")
		}
	}
	if err := a.checkPKCE(); err != nil {
		return err
	}
	var err error
	if a.scope, err = a.client.askable(a.Scope); err == nil {
		a.aud, err = s.audience(a.client, a.Resource)
	}
	if err != nil {
		return AsError(err)
	}
	return nil
}

const maxNonce = 512

// checkPKCE is RFC 7636 section 4.4.1. Without PKCE a nonce has to do what it
// does, where the client may (RFC 9700 section 2.1.1).
func (a *authorizing) checkPKCE() *Error {
	switch {
	case a.Challenge == "" && a.ChallengeMethod != "":
		return invalidRequest("code_challenge is missing.")
	case a.Challenge == "" && !a.client.NoPKCE:
		return invalidRequest("PKCE is needed: send code_challenge with the method S256.")
	case a.Challenge == "" && (a.Nonce == "" || !hasScope(a.Scope, scopeOpenID)):
		return invalidRequest("Without PKCE the scope openid and a nonce are needed.")
	case a.Challenge == "":
		return nil
	case a.ChallengeMethod != "S256": // left out it means plain
		return invalidRequest("The code_challenge_method is S256.")
	}
	if raw, err := base64.RawURLEncoding.Strict().DecodeString(a.Challenge); err != nil || len(raw) != 32 || len(a.Challenge) != 43 {
		return invalidRequest("code_challenge is the SHA-256 hash of the verifier in base64url.")
	}
	return nil
}

// askable is what a client may ask a person for. What only clients without
// refresh tokens could not use is left out, as OpenID Connect Core section 11
// wants it.
func (c *Client) askable(scope string) (string, error) {
	words := strings.Fields(scope)
	if !within(scope, strings.Join(c.Scopes, " ")) {
		return "", ErrInvalidScope
	}
	var list []string
	for _, w := range words {
		if !slices.Contains(list, w) && (w != scopeOffline || c.mayUse(GrantRefreshToken)) {
			list = append(list, w)
		}
	}
	return strings.Join(list, " "), nil
}

func (a *authorizing) refuse(s *Service, e *Error) Authorization {
	return a.redirect(s, "error", e.Reason, "error_description", e.Message)
}

// redirect is the only way back to a client. It says who answers, so that no
// client takes our answer for another server's (RFC 9207).
func (a *authorizing) redirect(s *Service, pairs ...string) Authorization {
	u, err := url.Parse(a.RedirectURI)
	if err != nil {
		panic(fmt.Sprintf("a registered redirect URI is none: %v", err))
	}
	q := url.Values{"iss": {s.cfg.Issuer}}
	if a.State != "" {
		q.Set("state", a.State)
	}
	for p := range slices.Chunk(pairs, 2) {
		if p[1] != "" {
			q.Set(p[0], p[1])
		}
	}
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += q.Encode()
	return Authorization{Step: AuthorizeRedirect, URL: u.String(), Client: *a.client, Input: a.AuthorizeInput}
}

// requestLife is how long a person may take over logging in.
const requestLife = time.Hour

// sealedRequest is an authorization request on its way through the browser.
type sealedRequest struct {
	Input AuthorizeInput
	Until time.Time
}

// SealRequest makes a text of a request with which the browser comes back to it.
// What it is for is bound to it: "" for a login, a session's id for its consent.
func (s *Service) SealRequest(in AuthorizeInput, purpose string) (string, error) {
	now := s.clock()
	if in.AskedAt.IsZero() {
		in.AskedAt = now
	}
	raw, err := json.Marshal(sealedRequest{in, now.Add(requestLife)})
	if err != nil {
		return "", fmt.Errorf("encode request: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(s.ring.seal("authorize "+purpose, raw)), nil
}

// OpenRequest reads what SealRequest made for the same purpose.
func (s *Service) OpenRequest(text, purpose string) (AuthorizeInput, error) {
	var r sealedRequest
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err == nil {
		raw, _, err = s.ring.open("authorize "+purpose, raw)
	}
	if err == nil {
		err = json.Unmarshal(raw, &r)
	}
	if err != nil || !s.clock().Before(r.Until) {
		return AuthorizeInput{}, ErrRequestExpired
	}
	return r.Input, nil
}
