package verify

import (
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bitjang/bitjang/internal/dpop"
	"github.com/bitjang/bitjang/internal/jws"
)

// Key is a public key of the issuer.
type Key struct {
	ID        string // the `kid` of tokens signed with it
	Algorithm string // the only algorithm it is for
	Public    crypto.PublicKey
}

// KeySource finds the issuer's signing keys.
//
// Key returns ErrUnknownKey if there is no such key, and another error if keys
// cannot be had at all. It returns the same pointer for as long as a key stays
// what it is: tokens that were verified before are remembered together with the
// pointer, and looked at again once it differs. The kid is whatever a stranger
// wrote into a token, up to 256 bytes: look it up, and build no path, query or
// log line of it.
type KeySource interface {
	Key(ctx context.Context, kid string) (*Key, error)
}

// Config makes a Verifier. Required: Issuer and Audience. Every other zero value
// has the stated default.
type Config struct {
	Issuer   string // has to equal `iss`
	Audience string // has to be in `aud`

	JWKSURL    string       // where the keys are; default: Issuer + "/.well-known/jwks.json"
	Keys       KeySource    // default: the keys at JWKSURL
	HTTPClient *http.Client // fetches them; default: a client of its own with a timeout of 5 s

	Algorithms []string      // allowed ones of ES256, EdDSA, RS256; default: ES256
	Types      []string      // allowed `typ`; default: "at+jwt". With or without "application/", in any case
	Leeway     time.Duration // how far clocks may be apart; default 30 s, negative: not at all
	CacheSize  int           // how many verified tokens are remembered; default 4096, negative: none

	// Cookie names a cookie that may carry the token as well; default: none does.
	// Browsers send cookies along with requests that other sites caused, so a
	// token from the cookie counts only if CrossOrigin lets the request pass.
	Cookie      string
	CrossOrigin *http.CrossOriginProtection // default: no cross-origin request but GET, HEAD and OPTIONS

	// Origin is the scheme and host under which clients reach this API, say
	// "https://api.example.com", for the proofs of tokens that are bound to a key.
	// Default: what the request says, which behind a proxy is not what the client
	// saw.
	Origin   string
	ProofAge time.Duration // how old a DPoP proof may be; default 1 m
	// InsecureNoProof takes tokens that are bound to a key from whoever brings
	// them. It is for callers who check the proof themselves.
	InsecureNoProof bool

	// InsecureAnyAudience accepts tokens for every audience. It is for the issuer
	// itself, which looks at `aud` on its own.
	InsecureAnyAudience bool

	Feed *Feed // default: none; tokens of ended sessions stay good until they expire

	Now func() time.Time // default: time.Now
}

// Verifier checks access tokens. It is safe for concurrent use.
type Verifier struct {
	cfg    Config
	keys   KeySource
	cache  *tokenCache
	proofs *dpop.Replayed
	feed   *feed  // nil without one
	realm  string // quoted
}

// New returns a Verifier, or an error that names everything that is wrong with
// cfg. It fetches nothing yet.
func New(cfg Config) (*Verifier, error) {
	cfg = cfg.withDefaults()
	if err := cfg.problems(); err != nil {
		return nil, err
	}
	v := &Verifier{cfg: cfg, keys: cfg.Keys, cache: newTokenCache(cfg.CacheSize), realm: quote(cfg.Audience)}
	v.proofs = dpop.NewReplayed(maxProofs)
	if cfg.Feed != nil {
		v.feed = newFeed(*cfg.Feed, cfg.Leeway)
	}
	if v.keys == nil {
		v.keys = newRemoteKeys(cfg.JWKSURL, cfg.HTTPClient, cfg.Now)
	}
	return v, nil
}

func (c Config) withDefaults() Config {
	if c.JWKSURL == "" {
		c.JWKSURL = strings.TrimSuffix(c.Issuer, "/") + "/.well-known/jwks.json"
	}
	if c.HTTPClient == nil {
		c.HTTPClient = &http.Client{Timeout: 5 * time.Second}
	}
	if c.Algorithms = slices.Clone(c.Algorithms); len(c.Algorithms) == 0 {
		c.Algorithms = []string{jws.ES256}
	}
	if c.Types = slices.Clone(c.Types); len(c.Types) == 0 {
		c.Types = []string{"at+jwt"}
	}
	for i, t := range c.Types {
		c.Types[i] = mediaType(t)
	}
	if c.Leeway == 0 {
		c.Leeway = 30 * time.Second
	}
	c.Leeway = max(c.Leeway, 0)
	if c.CacheSize == 0 {
		c.CacheSize = 4096
	}
	if c.ProofAge == 0 {
		c.ProofAge = time.Minute
	}
	if c.Feed != nil {
		f := c.Feed.withDefaults(c.Issuer)
		c.Feed = &f
	}
	if c.CrossOrigin == nil {
		c.CrossOrigin = http.NewCrossOriginProtection()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// maxLeeway is how far apart we believe clocks to be. More is a mistake, such as
// a plain number taken for seconds the wrong way round.
const maxLeeway = 10 * time.Minute

// maxFeedLeeway is how long after their exp the issuer's feed still thinks of
// tokens, less what its own clocks may be apart.
const maxFeedLeeway = 45 * time.Second

// problems returns everything that is wrong with a Config whose defaults are
// filled in.
func (c Config) problems() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("verify: "+format, args...)) }
	if c.Issuer == "" {
		bad("Issuer: missing")
	}
	if c.Audience == "" {
		bad("Audience: missing")
	}
	if c.Keys == nil {
		u, err := url.Parse(c.JWKSURL)
		if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
			bad("JWKSURL: %q is not an http or https URL", c.JWKSURL)
		}
	}
	for _, alg := range c.Algorithms {
		if alg != jws.ES256 && alg != jws.EdDSA && alg != jws.RS256 {
			bad("Algorithms: %q is none of ES256, EdDSA, RS256", alg)
		}
	}
	if slices.Contains(c.Types, "") {
		bad("Types: empty, which every token without a type would match")
	}
	if c.Leeway > maxLeeway {
		bad("Leeway: %v is more than %v", c.Leeway, maxLeeway)
	}
	if c.ProofAge < 0 || c.ProofAge > maxLeeway {
		bad("ProofAge: %v is not within 0 and %v", c.ProofAge, maxLeeway)
	}
	if u, err := url.Parse(c.Origin); c.Origin != "" && (err != nil || u.Host == "" || u.Scheme+"://"+u.Host != c.Origin) {
		bad("Origin: %q is not a scheme and host like https://api.example.com", c.Origin)
	}
	if c.Feed != nil {
		c.Feed.problems(bad)
		if c.Leeway > maxFeedLeeway {
			bad("Leeway: %v is more than %v, for which the feed keeps what it says longer than tokens live", c.Leeway, maxFeedLeeway)
		}
	}
	if c.Cookie != "" && (&http.Cookie{Name: c.Cookie}).Valid() != nil {
		bad("Cookie: %q cannot be the name of a cookie", c.Cookie)
	}
	return errors.Join(errs...)
}

// mediaType brings a `typ` into the one form that is compared: RFC 7515 section
// 4.1.9 lets issuers leave out "application/" when no other slash follows.
func mediaType(typ string) string {
	typ = strings.ToLower(typ)
	if short, ok := strings.CutPrefix(typ, "application/"); ok && !strings.Contains(short, "/") {
		return short
	}
	return typ
}

// Verify checks a token and returns what it says. The claims are the caller's
// own copy. The context bounds the wait for keys and nothing else. A token that
// is bound to a key is refused with ErrProofRequired: see VerifyProof.
func (v *Verifier) Verify(ctx context.Context, token string) (*Claims, error) {
	claims, err := v.check(ctx, token)
	if err != nil {
		return nil, err
	}
	if claims.Confirmation.KeyThumbprint != "" && !v.cfg.InsecureNoProof {
		return nil, ErrProofRequired
	}
	return claims, nil
}

// check does everything but to ask whether the caller holds the token's key.
func (v *Verifier) check(ctx context.Context, token string) (*Claims, error) {
	claims, err := v.checkToken(ctx, token)
	if err != nil || v.feed == nil {
		return claims, err
	}
	if err := v.feed.check(claims); err != nil {
		return nil, err
	}
	return claims, nil
}

func (v *Verifier) checkToken(ctx context.Context, token string) (*Claims, error) {
	if token == "" {
		return nil, ErrNoToken
	}
	if len(token) > jws.MaxToken {
		return nil, ErrMalformed
	}
	now := v.cfg.Now()
	var space [1024]byte // keeps the copy of a usual token off the heap
	sum := sha256.Sum256(append(space[:0], token...))
	if hit, ok := v.cache.get(sum); ok && v.stillHas(ctx, hit.key) {
		if err := v.timely(hit.claims, now); err != nil {
			return nil, err
		}
		return hit.claims.clone(), nil
	}
	claims, key, err := v.verify(ctx, token, now)
	if err != nil {
		return nil, err
	}
	if v.cache != nil {
		v.cache.put(sum, verified{claims.clone(), key})
	}
	return claims, nil
}

// stillHas reports whether the issuer still publishes the very same key. If not,
// the token is verified as if it were new, and refused for what is wrong now.
func (v *Verifier) stillHas(ctx context.Context, key *Key) bool {
	k, err := v.keys.Key(ctx, key.ID)
	return err == nil && k == key
}

// verify does all the checks, cheap ones first, and nothing with the claims
// before the signature is known to be good.
func (v *Verifier) verify(ctx context.Context, token string, now time.Time) (*Claims, *Key, error) {
	tok, err := jws.Parse(token)
	if err != nil {
		return nil, nil, ErrMalformed
	}
	if !slices.Contains(v.cfg.Algorithms, tok.Header.Alg) {
		return nil, nil, ErrAlgorithm
	}
	if !slices.Contains(v.cfg.Types, mediaType(tok.Header.Typ)) {
		return nil, nil, ErrWrongType
	}
	key, err := v.key(ctx, tok.Header.Kid)
	if err != nil {
		return nil, nil, err
	}
	if key.Algorithm != tok.Header.Alg {
		return nil, nil, ErrAlgorithm
	}
	if err := tok.Verify(key.Algorithm, key.Public); err != nil {
		return nil, nil, ErrBadSignature
	}
	claims, err := parseClaims(tok.Payload)
	if err != nil {
		return nil, nil, err
	}
	if err := claims.complete(); err != nil {
		return nil, nil, err
	}
	if claims.Issuer != v.cfg.Issuer {
		return nil, nil, ErrWrongIssuer
	}
	if !v.cfg.InsecureAnyAudience && !slices.Contains(claims.Audience, v.cfg.Audience) {
		return nil, nil, ErrWrongAudience
	}
	if err := v.timely(claims, now); err != nil {
		return nil, nil, err
	}
	return claims, key, nil
}

// key asks the key source, and sorts its errors into the two that we have.
func (v *Verifier) key(ctx context.Context, kid string) (*Key, error) {
	if kid == "" {
		return nil, ErrUnknownKey // not to be looked up: a source might have a key without a name
	}
	key, err := v.keys.Key(ctx, kid)
	switch {
	case errors.Is(err, ErrUnknownKey):
		return nil, ErrUnknownKey
	case errors.Is(err, ErrKeysUnavailable):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrKeysUnavailable, err)
	case key == nil:
		return nil, ErrUnknownKey
	}
	return key, nil
}

// timely compares whole seconds, as the claims have them, so that no exp can
// overflow anything.
func (v *Verifier) timely(c *Claims, now time.Time) error {
	if now.Add(-v.cfg.Leeway).Unix() >= c.ExpiresAt {
		return ErrExpired
	}
	if latest := now.Add(v.cfg.Leeway).Unix(); latest < c.IssuedAt || latest < c.NotBefore {
		return ErrNotYetValid
	}
	return nil
}
