package bitjang

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/bitjang/bitjang/internal/jws"
)

// ClientCredentials are what a client sends to say who it is: an id alone, or
// with one proof.
type ClientCredentials struct {
	ID        string // may be empty beside an assertion, which names its client
	Secret    Secret
	Assertion Secret // a JWT signed with a key of the client's (RFC 7523)

	IP netip.Addr // who sends them: wrong ones are counted by network
}

// AuthenticateClient returns the client that these are the credentials of, or
// ErrInvalidClient. A public client is only named by its id: what that permits
// is for the caller to know (Client.Auth).
//
// Clients are remembered for a few seconds. A secret that was withdrawn works
// for that long on other nodes.
func (s *Service) AuthenticateClient(ctx context.Context, in ClientCredentials) (Client, error) {
	id := in.ID
	if !in.Assertion.IsZero() {
		named, ok := assertedClient(in.Assertion)
		if !ok || id != "" && id != named || !in.Secret.IsZero() {
			return Client{}, ErrInvalidClient
		}
		id = named
	}
	if !isClientID(id) {
		return Client{}, ErrInvalidClient
	}
	c, err := s.knownClient(ctx, id)
	if errors.Is(err, ErrNoSuchClient) {
		return Client{}, ErrInvalidClient
	} else if err != nil {
		return Client{}, err
	}
	key := guessKey(id, in.IP)
	if err := s.mayGuessClient(key); err != nil {
		return Client{}, err
	}
	if err := s.provesClient(ctx, &c, in); err != nil {
		if errors.Is(err, ErrInvalidClient) {
			s.clientGuesses.spend(key, s.clock(), limitClient.steps[0])
		}
		return Client{}, err
	}
	return c, nil
}

// provesClient checks what a client sends to prove who it is. The client's way
// decides, never what was sent: an empty secret must not turn a confidential client
// into a public one.
func (s *Service) provesClient(ctx context.Context, c *Client, in ClientCredentials) error {
	switch c.Auth {
	case ClientPublic:
		if in.Secret.IsZero() && in.Assertion.IsZero() {
			return nil
		}
	case ClientBySecret:
		if c.hasSecret(in.Secret) {
			return nil
		}
	case ClientByKey:
		return s.checkAssertion(ctx, c, in.Assertion)
	}
	return ErrInvalidClient
}

// guessKey is the bucket of wrong credentials: of one client from one network, so
// that no stranger locks a client out.
func guessKey(clientID string, ip netip.Addr) string {
	near, _, _ := nearAndWide(ip)
	return clientID + " " + near.String()
}

// mayGuessClient refuses who has sent too many wrong credentials of a client. Each
// node counts for itself: of 256 random bits nobody guesses any, and this only
// keeps the trying cheap (OAuth 2.1 section 2.4.1).
func (s *Service) mayGuessClient(key string) error {
	if s.cfg.NoRateLimits {
		return nil
	}
	st := limitClient.steps[0]
	wait := s.clientGuesses.wait(key, s.clock(), st)
	if wait == 0 {
		return nil
	}
	s.limited.add(limitClient.name)
	return nearRefusal(limitClient, wait)
}

// hasSecret compares with every secret in constant time.
func (c *Client) hasSecret(secret Secret) bool {
	if secret.IsZero() {
		return false
	}
	hash, found := hashClientSecret(secret), 0
	for _, known := range c.Secrets {
		found |= subtle.ConstantTimeCompare(hash, known.Hash)
	}
	return found == 1
}

const (
	// maxAssertionLife bounds what the store has to remember of assertions.
	maxAssertionLife = 10 * time.Minute
	assertionGrant   = "client_assertion"
)

// assertion is what a client says in its JWT (RFC 7523 section 3).
type assertion struct {
	issuer, subject, id string
	audience            []string
	expires, notBefore  int64
	issuedAt            int64
}

// readAssertion reads claims with exact names, each once.
func readAssertion(payload []byte) (a assertion, ok bool) {
	members, err := jws.Members(payload)
	if err != nil {
		return a, false
	}
	for _, m := range members {
		ok := true
		switch m.Name {
		case "iss":
			a.issuer, ok = m.Text()
		case "sub":
			a.subject, ok = m.Text()
		case "jti":
			a.id, ok = m.Text()
		case "aud":
			a.audience, ok = readAudience(m)
		case "exp":
			ok = json.Unmarshal(m.Value, &a.expires) == nil
		case "nbf":
			ok = json.Unmarshal(m.Value, &a.notBefore) == nil
		case "iat":
			ok = json.Unmarshal(m.Value, &a.issuedAt) == nil
		}
		if !ok {
			return a, false
		}
	}
	return a, true
}

func readAudience(m jws.Member) ([]string, bool) {
	if one, ok := m.Text(); ok {
		return []string{one}, true
	}
	var several []string
	return several, json.Unmarshal(m.Value, &several) == nil
}

// assertedClient is who an assertion says it is from. Nothing is proved by that.
func assertedClient(token Secret) (string, bool) {
	t, err := jws.Parse(token.Reveal())
	if err != nil {
		return "", false
	}
	a, ok := readAssertion(t.Payload)
	return a.subject, ok && a.subject != ""
}

// checkAssertion is RFC 7523 section 3 with the audience of its revision: the
// issuer and nothing beside it, so that a token meant for another server, or one
// that another server made the client sign, is not taken here. Each is taken once.
func (s *Service) checkAssertion(ctx context.Context, c *Client, token Secret) error {
	keys, err := jws.ParseSet(c.Keys)
	if err != nil || token.IsZero() {
		return ErrInvalidClient.because(err)
	}
	t, err := jws.Parse(token.Reveal())
	if err != nil || !signedByOne(t, keys) {
		return ErrInvalidClient.because(err)
	}
	a, ok := readAssertion(t.Payload)
	now := s.clock()
	expires := time.Unix(a.expires, 0)
	switch {
	case !ok || a.issuer != c.ID || a.subject != c.ID || a.id == "" || len(a.id) > jws.MaxKeyID:
	case len(a.audience) != 1 || a.audience[0] != s.cfg.Issuer:
	case a.expires <= 0 || !now.Before(expires.Add(clockSkew)) || expires.After(now.Add(maxAssertionLife)):
	case now.Add(clockSkew).Unix() < max(a.notBefore, a.issuedAt):
	default:
		return s.once(ctx, assertionGrant, c.ID+"\x00"+a.id, expires.Add(clockSkew))
	}
	return ErrInvalidClient
}

// signedByOne tells whether one of the keys made the signature: the one that the
// header names if it names one.
func signedByOne(t jws.Token, keys []jws.Key) bool {
	for _, k := range keys {
		if (t.Header.Kid == "" || t.Header.Kid == k.ID) && t.Verify(k.Algorithm, k.Public) == nil {
			return true
		}
	}
	return false
}

// once refuses what has been here before, until it has expired anyway.
func (s *Service) once(ctx context.Context, kind, name string, expires time.Time) error {
	id := sha256.Sum256([]byte(kind + "\x00" + name))
	err := s.sessions.InsertGrant(ctx, Grant{ID: id, Kind: kind, CreatedAt: s.clock(), ExpiresAt: expires})
	if errors.Is(err, ErrExists) {
		return ErrInvalidClient
	} else if err != nil {
		return outage("remember "+kind, err)
	}
	return nil
}

const (
	// clientMemory is how long a client is remembered, and so how long a secret
	// that was withdrawn elsewhere still works here.
	clientMemory     = 5 * time.Second
	maxKnownClients  = 1024
	maxClientsListed = 1000 // origins that are looked for
)

// knownClients spares the store the client at every refresh.
type knownClients struct {
	mu sync.Mutex
	by map[string]knownClient
}

type knownClient struct {
	Client
	until time.Time
}

func (k *knownClients) get(id string, now time.Time) (Client, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c, ok := k.by[id]
	return c.Client, ok && now.Before(c.until) && !now.Before(c.until.Add(-clientMemory))
}

func (k *knownClients) put(c Client, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.by == nil || len(k.by) >= maxKnownClients {
		k.by = map[string]knownClient{} // all of them are back within seconds
	}
	k.by[c.ID] = knownClient{c, now.Add(clientMemory)}
}

func (k *knownClients) forget(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.by, id)
}

// knownClient is Client from memory where that is fresh. Only what exists is
// remembered: strangers cannot fill it.
func (s *Service) knownClient(ctx context.Context, id string) (Client, error) {
	now := s.clock()
	if c, ok := s.known.get(id, now); ok {
		return c, nil
	}
	c, err := s.Client(ctx, id)
	if err == nil {
		s.known.put(c, now)
	}
	return c, err
}
