package bitjang

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// linkKind is what a one-time link in a mail permits.
type linkKind string

const (
	linkVerifyEmail   linkKind = "verify_email"
	linkResetPassword linkKind = "reset_password"
	linkLogin         linkKind = "login_link"
	linkDisown        linkKind = "disown"
	linkChangeEmail   linkKind = "change_email"
	linkInvite        linkKind = "invite"
)

// links are the pages that the links lead to, and how long they work. The
// longer ones undo or give little.
var links = map[linkKind]struct {
	path string
	life time.Duration
}{
	linkVerifyEmail:   {"/account/verify-email", day},
	linkResetPassword: {"/login/reset-password", 30 * time.Minute},
	linkLogin:         {"/login/link", 15 * time.Minute},
	linkDisown:        {"/account/not-me", 7 * day},
	linkChangeEmail:   {"/account/change-email", time.Hour},
	linkInvite:        {"/signup", 7 * day},
}

// linkFacts is what a link is about, and what must still hold when it is used.
type linkFacts struct {
	Email           string    `json:"email,omitempty"` // the user's when the link was made; the invited one
	NewEmail        string    `json:"new_email,omitempty"`
	Confirmed       bool      `json:"confirmed,omitempty"` // the old address has said yes
	PasswordVersion int64     `json:"password_version,omitempty"`
	Session         SessionID `json:"session"`
}

const (
	linkPrefix = "bjl_" // secret scanners find leaked links by it
	linkRandom = 24
)

// newLink makes a one-time link for a user, "" for somebody who is none yet. It
// can be used only with the same binding. The store gets a hash of it all.
func (s *Service) newLink(ctx context.Context, kind linkKind, userID, binding string, facts linkFacts) (token Secret, expires time.Time, err error) {
	id, _ := ParseSessionID(userID) // the same spelling; zero for nobody
	raw := make([]byte, linkRandom)
	rand.Read(raw)
	token = NewSecret(linkPrefix + base64.RawURLEncoding.EncodeToString(append(id[:], raw...)))
	data, err := json.Marshal(facts)
	if err != nil {
		return Secret{}, expires, fmt.Errorf("encode link: %w", err)
	}
	now := s.clock()
	expires = now.Add(links[kind].life)
	g := Grant{ID: linkHash(kind, binding, token), Kind: string(kind), UserID: userID, Data: data, CreatedAt: now, ExpiresAt: expires}
	if err := s.sessions.InsertGrant(ctx, g); err != nil {
		return Secret{}, expires, outage("save link", err)
	}
	return token, expires, nil
}

// linkHash covers the kind and the binding, so that a link used for something
// else or from elsewhere is unknown, and is not used up by that.
func linkHash(kind linkKind, binding string, token Secret) GrantID {
	return sha256.Sum256([]byte(string(kind) + "\x00" + binding + "\x00" + token.Reveal()))
}

func (s *Service) linkURL(kind linkKind, token Secret) Secret {
	name := "token"
	if kind == linkInvite {
		name = "invite"
	}
	return NewSecret(s.cfg.Issuer + links[kind].path + "?" + url.Values{name: {token.Reveal()}}.Encode())
}

// linkUser is the user that a link names, for what must be looked at before it
// is used up. Nothing is proved by that.
func (s *Service) linkUser(ctx context.Context, token Secret) (User, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimPrefix(token.Reveal(), linkPrefix))
	if err != nil || len(raw) != 16+linkRandom {
		return User{}, ErrLinkInvalid
	}
	u, err := s.User(ctx, formatUUID([16]byte(raw)))
	if errors.Is(err, ErrNoSuchUser) {
		return User{}, ErrLinkInvalid
	}
	return u, err
}

// useLink uses a link up and returns what it is about and, unless it is for
// nobody, its user.
func (s *Service) useLink(ctx context.Context, kind linkKind, binding string, token Secret) (User, linkFacts, error) {
	var facts linkFacts
	now := s.clock()
	g, err := s.sessions.ConsumeGrant(ctx, linkHash(kind, binding, token), now)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrConflict) {
		return User{}, facts, ErrLinkInvalid
	} else if err != nil {
		return User{}, facts, outage("use link", err)
	}
	if !now.Before(g.ExpiresAt) {
		return User{}, facts, ErrLinkInvalid
	}
	if err := json.Unmarshal(g.Data, &facts); err != nil {
		return User{}, facts, ErrLinkInvalid.because(err)
	}
	if g.UserID == "" {
		return User{}, facts, nil
	}
	u, err := s.User(ctx, g.UserID)
	if errors.Is(err, ErrNoSuchUser) || (err == nil && (!u.DisabledAt.IsZero() || s.gone(&u))) {
		return User{}, facts, ErrLinkInvalid
	}
	return u, facts, err
}

// mailLink makes a link and sends it to the user.
func (s *Service) mailLink(ctx context.Context, u *User, from Caller, kind linkKind, binding string, facts linkFacts, m Mail) error {
	token, expires, err := s.newLink(ctx, kind, u.ID, binding, facts)
	if err != nil {
		return err
	}
	m.Link, m.ExpiresAt = s.linkURL(kind, token), expires
	setDefault(&m.To, u.Email)
	m.Name, m.Language = u.Name, u.Language
	setDefault(&m.Language, from.Language)
	return s.send(ctx, m)
}

// mayMail says whether strangers may still have mails sent to an address. Whoever
// asks too often is not told: it would tell that the address is known.
func (s *Service) mayMail(ctx context.Context, email string) bool {
	err := s.spend(ctx, limitMailbox, email)
	if err != nil && !errors.Is(err, ErrTooManyAttempts) {
		s.log.Error("limit of mails not kept", "error", err)
	}
	return err == nil
}

// silently does something about a mail address that may be nobody's, and takes
// the same time over it either way.
func (s *Service) silently(ctx context.Context, email string, from Caller, work func(*User) error) error {
	started := time.Now() // a stopwatch, not a date
	defer func() { sleep(ctx, failureFloor-time.Since(started)) }()
	if s.cfg.Mailer == nil {
		return ErrMailDisabled
	}
	if err := s.spendFrom(ctx, limitMails, from); err != nil {
		return err
	}
	u, err := s.userByEmail(ctx, email)
	switch {
	case errors.Is(err, ErrNoSuchUser):
		return nil
	case err != nil:
		return err
	case !u.DisabledAt.IsZero() || s.gone(&u) || !s.mayMail(ctx, u.Email):
		return nil
	}
	return work(&u)
}
