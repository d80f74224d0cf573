package bitjang

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// Consent is what a person has allowed a client that is not the operator's own.
type Consent struct {
	UserID   string
	ClientID string
	Scope    string // separated by spaces
	At       time.Time
}

// covers tells whether nothing needs to be asked again.
func (c Consent) covers(scope string) bool { return !c.At.IsZero() && within(scope, c.Scope) }

func (s *Service) consent(ctx context.Context, userID, clientID string) (Consent, error) {
	c, err := s.consents.Consent(ctx, userID, clientID)
	if errors.Is(err, ErrNotFound) {
		return Consent{}, nil
	} else if err != nil {
		return Consent{}, outage("load consent", err)
	}
	return c, nil
}

// giveConsent adds to what was allowed before. Of two that are given at once one
// may be forgotten: then it is asked for again.
func (s *Service) giveConsent(ctx context.Context, userID string, c *Client, scope string, from Caller) error {
	before, err := s.consent(ctx, userID, c.ID)
	if err != nil {
		return err
	}
	all := slices.Compact(slices.Sorted(slices.Values(append(strings.Fields(before.Scope), strings.Fields(scope)...))))
	given := Consent{UserID: userID, ClientID: c.ID, Scope: strings.Join(all, " "), At: s.clock()}
	if err := s.consents.PutConsent(ctx, given); err != nil {
		return outage("save consent", err)
	}
	e := by(from, EventConsent, userID)
	e.Reason = c.ID
	s.record(ctx, e)
	return nil
}

// Consents lists what a user has allowed.
func (s *Service) Consents(ctx context.Context, userID string) ([]Consent, error) {
	list, err := s.consents.Consents(ctx, userID)
	if err != nil {
		return nil, outage("list consents", err)
	}
	return list, nil
}

// WithdrawConsent takes back what a user has allowed a client, and ends the
// client's sessions of the user.
func (s *Service) WithdrawConsent(ctx context.Context, userID, clientID string, from Caller) error {
	if err := s.consents.DeleteConsents(ctx, userID, clientID); err != nil {
		return outage("delete consent", err)
	}
	e := by(from, EventConsentTaken, userID)
	e.Reason = clientID
	s.record(ctx, e)
	return s.endWhere(ctx, userID, EndedByConsent, from, func(sess *Session) bool { return sess.ofClient() && sess.ClientID == clientID })
}

// endWhere ends those of a user's sessions that are named.
func (s *Service) endWhere(ctx context.Context, userID string, why EndReason, from Caller, named func(*Session) bool) error {
	list, err := s.listSessions(ctx, userID, func(st sessionState) bool { return st != stateEnded })
	if err != nil {
		return err
	}
	for i := range list {
		if !named(&list[i]) {
			continue
		}
		if err := s.endOne(ctx, &list[i], why, from); err != nil {
			return err
		}
	}
	return nil
}
