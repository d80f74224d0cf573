package bitjang

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"
)

// Client is a program that the operator has registered: one that logs people in
// through us, or that speaks for itself (RFC 6749 section 2).
type Client struct {
	ID   string // `client_id`; never changes
	Name string // shown to people
	Auth ClientAuth

	// Secrets are those that a client with ClientSecret may use, newest first:
	// two while one is replaced by the other.
	Secrets []ClientSecret
	Keys    []byte // the JWK set of a client with ClientKey

	FirstParty bool // the operator's own: people are not asked for consent

	GrantTypes   []string
	Scopes       []string // what it may ask for
	Resources    []string // what its access tokens may be for (RFC 8707), its usual one first; none: Config.Audience
	RedirectURIs []string // exact, but for the port of a loopback address (RFC 8252 section 7.3)
	LogoutURIs   []string // post_logout_redirect_uri, exact
	// BackchannelLogoutURI is told when one of its sessions ends.
	BackchannelLogoutURI string

	// Lifetimes of its tokens and sessions; zero: the service's own. AccessTTL
	// can only be shorter than that.
	AccessTTL, RefreshTTL, SessionTTL time.Duration

	NoPKCE bool // a client with a secret or key that cannot do PKCE sends a nonce instead
	DPoP   bool // all its access tokens are bound to a key (RFC 9449 section 5.2)

	CreatedAt time.Time
	UpdatedAt time.Time
	Version   int64
}

// ClientAuth says how a client proves who it is, in the words of RFC 7591
// section 2.
type ClientAuth string

// The ways.
const (
	ClientPublic   ClientAuth = "none"            // it cannot keep a secret: an app, a page
	ClientBySecret ClientAuth = "client_secret"   // in the Authorization header or in the form
	ClientByKey    ClientAuth = "private_key_jwt" // RFC 7523
)

// ClientSecret is the SHA-256 hash of a secret of 256 random bits: there is
// nothing to guess, so nothing slower is needed.
type ClientSecret struct {
	Hash      []byte
	CreatedAt time.Time
}

// The grant types.
const (
	GrantAuthorizationCode = "authorization_code"
	GrantRefreshToken      = "refresh_token"
	GrantClientCredentials = "client_credentials"
)

const (
	clientSecretPrefix = "bjs_" // secret scanners find leaked secrets by it
	maxClientSecrets   = 2
)

// newClientSecret makes a secret and what is kept of it.
func newClientSecret(now time.Time) (Secret, ClientSecret) {
	raw := make([]byte, 32)
	rand.Read(raw)
	secret := NewSecret(clientSecretPrefix + base64.RawURLEncoding.EncodeToString(raw))
	return secret, ClientSecret{Hash: hashClientSecret(secret), CreatedAt: now}
}

func hashClientSecret(secret Secret) []byte {
	sum := sha256.Sum256([]byte(secret.Reveal()))
	return sum[:]
}

// mayUse tells whether the client is registered for a grant type.
func (c *Client) mayUse(grant string) bool { return slices.Contains(c.GrantTypes, grant) }

// public tells whether the client proves nothing about itself.
func (c *Client) public() bool { return c.Auth == ClientPublic }

// AddClient registers a client. It fills in what follows from the rest: an id,
// and a secret for a client that authenticates by one, which is returned and
// can never be had again.
func (s *Service) AddClient(ctx context.Context, c Client) (Client, Secret, error) {
	now := s.clock()
	if c.ID == "" {
		c.ID = strings.ToLower(rand.Text())
	}
	setDefault(&c.Auth, ClientBySecret)
	if len(c.GrantTypes) == 0 && len(c.RedirectURIs) > 0 {
		c.GrantTypes = []string{GrantAuthorizationCode, GrantRefreshToken}
	}
	if len(c.Scopes) == 0 && c.mayUse(GrantAuthorizationCode) {
		c.Scopes = []string{scopeOpenID, scopeProfile, scopeEmail, scopeOffline}
	}
	c.CreatedAt, c.UpdatedAt, c.Version, c.Secrets = now, now, 1, nil
	if err := s.checkClient(&c); err != nil {
		return Client{}, Secret{}, err
	}
	var secret Secret
	if c.Auth == ClientBySecret {
		var kept ClientSecret
		secret, kept = newClientSecret(now)
		c.Secrets = []ClientSecret{kept}
	}
	if err := s.clients.InsertClient(ctx, c); errors.Is(err, ErrExists) {
		return Client{}, Secret{}, ErrClientExists
	} else if err != nil {
		return Client{}, Secret{}, outage("save client", err)
	}
	s.record(ctx, Event{Type: EventClientAdded, Reason: c.ID})
	return c, secret, nil
}

// UpdateClient changes what a client is registered for. Its id, its secrets and
// its times stay what they are.
func (s *Service) UpdateClient(ctx context.Context, c Client) (Client, error) {
	if err := s.checkClient(&c); err != nil {
		return Client{}, err
	}
	return s.changeClient(ctx, c.ID, func(stored *Client) {
		c.Secrets, c.CreatedAt, c.Version = stored.Secrets, stored.CreatedAt, stored.Version
		*stored = c
	})
}

// RotateClientSecret gives a client another secret. The former one works until
// the next rotation, so that the client can be told in peace; discard withdraws
// it at once.
func (s *Service) RotateClientSecret(ctx context.Context, id string, discard bool) (Client, Secret, error) {
	secret, kept := newClientSecret(s.clock())
	var refusal error
	c, err := s.changeClient(ctx, id, func(c *Client) {
		if refusal = nil; c.Auth != ClientBySecret {
			refusal = invalid("client_invalid", "The client %s has no secret: it authenticates with %q.", c.ID, c.Auth)
			return
		}
		if discard {
			c.Secrets = nil
		}
		c.Secrets = append([]ClientSecret{kept}, c.Secrets...)
		c.Secrets = c.Secrets[:min(len(c.Secrets), maxClientSecrets)]
	})
	if err = errors.Join(refusal, err); err != nil {
		return Client{}, Secret{}, err
	}
	s.record(ctx, Event{Type: EventClientRotated, Reason: id})
	return c, secret, nil
}

// changeClient is the compare-and-swap loop for clients.
func (s *Service) changeClient(ctx context.Context, id string, change func(*Client)) (Client, error) {
	for range casAttempts {
		c, err := s.Client(ctx, id)
		if err != nil {
			return Client{}, err
		}
		change(&c)
		c.UpdatedAt = s.clock()
		err = s.clients.UpdateClient(ctx, c)
		switch {
		case err == nil:
			c.Version++
			s.known.forget(id)
			return c, nil
		case !errors.Is(err, ErrConflict):
			return Client{}, outage("save client", err)
		}
	}
	return Client{}, errContended
}

// RemoveClient removes a client. Its sessions get no tokens any more: nobody can
// authenticate as it.
func (s *Service) RemoveClient(ctx context.Context, id string) error {
	if _, err := s.Client(ctx, id); err != nil {
		return err
	}
	if err := s.clients.DeleteClient(ctx, id); err != nil {
		return outage("delete client", err)
	}
	s.known.forget(id)
	s.record(ctx, Event{Type: EventClientRemoved, Reason: id})
	return nil
}

// Client returns a client by its id.
func (s *Service) Client(ctx context.Context, id string) (Client, error) {
	c, err := s.clients.Client(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return Client{}, ErrNoSuchClient
	} else if err != nil {
		return Client{}, outage("load client", err)
	}
	return c, nil
}

// Clients lists clients in the order of their ids, at most 100 after the given one.
func (s *Service) Clients(ctx context.Context, after string) ([]Client, error) {
	list, err := s.clients.Clients(ctx, after, maxPage)
	if err != nil {
		return nil, outage("list clients", err)
	}
	return list, nil
}
