package bitjang

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bitjang/bitjang/internal/jws"
)

// Limits of a registration.
const (
	maxClientID   = 128
	maxClientList = 64
	maxScope      = 64 // bytes of one
	maxURI        = 1024
)

// checkClient is what may be registered. The refusal names the first thing that
// may not.
func (s *Service) checkClient(c *Client) error {
	bad := func(format string, args ...any) error { return invalid("client_invalid", format, args...) }
	name, err := checkName(c.Name)
	switch {
	case err != nil || name == "":
		return bad("A client needs a name of 1 to %d bytes that people can read.", maxName)
	case !isClientID(c.ID) || c.ID == s.cfg.ClientID || c.ID == s.cfg.Audience:
		return bad("A client's id has 1 to %d letters, digits and -._~, and is neither %q nor %q.", maxClientID, s.cfg.ClientID, s.cfg.Audience)
	case !slices.Contains([]ClientAuth{ClientPublic, ClientBySecret, ClientByKey}, c.Auth):
		return bad("A client authenticates with %q, %q or %q.", ClientPublic, ClientBySecret, ClientByKey)
	case c.Auth == ClientByKey && !hasKeys(c.Keys):
		return bad("A client with %q needs a JWK set with at least one key for ES256, EdDSA or RS256.", ClientByKey)
	case c.public() && c.NoPKCE:
		return bad("A client without a secret or key needs PKCE.")
	}
	c.Name = name
	if err := checkGrants(c); err != nil {
		return err
	}
	if err := checkURIs(c); err != nil {
		return err
	}
	return s.checkLifetimes(c)
}

func isClientID(id string) bool {
	return id != "" && len(id) <= maxClientID && !strings.ContainsFunc(id, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && !strings.ContainsRune("-._~", r)
	})
}

func hasKeys(set []byte) bool {
	keys, err := jws.ParseSet(set)
	return err == nil && len(keys) > 0
}

func checkGrants(c *Client) error {
	bad := func(format string, args ...any) error { return invalid("client_invalid", format, args...) }
	for _, g := range c.GrantTypes {
		if !slices.Contains([]string{GrantAuthorizationCode, GrantRefreshToken, GrantClientCredentials}, g) {
			return bad("%q is not a grant type of this server.", g)
		}
	}
	code := c.mayUse(GrantAuthorizationCode)
	switch {
	case code != (len(c.RedirectURIs) > 0):
		return bad("The grant type %s and redirect URIs go together.", GrantAuthorizationCode)
	case c.mayUse(GrantRefreshToken) && !code:
		return bad("The grant type %s needs %s, which gives the first one.", GrantRefreshToken, GrantAuthorizationCode)
	case c.mayUse(GrantClientCredentials) && c.public():
		return bad("The grant type %s is for clients with a secret or a key.", GrantClientCredentials)
	}
	for _, scope := range c.Scopes {
		if !isScope(scope) {
			return bad("%q is not a scope: 1 to %d visible ASCII characters without quote and backslash.", scope, maxScope)
		}
	}
	if len(c.Scopes) > maxClientList || len(c.Resources) > maxClientList || len(c.RedirectURIs) > maxClientList || len(c.LogoutURIs) > maxClientList {
		return bad("A client has at most %d of each: scopes, resources, redirect URIs.", maxClientList)
	}
	return nil
}

// isScope is scope-token of RFC 6749 section 3.3.
func isScope(text string) bool {
	return text != "" && len(text) <= maxScope && !strings.ContainsFunc(text, func(r rune) bool {
		return r <= ' ' || r > '~' || r == '"' || r == '\\'
	})
}

func checkURIs(c *Client) error {
	bad := func(format string, args ...any) error { return invalid("client_invalid", format, args...) }
	for _, uri := range slices.Concat(c.RedirectURIs, c.LogoutURIs) {
		if err := checkRedirectURI(uri); err != nil {
			return err
		}
	}
	for _, r := range c.Resources {
		if !isResource(r) {
			return bad("%q is not a resource: an absolute URI without fragment.", r)
		}
	}
	if c.BackchannelLogoutURI == "" {
		return nil
	}
	u, err := url.Parse(c.BackchannelLogoutURI)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || (u.Scheme != "https" && u.Scheme != "http") || len(c.BackchannelLogoutURI) > maxURI {
		return bad("%q is not an https URL for back-channel logout.", c.BackchannelLogoutURI)
	}
	return nil
}

// isResource is what may stand in `resource` (RFC 8707 section 2).
func isResource(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme != "" && (u.Host != "" || u.Opaque != "") && u.Fragment == "" && !strings.Contains(text, "#") &&
		len(text) <= maxURI && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// checkRedirectURI is what a client may register (RFC 9700 section 2.6, RFC 8252
// section 7): https, http on a loopback address only, or a scheme of the app's
// own that is a domain name read backwards.
func checkRedirectURI(text string) error {
	bad := func(why string) error {
		return invalid("redirect_uri_invalid", "The redirect URI %q cannot be registered: %s.", text, why)
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme == "" || len(text) > maxURI:
		return bad("it is not an absolute URI")
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }):
		return bad("it has characters that browsers read in different ways")
	case strings.Contains(text, "#"):
		return bad("it has a fragment")
	case u.User != nil:
		return bad("it has a user name")
	case strings.Contains(text, "*"):
		return bad("redirect URIs are compared exactly, and * is no wildcard")
	case u.Scheme == "https" && u.Host != "":
		return nil
	case u.Scheme == "http" && isLoopback(u):
		return nil
	case u.Scheme == "http":
		return bad("http is for loopback addresses only")
	case !strings.Contains(u.Scheme, "."):
		return bad("an app's own scheme is a domain name of the app's maker read backwards, with a dot in it")
	}
	return nil
}

// isLoopback tells whether a URL leads to the caller's own machine. localhost is
// taken too; only addresses may have any port.
func isLoopback(u *url.URL) bool {
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}

// redirects tells whether the client has registered a redirect URI. It is
// compared character by character, but for the port of a loopback address, which
// an app cannot choose (RFC 8252 section 7.3).
func (c *Client) redirects(text string) bool {
	if slices.Contains(c.RedirectURIs, text) {
		return true
	}
	plain, ok := withoutLoopbackPort(text)
	return ok && slices.ContainsFunc(c.RedirectURIs, func(registered string) bool {
		r, ok := withoutLoopbackPort(registered)
		return ok && r == plain
	})
}

// withoutLoopbackPort takes the port out of an http URL of a loopback address.
// ok is false for any other URI and for one that is spelled in an odd way.
func withoutLoopbackPort(text string) (plain string, ok bool) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" || u.User != nil || u.String() != text {
		return "", false
	}
	if _, err := netip.ParseAddr(u.Hostname()); err != nil || !isLoopback(u) {
		return "", false
	}
	if u.Port() != "" {
		u.Host = strings.TrimSuffix(u.Host, ":"+u.Port())
	}
	return u.String(), true
}

func (s *Service) checkLifetimes(c *Client) error {
	within := func(value, least, most time.Duration) bool { return value == 0 || value >= least && value <= most }
	const decade = 3660 * day
	switch {
	case !within(c.AccessTTL, time.Second, s.cfg.AccessTTL):
		return invalid("client_invalid", "A client's access tokens live %v at most, as everybody's: the revocation feed reaches back no further.", s.cfg.AccessTTL)
	case !within(c.RefreshTTL, time.Second, decade) || !within(c.SessionTTL, time.Second, decade):
		return invalid("client_invalid", "Lifetimes are between a second and ten years.")
	case c.RefreshTTL > 0 && c.SessionTTL > 0 && c.SessionTTL < c.RefreshTTL:
		return invalid("client_invalid", "A session lives at least as long as a refresh token.")
	}
	return nil
}
