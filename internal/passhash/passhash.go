package passhash

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"

	"golang.org/x/crypto/argon2"
)

const (
	saltLength = 16 // of the hashes made here
	tagLength  = 32
)

// Params is what an argon2id hash costs.
type Params struct {
	MemoryKiB uint32
	Time      uint32 // passes over the memory
	Threads   uint8
}

// Default is OWASP's recommendation of 19 MiB in two passes, which it holds equal to more memory in fewer passes.
func Default() Params {
	return Params{MemoryKiB: 19 * 1024, Time: 2, Threads: 1}
}

// Check reports what makes p unusable for Hash: a zero field, less memory than argon2 can divide, or more work than
// Verify would accept. It does not judge whether p is strong enough.
func (p Params) Check() error {
	return p.check(limits())
}

func (p Params) check(most ceiling) error {
	switch {
	case p.Time < 1:
		return errors.New("argon2: the number of passes (t) is below 1")
	case p.Threads < 1:
		return errors.New("argon2: the parallelism (p) is below 1")
	case p.MemoryKiB < 8*uint32(p.Threads):
		return errors.New("argon2: the memory (m) is below 8 KiB for each thread")
	case uint64(p.MemoryKiB) > most.memoryKiB:
		return fmt.Errorf("argon2: the memory (m) is above %d KiB", most.memoryKiB)
	case uint64(p.MemoryKiB)*uint64(p.Time) > most.argon2KiB:
		return fmt.Errorf("argon2: the memory times the passes (m times t) is above %d KiB", most.argon2KiB)
	}
	return nil
}

// ceiling is the most that checking one stored hash may cost. Hashes are imported from elsewhere: without a ceiling
// one bad line of an import takes the memory or the processor of the whole server at the next login.
type ceiling struct {
	memoryKiB  uint64 // held at once
	argon2KiB  uint64 // memory times passes
	scryptKiB  uint64 // memory times lanes, which run one after the other
	bcryptCost int
	iterations int // of PBKDF2
}

// limits is the ceiling in force. Each bound is three to eight seconds of one slow core (BenchmarkVerifyAtTheCeiling),
// and well above what any program known to us chooses; libsodium's "sensitive" argon2id, 1 GiB in four passes, is just
// allowed.
func limits() ceiling {
	return ceiling{
		memoryKiB:  1 << 20,
		argon2KiB:  4 << 20,
		scryptKiB:  1 << 20,
		bcryptCost: 16,
		iterations: 10_000_000,
	}
}

// Hash makes a new hash of the password in the PHC string format, with a salt of its own. It panics when p does not
// pass Check: p comes from configuration, which is checked before anything is hashed.
func Hash(password []byte, p Params) string {
	if err := p.Check(); err != nil {
		panic("passhash: Hash called with parameters that do not pass Check: " + err.Error())
	}
	salt := make([]byte, saltLength)
	rand.Read(salt) // never fails
	tag := argon2.IDKey(password, salt, p.Time, p.MemoryKiB, p.Threads, tagLength)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.MemoryKiB, p.Time, p.Threads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(tag))
}

// Verify tells whether the password is the one that was hashed. outdated says that the hash can be verified but is
// not what Hash would make with today's parameters; it does not depend on the password. An error says that encoded
// cannot be verified at all, never that the password is wrong.
//
// It takes as long as the parameters in encoded ask for, up to some ten seconds and 1 GiB of memory, so it belongs
// inside Pool.Do.
func Verify(encoded string, password []byte, today Params) (match, outdated bool, err error) {
	return verify(encoded, password, today, limits())
}

func verify(encoded string, password []byte, today Params, most ceiling) (match, outdated bool, err error) {
	h, err := parse(encoded, most)
	if err != nil {
		return false, false, fmt.Errorf("passhash: %w", err)
	}
	match, err = h.matches(password)
	if err != nil {
		return false, false, fmt.Errorf("passhash: %w", err)
	}
	return match, !h.ours || h.params != today, nil
}

// Recognised reports whether Verify can check passwords against encoded: nil, or an error that says what is wrong
// with it and is safe to show, for it contains nothing of encoded. It costs next to nothing.
func Recognised(encoded string) error {
	if _, err := parse(encoded, limits()); err != nil {
		return fmt.Errorf("passhash: %w", err)
	}
	return nil
}

// stored is a hash that was read and found affordable.
type stored struct {
	matches func(password []byte) (bool, error)
	ours    bool   // written as Hash writes: argon2id, its salt and tag as long as ours
	params  Params // of argon2; zero for other schemes
}

// derived is a stored hash whose check is to derive the tag again.
func derived(tag []byte, derive func(password []byte) ([]byte, error)) stored {
	return stored{matches: func(password []byte) (bool, error) {
		got, err := derive(password)
		if err != nil {
			return false, err
		}
		return subtle.ConstantTimeCompare(got, tag) == 1, nil
	}}
}
