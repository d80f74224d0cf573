package bitjang

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bitjang/bitjang/internal/jws"
	"github.com/bitjang/bitjang/verify"
)

// SigningKey is a key that signs access tokens, as a store keeps it. Its life:
// published at CreatedAt, signs from ActiveFrom until the next key does, stays
// published until the last token it signed has expired, is deleted.
type SigningKey struct {
	ID         string // RFC 7638 thumbprint, the `kid`
	Algorithm  string
	Sealed     []byte // PKCS #8, sealed under the master key
	CreatedAt  time.Time
	ActiveFrom time.Time
}

const (
	// keyReload is how often a running service looks for keys that another
	// process made.
	keyReload = 5 * time.Second
	// keyLead is how long a key made by command is published before it signs,
	// so that every node knows it by then.
	keyLead = 2 * keyReload
	// keyLinger is how long a replaced key stays published beyond the last
	// token it signed, for clocks that disagree.
	keyLinger = time.Hour
)

// usableKey is a signing key with its seal off.
type usableKey struct {
	SigningKey
	signer crypto.Signer
	public *verify.Key
}

// keySet is what the service knows of its keys at a moment, newest first. It is
// replaced whole, never changed.
type keySet struct{ keys []usableKey }

// newerKey orders keys by the moment they begin to sign; between equals the id
// decides, so that all nodes pick the same.
func newerKey(a, b SigningKey) int {
	if c := b.ActiveFrom.Compare(a.ActiveFrom); c != 0 {
		return c
	}
	return strings.Compare(b.ID, a.ID)
}

// active returns the key that signs at now: the newest of the algorithm that
// has begun to.
func (ks *keySet) active(algorithm string, now time.Time) (*usableKey, bool) {
	if ks == nil {
		return nil, false
	}
	for i := range ks.keys {
		if k := &ks.keys[i]; k.Algorithm == algorithm && !k.ActiveFrom.After(now) {
			return k, true
		}
	}
	return nil, false
}

func (ks *keySet) find(id string) (*usableKey, bool) {
	if ks == nil {
		return nil, false
	}
	for i := range ks.keys {
		if ks.keys[i].ID == id {
			return &ks.keys[i], true
		}
	}
	return nil, false
}

// keyPlan is what the schedule asks for at a moment.
type keyPlan struct {
	create bool
	from   time.Time // ActiveFrom of the key to create
	remove []string
}

// planKeys is the schedule: a key signs for c.KeyRotation, its successor is
// published c.KeyPublication before it signs, and a replaced key is removed
// once no valid token can carry its id.
func planKeys(keys []SigningKey, c *Config, now time.Time) keyPlan {
	keys = slices.SortedFunc(slices.Values(keys), newerKey)
	var plan keyPlan
	newest := slices.IndexFunc(keys, func(k SigningKey) bool { return k.Algorithm == c.Algorithm })
	if newest < 0 {
		plan.create, plan.from = true, now
	} else if due := keys[newest].ActiveFrom.Add(c.KeyRotation); !now.Before(due.Add(-c.KeyPublication)) {
		plan.create, plan.from = true, due
		if early := now.Add(c.KeyPublication); due.Before(early) {
			plan.from = early // we slept through it: publish first all the same
		}
	}
	signs := slices.IndexFunc(keys, func(k SigningKey) bool { return k.Algorithm == c.Algorithm && !k.ActiveFrom.After(now) })
	for i := 1; i < len(keys); i++ {
		replaced := keys[i-1].ActiveFrom
		if i != signs && now.After(replaced.Add(c.AccessTTL+keyLinger)) {
			plan.remove = append(plan.remove, keys[i].ID)
		}
	}
	return plan
}

// ErrWrongMasterKey says that the store's signing keys were sealed under a
// master key that this service was not given. Going on would make new keys and
// log everybody out, so nothing is changed.
var ErrWrongMasterKey = errors.New("bitjang: the master key does not open the signing keys in the store")

// LoadKeys reads the signing keys from the store, makes and removes keys as the
// schedule asks, and puts them to use. Run does it every five seconds; call it
// once before the first request.
func (s *Service) LoadKeys(ctx context.Context) error {
	s.loading.Lock() // two at once would each make the key that is missing
	defer s.loading.Unlock()
	return s.loadKeys(ctx)
}

// haveKey makes sure that there is a key to sign with. The algorithm of ID tokens
// has none until there is a client, and that may have been a moment ago.
func (s *Service) haveKey(ctx context.Context, algorithm string) error {
	if _, ok := s.keySet.Load().active(algorithm, s.clock()); ok {
		return nil
	}
	s.loading.Lock()
	defer s.loading.Unlock()
	if _, ok := s.keySet.Load().active(algorithm, s.clock()); ok {
		return nil
	}
	return s.loadKeys(ctx)
}

func (s *Service) loadKeys(ctx context.Context) error {
	stored, err := s.keys.Keys(ctx)
	if err != nil {
		return outage("load signing keys", err)
	}
	set, err := s.unsealKeys(ctx, stored)
	if err != nil {
		return err
	}
	wanted, err := s.wantedAlgorithms(ctx)
	if err != nil {
		return err
	}
	now := s.clock()
	for i, algorithm := range wanted {
		c := s.cfg
		c.Algorithm = algorithm
		if err := s.followPlan(ctx, set, algorithm, planKeys(ofAlgorithm(stored, wanted, i), &c, now)); err != nil {
			return err
		}
	}
	slices.SortFunc(set.keys, func(a, b usableKey) int { return newerKey(a.SigningKey, b.SigningKey) })
	s.keySet.Store(set)
	return nil
}

// followPlan makes and removes the keys of one algorithm.
func (s *Service) followPlan(ctx context.Context, set *keySet, algorithm string, plan keyPlan) error {
	if plan.create {
		k, err := s.createKey(ctx, algorithm, s.clock(), plan.from)
		if err != nil {
			return err
		}
		set.keys = append(set.keys, k)
		s.log.Info("signing key created", "kid", k.ID, "alg", k.Algorithm, "active_from", k.ActiveFrom)
	}
	for _, id := range plan.remove {
		if err := s.keys.DeleteKey(ctx, id); err != nil {
			return outage("delete signing key", err)
		}
		set.keys = slices.DeleteFunc(set.keys, func(k usableKey) bool { return k.ID == id })
		s.log.Info("signing key removed", "kid", id)
	}
	return nil
}

// unsealKeys opens stored keys, reusing those already open: verifiers compare
// keys by pointer. Keys sealed under an old master key are sealed again.
func (s *Service) unsealKeys(ctx context.Context, stored []SigningKey) (*keySet, error) {
	set, old := &keySet{}, s.keySet.Load()
	for _, k := range stored {
		if have, ok := old.find(k.ID); ok {
			set.keys = append(set.keys, usableKey{k, have.signer, have.public})
			continue
		}
		raw, stale, err := s.ring.open(sealPurpose(k.ID), k.Sealed)
		if err != nil {
			s.log.Warn("signing key cannot be opened with the master keys given", "kid", k.ID)
			continue
		}
		signer, err := jws.ParsePrivate(raw)
		if err != nil {
			return nil, fmt.Errorf("parse signing key %s: %w", k.ID, err)
		}
		if stale {
			k.Sealed = s.ring.seal(sealPurpose(k.ID), raw)
			if err := s.keys.UpdateKey(ctx, k); err != nil && !errors.Is(err, ErrNotFound) {
				return nil, outage("seal signing key again", err)
			}
		}
		set.keys = append(set.keys, usable(k, signer))
	}
	if len(stored) > 0 && len(set.keys) == 0 {
		return nil, ErrWrongMasterKey
	}
	return set, nil
}

func usable(k SigningKey, signer crypto.Signer) usableKey {
	return usableKey{k, signer, &verify.Key{ID: k.ID, Algorithm: k.Algorithm, Public: signer.Public()}}
}

func sealPurpose(kid string) string { return "signing key " + kid }

func (s *Service) createKey(ctx context.Context, algorithm string, now, from time.Time) (usableKey, error) {
	signer, err := jws.Generate(algorithm)
	if err != nil {
		return usableKey{}, fmt.Errorf("generate signing key: %w", err)
	}
	raw, err := jws.MarshalPrivate(signer)
	if err != nil {
		return usableKey{}, fmt.Errorf("encode signing key: %w", err)
	}
	id, err := jws.Thumbprint(signer.Public())
	if err != nil {
		return usableKey{}, fmt.Errorf("name signing key: %w", err)
	}
	k := SigningKey{ID: id, Algorithm: algorithm, CreatedAt: now, ActiveFrom: from}
	k.Sealed = s.ring.seal(sealPurpose(id), raw)
	if err := s.keys.InsertKey(ctx, k); err != nil {
		return usableKey{}, outage("save signing key", err)
	}
	return usable(k, signer), nil
}

// RotateKeyInput says how to rotate the signing key by command.
type RotateKeyInput struct {
	Now     bool // sign with it at once, not ten seconds from now
	Discard bool // delete every other key: access tokens signed with them are refused
}

// RotateKey makes a new signing key. Refresh tokens do not depend on it, so
// nobody is logged out, whatever the input says.
func (s *Service) RotateKey(ctx context.Context, in RotateKeyInput) (SigningKey, error) {
	// With the wrong master key this would store a key that no server can open.
	if err := s.LoadKeys(ctx); err != nil {
		return SigningKey{}, err
	}
	old, err := s.keys.Keys(ctx)
	if err != nil {
		return SigningKey{}, outage("load signing keys", err)
	}
	now := s.clock()
	from := now.Add(keyLead)
	if in.Now || in.Discard {
		from = now
	}
	wanted, err := s.wantedAlgorithms(ctx)
	if err != nil {
		return SigningKey{}, err
	}
	made := make([]usableKey, len(wanted)) // one for each algorithm, Config.Algorithm's first
	for i, algorithm := range wanted {
		if made[i], err = s.createKey(ctx, algorithm, now, from); err != nil {
			return SigningKey{}, err
		}
	}
	if in.Discard {
		for _, o := range old {
			if err := s.keys.DeleteKey(ctx, o.ID); err != nil {
				return SigningKey{}, outage("delete signing key", err)
			}
		}
	}
	return made[0].SigningKey, s.LoadKeys(ctx)
}

// SigningKeys lists the keys in the store, newest first.
func (s *Service) SigningKeys(ctx context.Context) ([]SigningKey, error) {
	keys, err := s.keys.Keys(ctx)
	if err != nil {
		return nil, outage("load signing keys", err)
	}
	slices.SortFunc(keys, newerKey)
	return keys, nil
}

// KeyState says what the key does at now among keys: "published", "active" or
// "replaced".
func (k SigningKey) KeyState(keys []SigningKey, now time.Time) string {
	if k.ActiveFrom.After(now) {
		return "published"
	}
	for _, other := range keys {
		if other.Algorithm == k.Algorithm && !other.ActiveFrom.After(now) && newerKey(other, k) < 0 {
			return "replaced"
		}
	}
	return "active"
}

// JWKS returns the public keys as a JSON Web Key Set (RFC 7517 section 5).
func (s *Service) JWKS() ([]byte, error) {
	set := s.keySet.Load()
	if set == nil {
		return nil, ErrKeysMissing
	}
	keys := make([]jws.Key, len(set.keys))
	for i, k := range set.keys {
		keys[i] = jws.Key{ID: k.ID, Algorithm: k.Algorithm, Public: k.public.Public}
	}
	return jws.MarshalSet(keys)
}

// ownKeys is the verifier's source of the service's own keys.
type ownKeys struct{ s *Service }

func (o ownKeys) Key(_ context.Context, kid string) (*verify.Key, error) {
	set := o.s.keySet.Load()
	if set == nil {
		return nil, ErrKeysMissing
	}
	if k, ok := set.find(kid); ok {
		return k.public, nil
	}
	return nil, verify.ErrUnknownKey
}

// SigningAlgorithms are those that this package signs and verifies with.
func SigningAlgorithms() []string { return slices.Clone(algorithms) }

// IDTokenAlgorithms are those of ID tokens, logout tokens and signed answers.
func (s *Service) IDTokenAlgorithms() []string { return []string{s.cfg.IDTokenAlgorithm} }

// Algorithms lists the algorithms of the published keys.
func (s *Service) Algorithms() []string {
	algorithms := []string{s.cfg.Algorithm}
	if set := s.keySet.Load(); set != nil {
		for _, k := range set.keys {
			algorithms = append(algorithms, k.Algorithm)
		}
	}
	slices.Sort(algorithms)
	return slices.Compact(algorithms)
}
