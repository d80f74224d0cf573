package bitjang

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/bitjang/bitjang/internal/passhash"
)

// Passwords have 8 to 256 characters of any kind (ASVS 5.0 6.2.1, 6.2.5, 6.2.9).
const (
	minPassword = 8
	maxPassword = 256
)

// normalizePassword gives a password one spelling: the same keys pressed on
// another system must give the same bytes (NIST SP 800-63B section 3.1.1.2).
func normalizePassword(password Secret) []byte {
	return []byte(norm.NFKC.String(password.Reveal()))
}

// checkNewPassword is the policy for passwords that people choose. Nothing is
// said about kinds of characters; what everybody tries first is refused.
func checkNewPassword(password Secret, email string) ([]byte, error) {
	text := password.Reveal()
	if len(text) > 8*maxPassword || !utf8.ValidString(text) {
		return nil, invalid("password_invalid", "A password is text of at most %d characters.", maxPassword)
	}
	normal := normalizePassword(password)
	switch n := utf8.RuneCount(normal); {
	case n < minPassword:
		return nil, invalid("password_too_short", "A password has at least %d characters.", minPassword)
	case n > maxPassword:
		return nil, invalid("password_too_long", "A password has at most %d characters.", maxPassword)
	}
	if lower := strings.ToLower(string(normal)); lower == email || passhash.Common(lower) {
		return nil, invalid("password_common", "This password is among the first that an attacker tries. Choose another one.")
	}
	return normal, nil
}

func (s *Service) hashNewPassword(ctx context.Context, password Secret, email string) (string, error) {
	normal, err := checkNewPassword(password, email)
	if err != nil {
		return "", err
	}
	return s.hash(ctx, normal)
}

// hash runs argon2id in the bounded pool.
func (s *Service) hash(ctx context.Context, normal []byte) (string, error) {
	var hash string
	err := s.hashing(ctx, func() { hash = passhash.Hash(normal, s.params) })
	return hash, err
}

// hashing runs work when a worker is free. Beyond the queue it refuses, so
// that a flood of logins never takes the processors from refreshes.
func (s *Service) hashing(ctx context.Context, work func()) error {
	err := s.pool.Do(ctx, work)
	if errors.Is(err, passhash.ErrBusy) {
		return ErrOverloaded
	} else if err != nil {
		return ErrOverloaded.because(err) // the caller gave up waiting
	}
	return nil
}

// checkPassword verifies a password against a user's hash, at the cost of one
// hash whether or not there is such a user.
func (s *Service) checkPassword(ctx context.Context, u *User, password Secret) (match, outdated bool, err error) {
	encoded := s.decoyHash
	if u != nil && u.PasswordHash != "" {
		encoded = u.PasswordHash
	}
	normal := normalizePassword(password)
	if len(normal) > 8*maxPassword {
		normal = normal[:8*maxPassword] // no such password was ever set
	}
	var failure error
	err = s.hashing(ctx, func() {
		match, outdated, failure = passhash.Verify(encoded, normal, s.params)
		if raw := []byte(password.Reveal()); !match && outdated && failure == nil && len(raw) <= 8*maxPassword && !bytes.Equal(raw, normal) {
			// Other systems hash what was typed, without normalising it.
			match, _, failure = passhash.Verify(encoded, raw, s.params)
		}
	})
	if err == nil && failure != nil {
		err = failure
	}
	return match && u != nil && u.PasswordHash != "", outdated, err
}

// checkOwnPassword verifies the password of a user who is logged in: whoever has
// stolen a session must not find out the password with it.
func (s *Service) checkOwnPassword(ctx context.Context, u *User, password Secret) (bool, error) {
	try := limitPassword.charges(u.ID)
	if _, err := s.reserve(ctx, try); err != nil {
		return false, err
	}
	match, _, err := s.checkPassword(ctx, u, password)
	if match || err != nil {
		s.giveBack(ctx, try)
	}
	return match, err
}

// rehash replaces the hash of a password that has just been verified. Losing
// the race or the store here loses nothing: the next login tries again.
func (s *Service) rehash(ctx context.Context, u User, password Secret) User {
	hash, err := s.hash(ctx, normalizePassword(password))
	if err != nil {
		return u
	}
	renewed := u
	renewed.PasswordHash, renewed.UpdatedAt = hash, s.clock()
	if err := s.users.UpdateUser(ctx, renewed); err != nil {
		s.log.Warn("password hash not renewed", "user", u.ID, "error", err)
		return u
	}
	renewed.Version++
	return renewed
}

// ChangePasswordInput changes the password of the user who is logged in.
type ChangePasswordInput struct {
	Identity Identity // from Authenticate
	Current  Secret
	New      Secret
	Refresh  Secret // the session's refresh token, if the client sent it along
	Caller   Caller
}

// ChangePassword sets a new password, ends the user's other sessions and moves
// this one on: the tokens it returns are the only ones that reach further.
func (s *Service) ChangePassword(ctx context.Context, in ChangePasswordInput) (Tokens, error) {
	sess := in.Identity.Session
	u, err := s.User(ctx, sess.UserID)
	if err != nil {
		return Tokens{}, err
	}
	match, err := s.checkOwnPassword(ctx, &u, in.Current)
	if err != nil {
		return Tokens{}, err
	}
	if !match {
		s.record(ctx, happened(EventLoginFailed, &sess, in.Caller, "password_change"))
		return Tokens{}, ErrInvalidCredentials
	}
	if err := s.replacePassword(ctx, &u, in.New, sess.ID, in.Caller); err != nil {
		return Tokens{}, err
	}
	return s.moveOn(ctx, in.Identity, in.Refresh, in.Caller)
}

// SetPassword is the operator's: it ends every session of the user.
func (s *Service) SetPassword(ctx context.Context, userID string, password Secret) error {
	u, err := s.User(ctx, userID)
	if err != nil {
		return err
	}
	return s.replacePassword(ctx, &u, password, SessionID{}, Caller{})
}

// replacePassword ends the other sessions before and after the change: before,
// so that a crash in between leaves too few sessions and not too many; after,
// for a login with the old password that slipped in between.
func (s *Service) replacePassword(ctx context.Context, u *User, password Secret, keep SessionID, from Caller) error {
	hash, err := s.hashNewPassword(ctx, password, u.Email)
	if err != nil {
		return err
	}
	others := EndFilter{UserID: u.ID, Except: keep, Reason: EndedByPassword}
	if _, err := s.endSessions(ctx, others, from); err != nil {
		return err
	}
	if _, err := s.changeUser(ctx, u.ID, func(u *User) { u.PasswordHash = hash; u.PasswordVersion++ }); err != nil {
		return err
	}
	s.record(ctx, Event{Type: EventPasswordChanged, UserID: u.ID, SessionID: keep, IP: from.IP, UserAgent: from.Device.UserAgent})
	s.tellPasswordChanged(ctx, u.ID, from)
	_, err = s.endSessions(ctx, others, from)
	return err
}

// tellPasswordChanged tells the user, with a way back for whoever did not do it.
func (s *Service) tellPasswordChanged(ctx context.Context, userID string, from Caller) {
	s.tellAbout(ctx, userID, from, Mail{Kind: MailPasswordChanged, Link: NewSecret(s.cfg.Issuer + "/login/forgot-password")})
}
