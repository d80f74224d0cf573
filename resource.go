package bitjang

import (
	"context"
	"slices"

	"github.com/bitjang/bitjang/verify"
)

// Resource is how access tokens for one audience look, where that differs from
// the usual: some resource servers accept less than RFC 9068 gives them.
type Resource struct {
	Audience  string // `aud` of its tokens: an absolute URI
	Type      string // `typ` of their header: "at+jwt" (default) or "JWT"
	Algorithm string // default: Config.Algorithm
}

const (
	accessTokenType     = "at+jwt" // RFC 9068 section 2.1
	compatibleTokenType = "JWT"
)

// resource is how tokens for an audience look.
func (s *Service) resource(audience string) Resource {
	for _, r := range s.cfg.Resources {
		if r.Audience == audience {
			setDefault(&r.Type, accessTokenType)
			setDefault(&r.Algorithm, s.cfg.Algorithm)
			return r
		}
	}
	return Resource{Audience: audience, Type: accessTokenType, Algorithm: s.cfg.Algorithm}
}

func (c Config) checkResources(bad func(format string, args ...any)) {
	seen := map[string]bool{}
	for _, r := range c.Resources {
		switch {
		case r.Audience != c.Audience && !isResource(r.Audience):
			bad("Resources: %q is not an absolute URI without fragment", r.Audience)
		case seen[r.Audience]:
			bad("Resources: %q is there twice", r.Audience)
		case !slices.Contains([]string{"", accessTokenType, compatibleTokenType}, r.Type):
			bad("Resources: the type %q is neither at+jwt nor JWT", r.Type)
		case r.Algorithm != "" && !slices.Contains(algorithms, r.Algorithm):
			bad("Resources: %q is none of ES256, EdDSA, RS256", r.Algorithm)
		}
		seen[r.Audience] = true
	}
	if !slices.Contains(algorithms, c.IDTokenAlgorithm) {
		bad("IDTokenAlgorithm: %q is none of ES256, EdDSA, RS256", c.IDTokenAlgorithm)
	}
}

// algorithms are those that there are keys for.
var algorithms = []string{"ES256", "EdDSA", "RS256"}

// wantedAlgorithms are those that keys are kept for, that of Config.Algorithm
// first. ID tokens want one once there is a client to give them to: an RSA key
// takes long to make.
func (s *Service) wantedAlgorithms(ctx context.Context) ([]string, error) {
	list := []string{s.cfg.Algorithm}
	for _, r := range s.cfg.Resources {
		list = append(list, s.resource(r.Audience).Algorithm)
	}
	some, err := s.clients.Clients(ctx, "", 1)
	if err != nil {
		return nil, outage("look for clients", err)
	}
	if len(some) > 0 {
		list = append(list, s.cfg.IDTokenAlgorithm)
	}
	var distinct []string
	for _, a := range list {
		if !slices.Contains(distinct, a) {
			distinct = append(distinct, a)
		}
	}
	return distinct, nil
}

// ofAlgorithm are the keys that one algorithm's schedule looks at. The first
// one's looks also at those that no algorithm wants any more, so that they go.
func ofAlgorithm(keys []SigningKey, wanted []string, i int) []SigningKey {
	return slices.DeleteFunc(slices.Clone(keys), func(k SigningKey) bool {
		return k.Algorithm != wanted[i] && (i > 0 || slices.Contains(wanted, k.Algorithm))
	})
}

// newVerifiers makes the one for our own audience, which is what /v1 accepts,
// and the one for all of our tokens, whose callers look at the audience.
func newVerifiers(s *Service, cfg Config) (own, every *verify.Verifier, err error) {
	vc := verify.Config{
		Issuer: cfg.Issuer, Audience: cfg.Audience, Keys: ownKeys{s},
		Algorithms: algorithms, // all are ours; each key is pinned to one
		Types:      []string{s.resource(cfg.Audience).Type},
		Leeway:     clockSkew,
		// A nonce has to be in their proofs, so holdsKey looks at those.
		InsecureNoProof: true,
		Now:             cfg.Now,
	}
	if own, err = verify.New(vc); err != nil {
		return nil, nil, err
	}
	vc.Types, vc.InsecureAnyAudience = []string{accessTokenType, compatibleTokenType}, true
	every, err = verify.New(vc)
	return own, every, err
}
