package bitjang

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Backchannel delivers logout tokens (OpenID Connect Back-Channel Logout section
// 2.5). Deliver is called in the background, again after an error, for a day;
// after one that wraps ErrUndeliverable it is not.
type Backchannel interface {
	Deliver(ctx context.Context, uri string, logoutToken Secret) error
}

const (
	logoutTokenType = "logout+jwt"
	logoutTokenLife = 2 * time.Minute // section 2.4 wants no more
	logoutEvent     = "http://schemas.openid.net/event/backchannel-logout"
	noticeTime      = 10 * time.Second // for one delivery
	maxNotices      = 64               // delivered at once by a node, beside mails
)

// logoutNotice is an end that a client is to be told of. It waits among the mails,
// and says nothing that the feed does not say: it need not be sealed, so that the
// operator's commands can leave one too.
type logoutNotice struct {
	ClientID  string    `json:"client_id"`
	UserID    string    `json:"sub"`
	SessionID SessionID `json:"sid"`
}

var noticeMark = []byte("logout notice ")

// logoutClaims are those of section 2.4.
type logoutClaims struct {
	Issuer    string              `json:"iss"`
	Subject   string              `json:"sub"`
	Audience  string              `json:"aud"`
	IssuedAt  int64               `json:"iat"`
	ExpiresAt int64               `json:"exp"`
	ID        string              `json:"jti"`
	SessionID string              `json:"sid"`
	Events    map[string]struct{} `json:"events"`
}

// notice puts away that a client is to be told of the end of its session, if it
// wants to be. What has ended has ended, whatever becomes of the notice.
func (s *Service) notice(ctx context.Context, sess *Session) {
	if !sess.ofClient() {
		return
	}
	ctx = context.WithoutCancel(ctx)
	c, err := s.knownClient(ctx, sess.ClientID)
	if errors.Is(err, ErrNoSuchClient) || err == nil && c.BackchannelLogoutURI == "" {
		return
	}
	var body []byte
	if err == nil {
		body, err = json.Marshal(logoutNotice{sess.ClientID, sess.UserID, sess.ID})
	}
	if err == nil {
		err = s.putMail(ctx, newUUID(), append(bytes.Clone(noticeMark), body...))
	}
	if err != nil {
		s.log.Error("client not told of a logout", "client", sess.ClientID, "session", sess.ID.String(), "error", err)
	}
}

// isNotice tells a logout notice from a mail.
func (w *WaitingMail) isNotice() bool { return bytes.HasPrefix(w.Sealed, noticeMark) }

// deliverNotice tells a client. The token is made anew for each try: it is good
// for two minutes only.
func (s *Service) deliverNotice(ctx context.Context, w WaitingMail) error {
	var n logoutNotice
	if err := json.Unmarshal(bytes.TrimPrefix(w.Sealed, noticeMark), &n); err != nil {
		return fmt.Errorf("%w: %w", ErrUndeliverable, err)
	}
	c, err := s.Client(ctx, n.ClientID)
	if errors.Is(err, ErrNoSuchClient) || err == nil && (c.BackchannelLogoutURI == "" || s.cfg.Backchannel == nil) {
		return fmt.Errorf("%w: nobody wants it any more", ErrUndeliverable)
	} else if err != nil {
		return err
	}
	now := s.clock()
	token, err := s.sign(s.cfg.IDTokenAlgorithm, logoutTokenType, &logoutClaims{
		Issuer: s.cfg.Issuer, Subject: n.UserID, Audience: c.ID, ID: newUUID(), SessionID: n.SessionID.String(),
		IssuedAt: now.Unix(), ExpiresAt: now.Add(logoutTokenLife).Unix(), Events: map[string]struct{}{logoutEvent: {}},
	}, now)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, noticeTime)
	defer cancel()
	return s.cfg.Backchannel.Deliver(ctx, c.BackchannelLogoutURI, token)
}
