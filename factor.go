package bitjang

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// FactorKind is a way to prove who one is, in a word that stays the same for ever.
type FactorKind string

// The kinds. Of the last two there are no records.
const (
	FactorTOTP     FactorKind = "totp"          // an authenticator app
	FactorPasskey  FactorKind = "passkey"       // WebAuthn
	FactorRecovery FactorKind = "recovery_code" // one of ten codes on paper
	FactorEmail    FactorKind = "email"         // a code by mail: the weakest
	FactorPassword FactorKind = "password"      // the account's password, once more
)

// Factor is something a user has beside the password. What proves it is sealed
// under the master key: a leaked database gives no codes away, and whoever
// writes to it cannot put a factor of their own there.
type Factor struct {
	ID     string
	UserID string
	Kind   FactorKind
	Name   string // chosen by the user
	Sealed []byte
	// Counter is the last accepted step of a TOTP factor, the signature counter
	// of a passkey, and how many recovery codes are left.
	Counter   int64
	CreatedAt time.Time
	UsedAt    time.Time // zero until it is used
	Version   int64     // for compare-and-swap; the store counts it up at every write
}

// FactorStore keeps factors, beside the users.
type FactorStore interface {
	InsertFactor(ctx context.Context, f Factor) error // ErrExists
	// Factors lists a user's factors, the oldest first.
	Factors(ctx context.Context, userID string) ([]Factor, error)
	// UpdateFactor writes Name, Sealed, Counter and UsedAt by compare-and-swap.
	UpdateFactor(ctx context.Context, f Factor) error
	// DeleteFactor removes a factor of that user; ErrNotFound if there is none.
	DeleteFactor(ctx context.Context, userID, id string) error
}

// maxFactors bounds the factors of one user.
const maxFactors = 20

// Refusals about factors.
var (
	ErrNoSuchFactor    = &Error{Code: NotFound, Reason: "factor_not_found", Message: "No such factor."}
	ErrTooManyFactors  = &Error{Code: Denied, Reason: "too_many_factors", Message: "The account has as many factors as it may have."}
	ErrFactorMissing   = &Error{Code: Denied, Reason: "factor_missing", Message: "This needs a second factor, and the account has none."}
	ErrPasskeyDisabled = &Error{Code: Denied, Reason: "passkeys_disabled", Message: "This service has no passkeys."}
	ErrSetupInvalid    = &Error{Code: Invalid, Reason: "setup_invalid", Message: "This setup has expired or belongs to another session. Begin again."}
)

// strong tells the factors that stand on their own; recovery codes are only a way back to one.
func (k FactorKind) strong() bool { return k == FactorTOTP || k == FactorPasskey }

func hasStrong(list []Factor) bool {
	return slices.ContainsFunc(list, func(f Factor) bool { return f.Kind.strong() })
}

func ofKind(list []Factor, kind FactorKind) []Factor {
	return slices.DeleteFunc(slices.Clone(list), func(f Factor) bool { return f.Kind != kind })
}

// Factors lists a user's factors, the oldest first, without what is sealed.
func (s *Service) Factors(ctx context.Context, userID string) ([]Factor, error) {
	list, err := s.listFactors(ctx, userID)
	for i := range list {
		list[i].Sealed = nil
	}
	return list, err
}

func (s *Service) listFactors(ctx context.Context, userID string) ([]Factor, error) {
	list, err := s.factors.Factors(ctx, userID)
	if err != nil {
		return nil, outage("list factors", err)
	}
	return list, nil
}

// factorPurpose binds what is sealed to its place: it opens in no other record.
func factorPurpose(f *Factor) string { return "factor " + string(f.Kind) + " " + f.UserID + " " + f.ID }

func (s *Service) sealFactor(f *Factor, record []byte) {
	f.Sealed = s.ring.seal(factorPurpose(f), record)
}

func (s *Service) openFactor(f *Factor) ([]byte, error) {
	record, _, err := s.ring.open(factorPurpose(f), f.Sealed)
	if err != nil {
		return nil, &Error{Code: Internal, Reason: "internal", Message: "Something went wrong on our side.", Err: fmt.Errorf("open factor %s: %w", f.ID, err)}
	}
	return record, nil
}

// changeFactor is the compare-and-swap loop for factors. change decides anew on
// what it finds each round; false leaves the record as it is.
func (s *Service) changeFactor(ctx context.Context, userID, id string, change func(*Factor) (bool, error)) (Factor, error) {
	for range casAttempts {
		list, err := s.listFactors(ctx, userID)
		if err != nil {
			return Factor{}, err
		}
		i := slices.IndexFunc(list, func(f Factor) bool { return f.ID == id })
		if i < 0 {
			return Factor{}, ErrNoSuchFactor
		}
		f := list[i]
		if save, err := change(&f); err != nil || !save {
			return f, err
		}
		err = s.factors.UpdateFactor(ctx, f)
		switch {
		case err == nil:
			f.Version++
			return f, nil
		case !errors.Is(err, ErrConflict):
			return Factor{}, outage("save factor", err)
		}
	}
	return Factor{}, errContended
}

// freshFor is how long after a proof factors may be changed without another one.
const freshFor = 10 * time.Minute

// freshEnough is the rule for changing factors: the user has proved who they are
// a moment ago, and with a second factor if the account has one. A password
// alone must not take the second factor away.
func freshEnough(sess *Session, list []Factor, now time.Time) bool {
	return now.Before(sess.AuthTime.Add(freshFor)) && (!hasStrong(list) || sess.ACR == aal2)
}

// mayChangeFactors returns the user and the factors, or the refusal with the
// challenge that would help.
func (s *Service) mayChangeFactors(ctx context.Context, id Identity) (User, []Factor, error) {
	u, err := s.User(ctx, id.Session.UserID)
	if err != nil {
		return User{}, nil, err
	}
	list, err := s.listFactors(ctx, u.ID)
	if err != nil {
		return User{}, nil, err
	}
	if !freshEnough(&id.Session, list, s.clock()) {
		return User{}, nil, s.askAgain(id, &u, list)
	}
	return u, list, nil
}

// EnrolInput is the second half of adding a factor.
type EnrolInput struct {
	Identity Identity // from Authenticate
	Setup    Secret   // from the first half
	Name     string   // for the user to know it by
	Code     Secret   // of an authenticator app
	Answer   []byte   // of a passkey: the PublicKeyCredential as JSON
	Refresh  Secret   // the session's refresh token, if the client sent it along
	Caller   Caller
}

// setupFacts is a factor on its way. Until it is confirmed nobody but its
// browser keeps it, sealed.
type setupFacts struct {
	FactorID  string    `json:"id"`
	Secret    []byte    `json:"secret"` // of TOTP; the challenge of a passkey
	ExpiresAt time.Time `json:"expires_at"`
}

const (
	setupPrefix = "bjs_"
	setupLife   = 30 * time.Minute
)

func setupPurpose(kind FactorKind, sess *Session) string {
	return "setup " + string(kind) + " " + sess.UserID + " " + sess.ID.String()
}

func (s *Service) newSetup(kind FactorKind, sess *Session, secret []byte) (Secret, error) {
	facts := setupFacts{newUUID(), secret, s.clock().Add(setupLife)}
	return s.sealToken(setupPrefix, setupPurpose(kind, sess), facts)
}

func (s *Service) openSetup(kind FactorKind, sess *Session, token Secret) (setupFacts, error) {
	var facts setupFacts
	if err := s.openToken(setupPrefix, setupPurpose(kind, sess), token, &facts); err != nil || !s.clock().Before(facts.ExpiresAt) {
		return facts, ErrSetupInvalid.because(err)
	}
	return facts, nil
}

// enrol saves a new factor, tells its user, and moves the session on: older
// tokens never reach what the factor opens.
func (s *Service) enrol(ctx context.Context, f Factor, in EnrolInput, p proof) (Tokens, error) {
	list, err := s.listFactors(ctx, f.UserID)
	if err != nil {
		return Tokens{}, err
	}
	if len(list) >= maxFactors {
		return Tokens{}, ErrTooManyFactors
	}
	if err := s.insertFactor(ctx, f, &in.Identity.Session, in.Caller); err != nil {
		return Tokens{}, err
	}
	return s.moveOnAs(ctx, in.Identity, in.Refresh, in.Caller, func(sess *Session, now time.Time) { sess.proved(p, now) })
}

func (s *Service) insertFactor(ctx context.Context, f Factor, sess *Session, from Caller) error {
	err := s.factors.InsertFactor(ctx, f)
	if errors.Is(err, ErrExists) {
		return ErrSetupInvalid // confirmed before
	} else if err != nil {
		return outage("save factor", err)
	}
	s.record(ctx, happened(EventFactorAdded, sess, from, string(f.Kind)))
	s.tellAbout(ctx, f.UserID, from, Mail{Kind: MailFactorAdded, Factor: f.Kind, Link: NewSecret(s.cfg.Issuer + "/account/security")})
	return nil
}

// RenameFactor gives a factor of the user's another name.
func (s *Service) RenameFactor(ctx context.Context, userID, id, name string) (Factor, error) {
	name, err := checkName(name)
	if err != nil {
		return Factor{}, err
	}
	f, err := s.changeFactor(ctx, userID, id, func(f *Factor) (bool, error) {
		f.Name = name
		return true, nil
	})
	f.Sealed = nil
	return f, err
}

// RemoveFactor takes a factor away. With the last one that is strong the
// recovery codes go too: there is nothing left to recover.
func (s *Service) RemoveFactor(ctx context.Context, id Identity, factorID string, from Caller) error {
	u, list, err := s.mayChangeFactors(ctx, id)
	if err != nil {
		return err
	}
	rest := slices.DeleteFunc(slices.Clone(list), func(f Factor) bool { return f.ID == factorID })
	if len(rest) == len(list) {
		return ErrNoSuchFactor
	}
	gone := slices.DeleteFunc(list, func(f Factor) bool { return f.ID != factorID })
	if !hasStrong(rest) {
		gone = append(gone, ofKind(rest, FactorRecovery)...)
	}
	for _, f := range gone {
		if err := s.factors.DeleteFactor(ctx, u.ID, f.ID); err != nil && !errors.Is(err, ErrNotFound) {
			return outage("delete factor", err)
		}
		s.record(ctx, happened(EventFactorRemoved, &id.Session, from, string(f.Kind)))
	}
	s.tellAbout(ctx, u.ID, from, Mail{Kind: MailFactorRemoved, Factor: gone[0].Kind, Link: NewSecret(s.cfg.Issuer + "/account/security")})
	return nil
}

// ResetFactors is the operator's: it takes every factor of a user away, for
// whoever has lost them all, and returns how many there were.
func (s *Service) ResetFactors(ctx context.Context, userID string) (int, error) {
	list, err := s.listFactors(ctx, userID)
	if err != nil {
		return 0, err
	}
	for _, f := range list {
		if err := s.factors.DeleteFactor(ctx, userID, f.ID); err != nil && !errors.Is(err, ErrNotFound) {
			return 0, outage("delete factor", err)
		}
	}
	if len(list) > 0 {
		s.record(ctx, Event{Type: EventFactorRemoved, UserID: userID, Reason: "reset_by_admin", Count: len(list)})
		s.tellAbout(ctx, userID, Caller{}, Mail{Kind: MailFactorRemoved, Link: NewSecret(s.cfg.Issuer + "/account/security")})
	}
	return len(list), nil
}

// factorMark changes whenever a factor is added or removed.
func factorMark(list []Factor) []byte {
	var ids []string
	for _, f := range list {
		ids = append(ids, f.ID)
	}
	slices.Sort(ids)
	sum := sha256.Sum256([]byte(strings.Join(ids, " ")))
	return sum[:16]
}

// sealToken makes an opaque token of facts that only this service reads.
func (s *Service) sealToken(prefix, purpose string, facts any) (Secret, error) {
	data, err := json.Marshal(facts)
	if err != nil {
		return Secret{}, fmt.Errorf("encode %s: %w", purpose, err)
	}
	return NewSecret(prefix + tokenEncoding.EncodeToString(s.ring.seal(purpose, data))), nil
}

var errTokenForeign = errors.New("not made here, for something else, or cut short")

func (s *Service) openToken(prefix, purpose string, token Secret, facts any) error {
	text, ok := strings.CutPrefix(token.Reveal(), prefix)
	if !ok || len(text) > maxSealedToken {
		return errTokenForeign
	}
	sealed, err := tokenEncoding.DecodeString(text)
	if err != nil {
		return errTokenForeign
	}
	data, _, err := s.ring.open(purpose, sealed)
	if err != nil {
		return errTokenForeign
	}
	return json.Unmarshal(data, facts)
}

// maxSealedToken is more than any of ours has.
const maxSealedToken = 4096
