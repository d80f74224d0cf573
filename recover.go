package bitjang

import (
	"context"
	"errors"
)

// ForgotPassword sends a link for a new password, if the address has an
// account. The answer is the same either way.
func (s *Service) ForgotPassword(ctx context.Context, email string, from Caller) error {
	return s.silently(ctx, email, from, func(u *User) error {
		facts := linkFacts{Email: u.Email, PasswordVersion: u.PasswordVersion}
		if err := s.mailLink(ctx, u, from, linkResetPassword, "", facts, Mail{Kind: MailResetPassword}); err != nil {
			return err
		}
		s.record(ctx, by(from, EventResetAsked, u.ID))
		return nil
	})
}

// ResetPasswordInput is a new password on the strength of a link.
type ResetPasswordInput struct {
	Token    Secret
	Password Secret
	Caller   Caller
}

// ResetPassword sets a new password, ends every session of the user and logs
// nobody in. A password that is refused does not use the link up.
func (s *Service) ResetPassword(ctx context.Context, in ResetPasswordInput) error {
	if err := s.spendFrom(ctx, limitLinks, in.Caller); err != nil {
		return err
	}
	u, err := s.linkUser(ctx, in.Token)
	if err != nil {
		return err
	}
	if _, err := checkNewPassword(in.Password, u.Email); err != nil {
		return err
	}
	u, facts, err := s.useLink(ctx, linkResetPassword, "", in.Token)
	if err != nil {
		return err
	}
	if facts.PasswordVersion != u.PasswordVersion || facts.Email != u.Email {
		return ErrLinkInvalid // the password, or whose mail it is, has changed since
	}
	if err := s.replacePassword(ctx, &u, in.Password, SessionID{}, in.Caller); err != nil {
		return err
	}
	s.forgive(ctx, limitAccount.charges(u.Email)) // guesses at the old password must not keep its owner out
	return s.emailReached(ctx, &u, in.Caller)
}

// emailReached notes that a user has received a mail, and so that the address
// is theirs.
func (s *Service) emailReached(ctx context.Context, u *User, from Caller) error {
	if !u.EmailVerifiedAt.IsZero() {
		return nil
	}
	email, now, same := u.Email, s.clock(), false
	changed, err := s.changeUser(ctx, u.ID, func(u *User) {
		if same = u.Email == email; same {
			setDefault(&u.EmailVerifiedAt, now)
		}
	})
	if err != nil {
		return err
	}
	*u = changed
	if same {
		s.record(ctx, by(from, EventEmailVerified, u.ID))
	}
	return nil
}

// VerifyEmail takes a user's word that the mail address is theirs: the link
// reached them.
func (s *Service) VerifyEmail(ctx context.Context, token Secret, from Caller) (User, error) {
	if err := s.spendFrom(ctx, limitLinks, from); err != nil {
		return User{}, err
	}
	u, facts, err := s.useLink(ctx, linkVerifyEmail, "", token)
	if err != nil {
		return User{}, err
	}
	if facts.Email != u.Email {
		return User{}, ErrLinkInvalid
	}
	return u, s.emailReached(ctx, &u, from)
}

// ResendVerification sends the link of VerifyEmail once more, unless the
// address is verified.
func (s *Service) ResendVerification(ctx context.Context, userID string, from Caller) error {
	if s.cfg.Mailer == nil {
		return ErrMailDisabled
	}
	if err := s.spendFrom(ctx, limitMails, from); err != nil {
		return err
	}
	u, err := s.User(ctx, userID)
	if err != nil || !u.EmailVerifiedAt.IsZero() || !s.mayMail(ctx, u.Email) {
		return err
	}
	return s.askToVerify(ctx, &u, from)
}

func (s *Service) askToVerify(ctx context.Context, u *User, from Caller) error {
	if s.cfg.Mailer == nil {
		return nil
	}
	return s.mailLink(ctx, u, from, linkVerifyEmail, "", linkFacts{Email: u.Email}, Mail{Kind: MailVerifyEmail})
}

// SendLoginLink sends a link that logs in, if the address has an account. The
// answer is the same either way. The link works only on the device that asked,
// named by Caller.Device.ID: nobody can be made to log in as somebody else.
func (s *Service) SendLoginLink(ctx context.Context, email string, from Caller) error {
	from.Device = from.Device.bounded()
	if from.Device.ID == "" {
		return invalid("device_id_missing", "A login link is bound to a device, so the request needs a device id.")
	}
	return s.silently(ctx, email, from, func(u *User) error {
		facts := linkFacts{Email: u.Email, PasswordVersion: u.PasswordVersion}
		if err := s.mailLink(ctx, u, from, linkLogin, from.Device.ID, facts, Mail{Kind: MailLoginLink}); err != nil {
			return err
		}
		s.record(ctx, by(from, EventLoginLinkAsked, u.ID))
		return nil
	})
}

// LoginByLink opens a session on the strength of a link, on the device that
// asked for it. On another one the link stays good.
func (s *Service) LoginByLink(ctx context.Context, token Secret, from Caller) (Tokens, error) {
	from.Device = from.Device.bounded()
	if from.Device.ID == "" {
		return Tokens{}, ErrLinkInvalid
	}
	if err := s.showKey(&from); err != nil {
		return Tokens{}, err
	}
	if err := s.spendFrom(ctx, limitLinks, from); err != nil {
		return Tokens{}, err
	}
	u, facts, err := s.useLink(ctx, linkLogin, from.Device.ID, token)
	if err != nil {
		return Tokens{}, err
	}
	if facts.Email != u.Email || facts.PasswordVersion != u.PasswordVersion {
		return Tokens{}, ErrLinkInvalid
	}
	if err := s.emailReached(ctx, &u, from); err != nil {
		return Tokens{}, err
	}
	return s.admitUser(ctx, u, from, "otp")
}

// Disowned is what Disown has done.
type Disowned struct {
	Session Session // zero if it is not kept any more
	Reset   Secret  // for ResetPassword: whoever it was knew the password
}

// Disown is "this wasn't me", from the mail about a new device: it ends that
// session and hands out what a new password needs.
func (s *Service) Disown(ctx context.Context, token Secret, from Caller) (Disowned, error) {
	if err := s.spendFrom(ctx, limitLinks, from); err != nil {
		return Disowned{}, err
	}
	u, facts, err := s.useLink(ctx, linkDisown, "", token)
	if err != nil {
		return Disowned{}, err
	}
	if facts.Email != u.Email {
		return Disowned{}, ErrLinkInvalid
	}
	err = s.DisownSession(ctx, u.ID, facts.Session, from)
	if err != nil && !errors.Is(err, ErrNoSuchSession) {
		return Disowned{}, err
	}
	var d Disowned
	if err == nil {
		if d.Session, err = s.SessionByID(ctx, facts.Session); err != nil {
			return Disowned{}, err
		}
	}
	d.Reset, _, err = s.newLink(ctx, linkResetPassword, u.ID, "", linkFacts{Email: u.Email, PasswordVersion: u.PasswordVersion})
	return d, err
}

// DisownSession is "this wasn't me" from the list of one's own sessions.
func (s *Service) DisownSession(ctx context.Context, userID string, id SessionID, from Caller) error {
	if err := s.EndSession(ctx, EndSessionInput{UserID: userID, ID: id, Reason: EndedByDisowner, Caller: from}); err != nil {
		return err
	}
	e := by(from, EventDisowned, userID)
	e.SessionID = id
	s.record(ctx, e)
	return nil
}

// ChangeEmailInput asks for another mail address.
type ChangeEmailInput struct {
	UserID   string
	Email    string
	Password Secret
	Caller   Caller
}

// ChangeEmail begins to change a user's mail address. First the old address is
// asked, then the new one; it stays as it is until both have said yes.
func (s *Service) ChangeEmail(ctx context.Context, in ChangeEmailInput) error {
	if s.cfg.Mailer == nil {
		return ErrMailDisabled
	}
	if err := s.spendFrom(ctx, limitMails, in.Caller); err != nil {
		return err
	}
	email, err := normalizeEmail(in.Email)
	if err != nil {
		return err
	}
	u, err := s.reauthenticate(ctx, in.UserID, in.Password, in.Caller, "email_change")
	if err != nil {
		return err
	}
	if email == u.Email {
		return invalid("email_unchanged", "This is your mail address already.")
	}
	if err := s.checkDomain(email); err != nil {
		return err
	}
	if !s.mayMail(ctx, u.Email) {
		return nil
	}
	facts := linkFacts{Email: u.Email, NewEmail: email, PasswordVersion: u.PasswordVersion}
	if err := s.mailLink(ctx, &u, in.Caller, linkChangeEmail, "", facts, Mail{Kind: MailEmailChange, Email: email}); err != nil {
		return err
	}
	s.record(ctx, by(in.Caller, EventEmailAsked, u.ID))
	return nil
}

// reauthenticate checks the password of a user who is logged in.
func (s *Service) reauthenticate(ctx context.Context, userID string, password Secret, from Caller, what string) (User, error) {
	u, err := s.User(ctx, userID)
	if err != nil {
		return User{}, err
	}
	match, err := s.checkOwnPassword(ctx, &u, password)
	if err != nil {
		return User{}, err
	}
	if !match {
		e := by(from, EventLoginFailed, u.ID)
		e.Reason = what
		s.record(ctx, e)
		return User{}, ErrInvalidCredentials
	}
	return u, nil
}

// ConfirmEmailChange takes the yes of one address. After the old one's the new
// one is asked and done is false; after the new one's the address is changed.
func (s *Service) ConfirmEmailChange(ctx context.Context, token Secret, from Caller) (done bool, err error) {
	if err := s.spendFrom(ctx, limitLinks, from); err != nil {
		return false, err
	}
	u, facts, err := s.useLink(ctx, linkChangeEmail, "", token)
	if err != nil {
		return false, err
	}
	if facts.Email != u.Email || facts.PasswordVersion != u.PasswordVersion {
		return false, ErrLinkInvalid
	}
	if !facts.Confirmed {
		facts.Confirmed = true
		return false, s.mailLink(ctx, &u, from, linkChangeEmail, "", facts, Mail{Kind: MailEmailChangeNew, To: facts.NewEmail, Email: u.Email})
	}
	old := u
	u.Email, u.EmailVerifiedAt, u.UpdatedAt = facts.NewEmail, s.clock(), s.clock()
	switch err := s.users.UpdateUser(ctx, u); {
	case errors.Is(err, ErrExists):
		return false, ErrUserExists // whoever asks has just shown that the address is theirs
	case errors.Is(err, ErrConflict):
		return false, errContended
	case err != nil:
		return false, outage("save user", err)
	}
	s.record(ctx, by(from, EventEmailChanged, u.ID))
	s.tell(ctx, &old, from, Mail{Kind: MailEmailChanged, Email: u.Email, At: s.clock(), Device: from.Device.bounded(), IP: from.IP})
	return true, nil
}
