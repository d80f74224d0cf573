package bitjang

import (
	"context"

	"github.com/bitjang/bitjang/internal/jws"
	"github.com/bitjang/bitjang/internal/passhash"
	"github.com/bitjang/bitjang/verify"
)

// OccupyWorker takes a worker of the password pool and returns a channel that
// gives it back when closed. It blocks until there is a worker.
func (s *Service) OccupyWorker(release <-chan struct{}) error {
	return s.pool.Do(context.Background(), func() { <-release })
}

// ClaimsOf are the claims of the access token.
func ClaimsOf(t Tokens) *verify.Claims { return t.claims }

// TOTPCode is the code of an authenticator app at a moment.
func TOTPCode(secret []byte, unix int64) string { return totpCode(secret, unix/30) }

// SealEvents does what Run does every five seconds.
func (s *Service) SealEvents(ctx context.Context) error { return s.sealEvents(ctx) }

// SameSecret is the comparison of codes.
func SameSecret(got, want string) bool { return sameSecret(got, want) }

// SignAccess signs whatever claims say.
func (s *Service) SignAccess(claims []byte) (Secret, error) {
	key, ok := s.keySet.Load().active(s.cfg.Algorithm, s.clock())
	if !ok {
		return Secret{}, ErrKeysMissing
	}
	token, err := jws.Sign(jws.Header{Alg: key.Algorithm, Typ: accessTokenType, Kid: key.ID}, claims, key.signer)
	return NewSecret(token), err
}

// CheapenHashes makes the password of somebody who does not exist cost next to
// nothing to check, for tests that count such checks by the ten thousand.
func (s *Service) CheapenHashes() {
	s.params = passhash.Params{MemoryKiB: 8, Time: 1, Threads: 1}
	s.decoyHash = passhash.Decoy(s.params)
}
