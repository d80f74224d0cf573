package bitjang

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
)

// Recovery codes are ten, of ten letters and digits each: 49 bits, and no letter
// that looks like another one.
const (
	recoveryCodes    = 10
	recoveryLength   = 10
	recoveryAlphabet = "23456789abcdefghjkmnpqrstvwxyz"
)

func newRecoveryCode() string {
	code := make([]byte, 0, recoveryLength)
	for len(code) < recoveryLength {
		var b [1]byte
		rand.Read(b[:])
		if limit := 256 / len(recoveryAlphabet) * len(recoveryAlphabet); int(b[0]) < limit {
			code = append(code, recoveryAlphabet[int(b[0])%len(recoveryAlphabet)])
		}
	}
	return string(code)
}

// recoveryHash is how a code is kept, under the seal of its factor: the hash of
// so few bits alone would not stand up to whoever has the database.
func recoveryHash(factorID, code string) []byte {
	sum := sha256.Sum256([]byte(factorID + "\x00" + strings.ToLower(code)))
	return sum[:]
}

// MakeRecoveryCodes replaces a user's recovery codes and returns the new ones,
// which nobody sees again. They are for accounts with a factor to lose.
func (s *Service) MakeRecoveryCodes(ctx context.Context, id Identity, from Caller) ([]Secret, error) {
	u, list, err := s.mayChangeFactors(ctx, id)
	if err != nil {
		return nil, err
	}
	if !hasStrong(list) {
		return nil, ErrFactorMissing
	}
	now := s.clock()
	f := Factor{ID: newUUID(), UserID: u.ID, Kind: FactorRecovery, Counter: recoveryCodes, CreatedAt: now, Version: 1}
	var codes []Secret
	var hashes []byte
	for range recoveryCodes {
		code := newRecoveryCode()
		codes = append(codes, NewSecret(code[:recoveryLength/2]+"-"+code[recoveryLength/2:]))
		hashes = append(hashes, recoveryHash(f.ID, code)...)
	}
	s.sealFactor(&f, hashes)
	for _, old := range ofKind(list, FactorRecovery) {
		if err := s.factors.DeleteFactor(ctx, u.ID, old.ID); err != nil && !errors.Is(err, ErrNotFound) {
			return nil, outage("delete factor", err)
		}
	}
	if err := s.insertFactor(ctx, f, &id.Session, from); err != nil {
		return nil, err
	}
	return codes, nil
}

// proveRecovery uses a recovery code up: of those who come with the same one at
// once, one gets in.
func (s *Service) proveRecovery(ctx context.Context, list []Factor, code Secret) error {
	for _, f := range ofKind(list, FactorRecovery) {
		right := false
		_, err := s.changeFactor(ctx, f.UserID, f.ID, func(f *Factor) (bool, error) {
			hashes, err := s.openFactor(f)
			if err != nil {
				return false, err
			}
			wanted, left := recoveryHash(f.ID, plainCode(code)), slices.Collect(slices.Chunk(hashes, sha256.Size))
			i := slices.IndexFunc(left, func(h []byte) bool { return bytes.Equal(h, wanted) })
			if right = i >= 0; !right {
				return false, nil
			}
			left = slices.Delete(left, i, i+1)
			s.sealFactor(f, bytes.Join(left, nil))
			f.Counter, f.UsedAt = int64(len(left)), s.clock()
			return true, nil
		})
		if err != nil || right {
			return err
		}
	}
	return ErrCodeInvalid
}
