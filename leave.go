package bitjang

import (
	"context"
	"errors"
	"time"
)

// DeleteAccountInput asks to delete one's own account.
type DeleteAccountInput struct {
	UserID   string
	Password Secret
	Caller   Caller
}

// DeleteAccount ends every session of a user and deletes the account after
// Config.DeletionGrace. Whoever logs in before that has it back.
func (s *Service) DeleteAccount(ctx context.Context, in DeleteAccountInput) (User, error) {
	u, err := s.reauthenticate(ctx, in.UserID, in.Password, in.Caller, "account_deletion")
	if err != nil {
		return User{}, err
	}
	at := s.clock().Add(s.cfg.DeletionGrace)
	if u, err = s.changeUser(ctx, u.ID, func(u *User) { u.DeleteAt = at }); err != nil {
		return User{}, err
	}
	s.record(ctx, by(in.Caller, EventDeletionAsked, u.ID))
	if err := s.consents.DeleteConsents(ctx, u.ID, ""); err != nil {
		return User{}, outage("delete consents", err)
	}
	if _, err := s.endSessions(ctx, EndFilter{UserID: u.ID, Reason: EndedByDeletion}, in.Caller); err != nil {
		return User{}, err
	}
	s.tell(ctx, &u, in.Caller, Mail{Kind: MailDeletion, At: at, Link: NewSecret(s.cfg.Issuer + "/login")})
	return u, nil
}

// gone says that an account's time is over, although it may not be swept yet.
func (s *Service) gone(u *User) bool { return !u.DeleteAt.IsZero() && !s.clock().Before(u.DeleteAt) }

// keepAccount takes a deletion back.
func (s *Service) keepAccount(ctx context.Context, u User, from Caller) (User, error) {
	if u.DeleteAt.IsZero() {
		return u, nil
	}
	over := false
	kept, err := s.changeUser(ctx, u.ID, func(u *User) {
		if over = s.gone(u); !over {
			u.DeleteAt = time.Time{}
		}
	})
	switch {
	case errors.Is(err, ErrNoSuchUser) || (err == nil && over):
		return User{}, ErrInvalidCredentials
	case err != nil:
		return User{}, err
	}
	s.record(ctx, by(from, EventDeletionUndone, u.ID))
	return kept, nil
}

// Export is everything that is kept about a user.
type Export struct {
	User     User // without the password's hash
	Sessions []Session
	Factors  []Factor // without what is sealed
	Events   []Event
}

// maxExported bounds the events of an Export; the newest are in it.
const maxExported = 10000

// Export gathers what is kept about a user, for the user.
func (s *Service) Export(ctx context.Context, userID string, from Caller) (Export, error) {
	u, err := s.User(ctx, userID)
	if err != nil {
		return Export{}, err
	}
	u.PasswordHash = ""
	x := Export{User: u}
	if x.Sessions, err = s.listSessions(ctx, userID, func(sessionState) bool { return true }); err != nil {
		return Export{}, err
	}
	if x.Factors, err = s.Factors(ctx, userID); err != nil {
		return Export{}, err
	}
	for before := int64(0); len(x.Events) < maxExported; {
		page, err := s.Activity(ctx, userID, before, maxPage)
		if err != nil {
			return Export{}, err
		}
		x.Events = append(x.Events, page...)
		if len(page) < maxPage {
			break
		}
		before = page[len(page)-1].ID
	}
	s.record(ctx, by(from, EventExported, userID))
	return x, nil
}
