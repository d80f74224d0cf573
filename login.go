package bitjang

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// failureFloor is the least time a refused login takes. Hashes imported from
// other systems cost more or less than ours, and an unknown user has none: a
// stopwatch must not tell them apart.
const failureFloor = 300 * time.Millisecond

// aal1 is the assurance level of a password alone (NIST SP 800-63B).
const aal1 = "aal1"

// LoginInput is an attempt to log in.
type LoginInput struct {
	Identifier string // the mail address
	Password   Secret
	Caller     Caller
}

// Login checks the password and opens a session on the caller's device. It
// ends the device's previous session of the same user, and the longest unseen
// session beyond Config.SessionLimit.
func (s *Service) Login(ctx context.Context, in LoginInput) (Tokens, error) {
	if err := s.showKey(&in.Caller); err != nil {
		return Tokens{}, err
	}
	started := time.Now() // a stopwatch, not a date: it must not follow a clock that is set
	u, err := s.checkCredentials(ctx, in)
	if errors.Is(err, ErrInvalidCredentials) || errors.Is(err, ErrTooManyAttempts) {
		sleep(ctx, failureFloor-time.Since(started))
	}
	if err != nil {
		return Tokens{}, err
	}
	return s.admitUser(ctx, u, in.Caller, "pwd")
}

// admitUser opens a session for a user who has shown who they are by a method of
// RFC 8176, unless a second factor is needed.
func (s *Service) admitUser(ctx context.Context, u User, from Caller, method string) (Tokens, error) {
	if err := s.showKey(&from); err != nil {
		return Tokens{}, err
	}
	from.Device = from.Device.bounded()
	if err := s.demandFactor(ctx, &u, from, method); err != nil {
		return Tokens{}, err
	}
	return s.enter(ctx, u, from, proof{words: []string{method}})
}

// enter opens a session for a user who has shown all that is needed.
func (s *Service) enter(ctx context.Context, u User, from Caller, p proof) (Tokens, error) {
	u, err := s.keepAccount(ctx, u, from)
	if err != nil {
		return Tokens{}, err
	}
	sess, t, err := s.openSession(ctx, u, from, p)
	if err != nil {
		return Tokens{}, err
	}
	s.record(ctx, happened(EventLogin, &sess, from, strings.Join(p.words, " ")))
	if err := s.judgeLogin(ctx, &u, &sess, from); err != nil {
		return Tokens{}, err
	}
	if err := s.makeRoom(ctx, &sess, from); err != nil {
		return Tokens{}, err
	}
	tokens, err := s.issue(sess, t, sess.CreatedAt, from)
	tokens.User = &u
	return tokens, err
}

// checkCredentials returns the user whose password this is.
func (s *Service) checkCredentials(ctx context.Context, in LoginInput) (User, error) {
	u, err := s.userByEmail(ctx, in.Identifier)
	known := &u
	switch e := AsError(err); {
	case err == nil:
	case e.Code == NotFound || e.Code == Invalid:
		known = nil
	default:
		return User{}, err
	}
	try, err := s.beginLogin(ctx, in.Identifier, known, in.Caller)
	if err != nil {
		return User{}, err
	}
	match, outdated, err := s.checkPassword(ctx, known, in.Password)
	if err != nil {
		s.giveBack(ctx, try.reserved) // the pool was full: nobody has judged it
		return User{}, err
	}
	if !match {
		s.guessedWrong(ctx, try)
		if known != nil {
			s.record(ctx, Event{Type: EventLoginFailed, UserID: u.ID, IP: in.Caller.IP, UserAgent: in.Caller.Device.UserAgent, Reason: "invalid_credentials"})
		}
		return User{}, ErrInvalidCredentials
	}
	if !u.DisabledAt.IsZero() {
		s.guessedRight(ctx, try)
		return User{}, ErrUserDisabled
	}
	// Where a right password is answered like a wrong one, it counts like one.
	if s.gone(&u) {
		return User{}, ErrInvalidCredentials
	}
	if s.cfg.VerifyEmail == VerifyRequired && u.EmailVerifiedAt.IsZero() {
		// To say more would tell whoever signed up with somebody's address
		// whether it had an account before.
		s.remind(ctx, &u, in.Caller)
		return User{}, ErrInvalidCredentials
	}
	s.guessedRight(ctx, try)
	if outdated {
		u = s.rehash(ctx, u, in.Password)
	}
	return u, nil
}

// remind sends the verification link to whoever has tried to log in without
// having used it.
func (s *Service) remind(ctx context.Context, u *User, from Caller) {
	if !s.mayMail(ctx, u.Email) {
		return
	}
	if err := s.askToVerify(ctx, u, from); err != nil {
		s.log.Error("mail not sent", "kind", MailVerifyEmail, "user", u.ID, "error", err)
	}
}

// openSession makes the session of a login.
func (s *Service) openSession(ctx context.Context, u User, from Caller, p proof) (Session, refreshToken, error) {
	now := s.clock()
	t := firstToken(NewSessionID(u.ID))
	sess := Session{
		ID: t.session, UserID: u.ID, ClientID: s.cfg.ClientID, Version: 1,
		Rotation:  Rotation{Nonce: t.nonce, ConfirmedAt: now},
		CreatedAt: now, LastSeenAt: now,
		IdleExpiresAt: now.Add(s.cfg.RefreshTTL), ExpiresAt: now.Add(s.cfg.SessionTTL),
		Roles:  u.Roles,
		Device: from.Device.bounded(), IP: from.IP, KeyThumbprint: from.key,
	}
	sess.proved(p, now)
	if err := s.saveSession(ctx, sess, u.PasswordVersion); err != nil {
		return Session{}, t, err
	}
	return sess, t, nil
}

// saveSession saves a new session and then looks at the user again: a change
// of password or a lock that came between the check and the save must win.
func (s *Service) saveSession(ctx context.Context, sess Session, passwordVersion int64) error {
	if err := s.sessions.InsertSession(ctx, sess); err != nil {
		return outage("save session", err)
	}
	again, err := s.User(ctx, sess.UserID)
	if err == nil && again.PasswordVersion == passwordVersion && again.DisabledAt.IsZero() {
		return nil
	}
	why := EndedByPassword
	if !again.DisabledAt.IsZero() {
		why = EndedByDisabled
	}
	_, endErr := s.changeSession(ctx, sess.ID, func(sess *Session) bool {
		sess.end(s.clock(), why)
		return true
	})
	switch {
	case endErr != nil:
		return endErr
	case err != nil:
		return err
	case !again.DisabledAt.IsZero():
		return ErrUserDisabled
	}
	return ErrInvalidCredentials
}

// makeRoom keeps one session per device and no more than the limit per user.
func (s *Service) makeRoom(ctx context.Context, sess *Session, from Caller) error {
	if sess.Device.ID != "" {
		same := EndFilter{UserID: sess.UserID, DeviceID: sess.Device.ID, Except: sess.ID, Reason: EndedByReplaced}
		if _, err := s.endSessions(ctx, same, from); err != nil {
			return err
		}
	}
	if s.cfg.SessionLimit == 0 {
		return nil
	}
	live, err := s.Sessions(ctx, sess.UserID)
	if err != nil {
		return err
	}
	others := slices.DeleteFunc(live, func(other Session) bool { return other.ID == sess.ID || other.ofClient() })
	for _, other := range others[min(len(others), s.cfg.SessionLimit-1):] { // the longest unseen come last
		end := EndSessionInput{UserID: sess.UserID, ID: other.ID, Reason: EndedByLimit, Caller: from}
		if err := s.EndSession(ctx, end); err != nil && !errors.Is(err, ErrNoSuchSession) {
			return err
		}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
