package bitjang

import (
	"context"
	"errors"
	"net/url"
	"slices"
)

// A person who logs in to a client has two sessions: the login, which is ours, and
// the client's, which names it as LoginID. What follows is about their ends.

// outlives tells whether a client's session goes on when the login behind it ends.
// One with offline_access was given for when the person has gone, but not for
// somebody who never was that person.
func (s *Session) outlives(why EndReason) bool {
	switch why {
	case EndedByReplaced:
		return true // the same person has logged in again on the same device
	case EndedByReuse, EndedByStranger, EndedByRisk, EndedByDisowner:
		return false
	}
	return hasScope(s.Scope, scopeOffline)
}

// takeAlong ends the sessions that clients got from a login, with it.
func (s *Service) takeAlong(ctx context.Context, login *Session, why EndReason, from Caller) error {
	if login.ofClient() {
		return nil
	}
	return s.endWhere(ctx, login.UserID, why, from, func(sess *Session) bool {
		return sess.ofClient() && sess.LoginID == login.ID && !sess.outlives(why)
	})
}

// wentAlong is takeAlong after a login has ended by itself, in a refresh whose
// answer is already known. What it cannot end now ends at its next refresh.
func (s *Service) wentAlong(ctx context.Context, login *Session, from Caller) {
	s.notice(ctx, login)
	if err := s.takeAlong(context.WithoutCancel(ctx), login, login.EndReason, from); err != nil {
		s.log.Error("sessions of clients not ended with their login", "session", login.ID.String(), "error", err)
	}
}

// loginHolds looks, after a client's session was saved or moved, whether the login
// behind it still permits it: whoever ended that may not have seen this one, or
// not have come so far.
func (s *Service) loginHolds(ctx context.Context, sess *Session) error {
	if sess.LoginID.IsZero() {
		return nil
	}
	login, err := s.sessions.Session(ctx, sess.LoginID)
	switch {
	case errors.Is(err, ErrNotFound):
		// So long ended that it is deleted: by whom nobody knows any more, but
		// within the retention every refresh has looked.
		if hasScope(sess.Scope, scopeOffline) {
			return nil
		}
		login.EndReason = EndedByLogout
	case err != nil:
		return outage("load login", err)
	case login.EndedAt.IsZero() || sess.outlives(login.EndReason):
		return nil
	}
	if err := s.EndSession(ctx, EndSessionInput{ID: sess.ID, Reason: login.EndReason}); err != nil {
		return err
	}
	return revokedFor(login.EndReason)
}

// consentHolds looks, after a client's session was saved, whether the person has
// taken back meanwhile what it is for.
func (s *Service) consentHolds(ctx context.Context, sess *Session, c *Client) error {
	if c.FirstParty {
		return nil
	}
	given, err := s.consent(ctx, sess.UserID, c.ID)
	if err != nil || given.covers(sess.Scope) {
		return err
	}
	if err := s.EndSession(ctx, EndSessionInput{ID: sess.ID, Reason: EndedByConsent}); err != nil {
		return err
	}
	return revokedFor(EndedByConsent)
}

// ClientLogoutInput is a logout request of a client (OpenID Connect RP-Initiated
// Logout section 2), as it came.
type ClientLogoutInput struct {
	IDTokenHint Secret
	ClientID    string
	RedirectURI string
	State       string
	Confirmed   bool // the person has been asked, and wants to
}

// ClientLogout is what a logout request comes to.
type ClientLogout struct {
	Ask    bool    // nothing has ended: the person is to be asked first
	Client *Client // who asks, if that is known
	URL    string  // where the browser goes then; "": it stays
}

// LogoutForClient ends the login in front of the browser, and what clients got
// from it. Without a hint that shows that it is a client of that very person who
// asks, the person is asked: any page can send a browser here.
func (s *Service) LogoutForClient(ctx context.Context, in ClientLogoutInput, login *Session, from Caller) (ClientLogout, error) {
	if login != nil && login.ofClient() {
		login = nil
	}
	hint, known, err := s.logoutHint(ctx, in)
	if err != nil {
		return ClientLogout{}, err
	}
	var out ClientLogout
	if known {
		out.Client = &hint.Client
		if out.URL, err = hint.Client.logoutURL(in); err != nil {
			return ClientLogout{}, err
		}
	}
	same := known && (login == nil || login.UserID == hint.UserID)
	if !same && login != nil && !in.Confirmed {
		out.Ask = true
		return out, nil
	}
	if same {
		if err := s.endOfClient(ctx, hint, from); err != nil {
			return ClientLogout{}, err
		}
	}
	if login == nil {
		return out, nil
	}
	return out, s.EndSession(ctx, EndSessionInput{UserID: login.UserID, ID: login.ID, Reason: EndedByLogout, Caller: from})
}

// logoutHint reads the hint. One that is none of ours counts as none: then the
// person is asked, and nobody is sent anywhere.
func (s *Service) logoutHint(ctx context.Context, in ClientLogoutInput) (hint Hint, known bool, err error) {
	if in.IDTokenHint.IsZero() {
		return hint, false, nil
	}
	hint, err = s.ReadHint(ctx, in.IDTokenHint)
	switch {
	case err == nil:
		return hint, in.ClientID == "" || in.ClientID == hint.Client.ID, nil
	case AsError(err).Code == Unavailable:
		return hint, false, err
	}
	return hint, false, nil
}

// logoutURL is where a client may have the browser sent after a logout.
func (c *Client) logoutURL(in ClientLogoutInput) (string, error) {
	if in.RedirectURI == "" {
		return "", nil
	}
	u, err := url.Parse(in.RedirectURI)
	if err != nil || !slices.Contains(c.LogoutURIs, in.RedirectURI) {
		return "", ErrRedirectURI
	}
	if in.State != "" {
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += url.Values{"state": {in.State}}.Encode()
	}
	return u.String(), nil
}

// endOfClient ends the client's session that an ID token came with.
func (s *Service) endOfClient(ctx context.Context, hint Hint, from Caller) error {
	sess, err := s.SessionByID(ctx, hint.Session)
	switch {
	case errors.Is(err, ErrNoSuchSession):
		return nil
	case err != nil:
		return err
	case sess.UserID != hint.UserID || sess.ClientID != hint.Client.ID || !sess.ofClient():
		return nil
	}
	return s.endOne(ctx, &sess, EndedByLogout, from)
}
