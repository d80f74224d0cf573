package bitjang

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
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
	Prompt, MaxAge, ACRValues     string
	LoginHint, IDTokenHint        string
	KeyThumbprint                 string // dpop_jkt (RFC 9449 section 10)
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
	AuthorizeOther                         // the same, although somebody is logged in: as somebody else
	AuthorizeProve                         // whoever is logged in must prove once more who that is, or prove more
	AuthorizeConsent                       // the person must be asked
)

// Authorization is the answer to an authorization request.
type Authorization struct {
	Step      AuthorizeStep
	URL       string // of AuthorizeRedirect
	Client    Client
	Scopes    []string  // of AuthorizeConsent: all that is asked for
	Challenge Challenge // of AuthorizeProve
	Input     AuthorizeInput
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

// Authorize decides an authorization request. login is who is in front of the
// browser, nil for nobody. An error is to be shown, and never redirected (RFC 6749
// section 4.1.2.1).
func (s *Service) Authorize(ctx context.Context, in AuthorizeInput, login *Identity, answer ConsentAnswer, from Caller) (Authorization, error) {
	c, err := s.knownClient(ctx, in.ClientID)
	if err != nil {
		return Authorization{}, err
	}
	if !c.redirects(in.RedirectURI) {
		return Authorization{}, ErrRedirectURI
	}
	a := &authorizing{AuthorizeInput: in, client: &c}
	refusal := s.checkAuthorize(a)
	if login != nil && login.Session.ofClient() {
		login = nil
	}
	switch step, err := s.nextStep(ctx, a, login); {
	case err != nil:
		return Authorization{}, err
	case step != AuthorizeRedirect && a.prompts("none"):
		return a.refuse(s, first(refusal, oauthError("login_required"))), nil
	case step == AuthorizeLogin:
		return a.ask(step), nil
	case refusal != nil: // to somebody who is logged in: we redirect nobody else (OAuth 2.1 section 7.13.2)
		return a.refuse(s, refusal), nil
	case step == AuthorizeProve:
		return s.askMore(ctx, a, login, from)
	case step != AuthorizeRedirect:
		return a.ask(step), nil
	}
	return s.authorizeFor(ctx, a, &login.Session, answer, from)
}

func (a *authorizing) prompts(word string) bool {
	return slices.Contains(strings.Fields(a.Prompt), word)
}

func (a *authorizing) ask(step AuthorizeStep) Authorization {
	return Authorization{Step: step, Client: *a.client, Input: a.AuthorizeInput}
}

// first is the first error that there is.
func first(a, b *Error) *Error {
	if a != nil {
		return a
	}
	return b
}

// nextStep tells what the person has to do before the client is answered, apart
// from consent; AuthorizeRedirect is nothing. Having been led away to do it, a
// person is not asked again.
func (s *Service) nextStep(ctx context.Context, a *authorizing, login *Identity) (AuthorizeStep, error) {
	if login == nil {
		return AuthorizeLogin, nil
	}
	sess := &login.Session
	since := !a.AskedAt.IsZero() && !sess.AuthTime.Before(a.AskedAt)
	if a.IDTokenHint != "" {
		hint, err := s.ReadHint(ctx, NewSecret(a.IDTokenHint))
		switch {
		case err != nil && AsError(err).Code == Unavailable:
			return 0, err
		case err == nil && hint.UserID != sess.UserID:
			return AuthorizeOther, nil
		}
	}
	switch {
	case a.prompts("select_account") && !since:
		return AuthorizeOther, nil
	case !since && (a.prompts("login") || s.tooOld(a, sess)):
		return AuthorizeProve, nil
	case a.level() == aal2 && sess.ACR != aal2:
		return AuthorizeProve, nil
	}
	return AuthorizeRedirect, nil
}

// tooOld tells whether the person has proved who they are longer ago than max_age.
func (s *Service) tooOld(a *authorizing, sess *Session) bool {
	maxAge, err := strconv.ParseInt(a.MaxAge, 10, 32)
	return err == nil && (maxAge == 0 || s.clock().Sub(sess.AuthTime) > time.Duration(maxAge)*time.Second)
}

// level is the first of the acr_values that we know: they are in the order of
// preference (OpenID Connect Core section 3.1.2.1).
func (a *authorizing) level() string {
	for _, v := range strings.Fields(a.ACRValues) {
		if v == aal1 || v == aal2 {
			return v
		}
	}
	return ""
}

// askMore asks whoever is logged in to prove more, or once more.
func (s *Service) askMore(ctx context.Context, a *authorizing, login *Identity, from Caller) (Authorization, error) {
	in := StepUpInput{Identity: *login, ACR: a.level(), Caller: from}
	if a.prompts("login") || a.MaxAge != "" {
		in.MaxAge = new(time.Duration) // now
	}
	c, done, err := s.StepUp(ctx, in)
	switch {
	case errors.Is(err, ErrFactorMissing):
		return a.refuse(s, oauthError("unmet_authentication_requirements")), nil // RFC 9470 section 5
	case err != nil:
		return Authorization{}, err
	case done: // within the millisecond
		return s.authorizeFor(ctx, a, &login.Session, NotAsked, from)
	}
	asked := a.ask(AuthorizeProve)
	asked.Challenge = c
	return asked, nil
}

// authorizeFor is for somebody who is logged in, and a request in order.
func (s *Service) authorizeFor(ctx context.Context, a *authorizing, login *Session, answer ConsentAnswer, from Caller) (Authorization, error) {
	asks := a.prompts("consent")
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
	case asks && a.prompts("none"):
		return a.refuse(s, oauthError("consent_required")), nil
	case asks && answer == NotAsked:
		asked := a.ask(AuthorizeConsent)
		asked.Scopes = strings.Fields(a.scope)
		return asked, nil
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
		AuthTime: login.AuthTime, AMR: login.AMR, ACR: login.ACR, PasswordVersion: u.PasswordVersion, Device: login.Device, IP: login.IP, KeyThumbprint: a.KeyThumbprint,
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
	case a.KeyThumbprint != "" && !isThumbprint(a.KeyThumbprint):
		return invalidRequest("dpop_jkt is the SHA-256 thumbprint of a key in base64url.")
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
	if !isThumbprint(a.Challenge) {
		return invalidRequest("code_challenge is the SHA-256 hash of the verifier in base64url.")
	}
	return nil
}

// isThumbprint tells whether a text is 32 bytes in base64url, with one spelling.
func isThumbprint(text string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(raw) == 32 && len(text) == 43
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

// sealedRequest is an authorization request on its way through the browser: in an
// address, so it is kept short.
type sealedRequest struct {
	Input requestFields `json:"i"`
	Until time.Time     `json:"u"`
}

// requestFields are those of AuthorizeInput, in its order: that is what lets one
// be converted into the other.
type requestFields struct {
	ResponseType    string    `json:"t,omitempty"`
	ResponseMode    string    `json:"m,omitempty"`
	ClientID        string    `json:"c,omitempty"`
	RedirectURI     string    `json:"r,omitempty"`
	Scope           string    `json:"s,omitempty"`
	State           string    `json:"st,omitempty"`
	Nonce           string    `json:"n,omitempty"`
	Challenge       string    `json:"cc,omitempty"`
	ChallengeMethod string    `json:"cm,omitempty"`
	Resource        string    `json:"re,omitempty"`
	Prompt          string    `json:"p,omitempty"`
	MaxAge          string    `json:"ma,omitempty"`
	ACRValues       string    `json:"acr,omitempty"`
	LoginHint       string    `json:"lh,omitempty"`
	IDTokenHint     string    `json:"ih,omitempty"`
	KeyThumbprint   string    `json:"k,omitempty"`
	UILocales       string    `json:"ui,omitempty"`
	Repeated        bool      `json:"x,omitempty"`
	Request         bool      `json:"rq,omitempty"`
	RequestURI      bool      `json:"ru,omitempty"`
	AskedAt         time.Time `json:"a,omitzero"`
}

// SealRequest makes a text of a request with which the browser comes back to it.
// What it is for is bound to it: "" for a login, a session's id for its consent.
func (s *Service) SealRequest(in AuthorizeInput, purpose string) (string, error) {
	now := s.clock()
	if in.AskedAt.IsZero() {
		in.AskedAt = now
	}
	raw, err := json.Marshal(sealedRequest{requestFields(in), now.Add(requestLife)})
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
	return AuthorizeInput(r.Input), nil
}
