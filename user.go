package bitjang

import (
	"context"
	"errors"
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/bitjang/bitjang/internal/passhash"
)

// User is an account.
type User struct {
	ID           string // a random UUID, the `sub` of tokens
	Email        string // normalised; unique
	Name         string
	PasswordHash string // see internal/passhash; not a bearer secret, but never shown
	Roles        []string
	CreatedAt    time.Time
	UpdatedAt    time.Time
	DisabledAt   time.Time
	// EmailVerifiedAt is when the user showed that the address is theirs.
	EmailVerifiedAt time.Time
	Language        string    // what the user reads, a language tag; may be empty
	DeleteAt        time.Time // when the account goes, if the user has asked for that
	// PasswordVersion counts the passwords: a hash may be renewed while the
	// password stays the same.
	PasswordVersion int64
	Version         int64
}

const (
	maxEmail = 254 // RFC 5321 section 4.5.3.1.3, less the angle brackets
	maxName  = 128
	maxRoles = 32

	maxLanguage = 64
)

// normalizeEmail gives a mail address its one spelling. The local part is
// lower-cased too: two people at one spelling are a trap, not a feature.
func normalizeEmail(text string) (string, error) {
	email := strings.ToLower(norm.NFKC.String(strings.TrimSpace(text)))
	parsed, err := mail.ParseAddress(email)
	if err != nil || !utf8.ValidString(text) || parsed.Address != email || parsed.Name != "" || len(email) > maxEmail || strings.ContainsAny(email, "\"<>()") {
		return "", invalid("email_invalid", "This is not a mail address.")
	}
	return email, nil
}

func checkName(text string) (string, error) {
	name := strings.TrimSpace(text)
	if len(name) > maxName || clip(name, maxName) != name {
		return "", invalid("name_invalid", "A name has at most %d bytes and no control characters.", maxName)
	}
	return name, nil
}

// checkRoles refuses what could not travel in a header or a space-separated list.
func checkRoles(roles []string) ([]string, error) {
	for _, r := range roles {
		if r == "" || len(r) > 64 || strings.ContainsFunc(r, func(c rune) bool { return c <= ' ' || c > '~' || c == ',' || c == '"' || c == '\\' }) {
			return nil, invalid("role_invalid", "A role has 1 to 64 visible ASCII characters without comma, quote and backslash.")
		}
	}
	if len(roles) > maxRoles {
		return nil, invalid("role_invalid", "A user has at most %d roles.", maxRoles)
	}
	return slices.Compact(slices.Sorted(slices.Values(roles))), nil
}

// SignupInput asks for an account.
type SignupInput struct {
	Email    string
	Password Secret
	Name     string
	Invite   Secret // the token of an invitation, where Config.Signup asks for one
	Caller   Caller
}

// Signup makes an account. Unless Config.SignupRevealExisting is set, an
// address that has one already gets the same answer at the same cost: a user
// that nobody can log in as.
func (s *Service) Signup(ctx context.Context, in SignupInput) (User, error) {
	started := time.Now() // a stopwatch, not a date
	if err := s.spendFrom(ctx, limitSignup, in.Caller); err != nil {
		return User{}, err
	}
	u, err := s.newUser(ctx, in.Email, in.Name, in.Password)
	if err != nil {
		return User{}, err
	}
	if err := s.checkSignup(ctx, &u, in.Invite); err != nil {
		return User{}, err
	}
	u.Language = clip(in.Caller.Language, maxLanguage)
	err = s.users.InsertUser(ctx, u)
	switch {
	case err == nil:
		s.record(ctx, by(in.Caller, EventSignup, u.ID))
		if err = s.welcome(ctx, &u, in.Caller); err != nil {
			s.log.Error("mail not sent", "kind", MailVerifyEmail, "user", u.ID, "error", err)
		}
	case !errors.Is(err, ErrExists):
		return User{}, outage("save user", err)
	case s.cfg.SignupRevealExisting:
		return User{}, ErrUserExists
	default:
		s.signedUpAgain(ctx, u.Email, in.Caller)
	}
	sleep(ctx, failureFloor-time.Since(started))
	return u, nil
}

// checkSignup is who may sign up. An invitation is used up by it, and shows that
// the address is the user's.
func (s *Service) checkSignup(ctx context.Context, u *User, invite Secret) error {
	if s.cfg.Signup == SignupClosed {
		return ErrSignupClosed
	}
	if err := s.checkDomain(u.Email); err != nil {
		return err
	}
	if s.cfg.Signup == SignupOpen && invite.IsZero() {
		return nil
	}
	_, _, err := s.useLink(ctx, linkInvite, u.Email, invite)
	if errors.Is(err, ErrLinkInvalid) && s.cfg.Signup == SignupOpen {
		return nil // it was not needed
	} else if errors.Is(err, ErrLinkInvalid) {
		return ErrSignupInvite
	} else if err != nil {
		return err
	}
	u.EmailVerifiedAt = u.CreatedAt
	return nil
}

func (s *Service) checkDomain(email string) error {
	_, domain, _ := strings.Cut(email, "@")
	if len(s.cfg.SignupDomains) > 0 && !slices.Contains(s.cfg.SignupDomains, domain) {
		return ErrSignupDomain
	}
	return nil
}

func (s *Service) welcome(ctx context.Context, u *User, from Caller) error {
	if !u.EmailVerifiedAt.IsZero() || !s.mayMail(ctx, u.Email) {
		return nil
	}
	return s.askToVerify(ctx, u, from)
}

// signedUpAgain tells the owner of an address, and nobody else, that somebody
// has signed up with it.
func (s *Service) signedUpAgain(ctx context.Context, email string, from Caller) {
	owner, err := s.users.UserByEmail(ctx, email)
	if err != nil {
		return
	}
	s.record(ctx, by(from, EventSignupRepeated, owner.ID))
	if s.mayMail(ctx, email) {
		s.tell(ctx, &owner, from, Mail{Kind: MailSignupRepeated, Link: NewSecret(s.cfg.Issuer + "/login")})
	}
}

// Invite lets the owner of a mail address sign up. The link that it returns is
// mailed too, if mails are sent.
func (s *Service) Invite(ctx context.Context, address, lang string) (Secret, error) {
	email, err := normalizeEmail(address)
	if err != nil {
		return Secret{}, err
	}
	token, expires, err := s.newLink(ctx, linkInvite, "", email, linkFacts{Email: email})
	if err != nil {
		return Secret{}, err
	}
	link := s.linkURL(linkInvite, token)
	return link, s.send(ctx, Mail{Kind: MailInvite, To: email, Language: lang, Link: link, ExpiresAt: expires})
}

func (s *Service) newUser(ctx context.Context, email, name string, password Secret) (User, error) {
	email, err := normalizeEmail(email)
	if err != nil {
		return User{}, err
	}
	name, err = checkName(name)
	if err != nil {
		return User{}, err
	}
	hash, err := s.hashNewPassword(ctx, password, email)
	if err != nil {
		return User{}, err
	}
	now := s.clock()
	return User{ID: newUUID(), Email: email, Name: name, PasswordHash: hash, CreatedAt: now, UpdatedAt: now, PasswordVersion: 1, Version: 1}, nil
}

// AddUserInput is the operator's way to make or import a user: with a password,
// or with a hash that another system made.
type AddUserInput struct {
	Email        string
	Name         string
	Password     Secret
	PasswordHash string
	Roles        []string
}

// AddUser makes a user, whatever Config.Signup says. Imported hashes are
// checked for being verifiable here and replaced at the user's next login.
func (s *Service) AddUser(ctx context.Context, in AddUserInput) (User, error) {
	roles, err := checkRoles(in.Roles)
	if err != nil {
		return User{}, err
	}
	var u User
	if in.PasswordHash == "" {
		u, err = s.newUser(ctx, in.Email, in.Name, in.Password)
	} else {
		u, err = s.importedUser(in)
	}
	if err != nil {
		return User{}, err
	}
	u.Roles = roles
	if err := s.users.InsertUser(ctx, u); errors.Is(err, ErrExists) {
		return User{}, ErrUserExists
	} else if err != nil {
		return User{}, outage("save user", err)
	}
	s.record(ctx, Event{Type: EventSignup, UserID: u.ID, Reason: "added_by_admin"})
	return u, nil
}

func (s *Service) importedUser(in AddUserInput) (User, error) {
	email, err := normalizeEmail(in.Email)
	if err != nil {
		return User{}, err
	}
	name, err := checkName(in.Name)
	if err != nil {
		return User{}, err
	}
	if err := passhash.Recognised(in.PasswordHash); err != nil {
		return User{}, invalid("password_hash_invalid", "This password hash cannot be used: %s.", strings.TrimPrefix(err.Error(), "passhash: "))
	}
	now := s.clock()
	return User{ID: newUUID(), Email: email, Name: name, PasswordHash: in.PasswordHash, CreatedAt: now, UpdatedAt: now, PasswordVersion: 1, Version: 1}, nil
}

// User returns a user by id.
func (s *Service) User(ctx context.Context, id string) (User, error) {
	return found(s.users.User(ctx, id))
}

// FindUser returns a user by id or mail address.
func (s *Service) FindUser(ctx context.Context, idOrEmail string) (User, error) {
	if _, err := ParseSessionID(idOrEmail); err == nil { // any UUID
		return s.User(ctx, idOrEmail)
	}
	return s.userByEmail(ctx, idOrEmail)
}

func (s *Service) userByEmail(ctx context.Context, address string) (User, error) {
	email, err := normalizeEmail(address)
	if err != nil {
		return User{}, err
	}
	return found(s.users.UserByEmail(ctx, email))
}

func found(u User, err error) (User, error) {
	if errors.Is(err, ErrNotFound) {
		return User{}, ErrNoSuchUser
	} else if err != nil {
		return User{}, outage("load user", err)
	}
	return u, nil
}

// Users lists users in the order of their ids, at most 100 after the given one.
func (s *Service) Users(ctx context.Context, after string) ([]User, error) {
	users, err := s.users.Users(ctx, after, maxPage)
	if err != nil {
		return nil, outage("list users", err)
	}
	return users, nil
}

// changeUser is the compare-and-swap loop for users.
func (s *Service) changeUser(ctx context.Context, id string, change func(*User)) (User, error) {
	for range casAttempts {
		u, err := s.User(ctx, id)
		if err != nil {
			return User{}, err
		}
		change(&u)
		u.UpdatedAt = s.clock()
		err = s.users.UpdateUser(ctx, u)
		switch {
		case err == nil:
			u.Version++
			return u, nil
		case !errors.Is(err, ErrConflict):
			return User{}, outage("save user", err)
		}
	}
	return User{}, errContended
}

// RenameUser changes the name shown to people.
func (s *Service) RenameUser(ctx context.Context, id, name string) (User, error) {
	name, err := checkName(name)
	if err != nil {
		return User{}, err
	}
	return s.changeUser(ctx, id, func(u *User) { u.Name = name })
}

// SetLanguage says what a user reads.
func (s *Service) SetLanguage(ctx context.Context, id, language string) error {
	_, err := s.changeUser(ctx, id, func(u *User) { u.Language = clip(language, maxLanguage) })
	return err
}

// DisableUser locks the account and ends its sessions.
func (s *Service) DisableUser(ctx context.Context, id string) (User, error) {
	now := s.clock()
	u, err := s.changeUser(ctx, id, func(u *User) { setDefault(&u.DisabledAt, now) })
	if err != nil {
		return User{}, err
	}
	s.record(ctx, Event{Type: EventUserDisabled, UserID: id})
	_, err = s.endSessions(ctx, EndFilter{UserID: id, Reason: EndedByDisabled}, Caller{})
	return u, err
}

// EnableUser unlocks the account. Ended sessions stay ended.
func (s *Service) EnableUser(ctx context.Context, id string) (User, error) {
	u, err := s.changeUser(ctx, id, func(u *User) { u.DisabledAt = time.Time{} })
	if err == nil {
		s.record(ctx, Event{Type: EventUserEnabled, UserID: id})
	}
	return u, err
}
