package bitjang

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// MailKind says what a mail is about, in a word that stays the same for ever.
type MailKind string

// The mails. Those with a link say what it does; a link can be used once, and
// only by a button on the page it leads to.
const (
	MailVerifyEmail     MailKind = "verify_email"     // Link: the address is mine
	MailSignupRepeated  MailKind = "signup_repeated"  // somebody signed up with an address that has an account; Link: the login page
	MailInvite          MailKind = "invite"           // Link: sign up
	MailResetPassword   MailKind = "reset_password"   // Link: choose a new password
	MailLoginLink       MailKind = "login_link"       // Link: log in, in the browser that asked
	MailNewDevice       MailKind = "new_device"       // Device, IP, At; Link: this wasn't me
	MailSessionReuse    MailKind = "session_reuse"    // a session ended because its refresh token came back; Device, IP, At; Link: the account
	MailSessionHeld     MailKind = "session_held"     // a session is frozen; Signals, Device, IP, At; Link: the account
	MailUnusual         MailKind = "unusual_use"      // a session was used in an unusual way; as above
	MailPasswordChanged MailKind = "password_changed" // Device, IP, At; Link: choose a new password, for whoever did not do it
	MailEmailChange     MailKind = "email_change"     // to the old address; Email: the new one; Link: yes, change it
	MailEmailChangeNew  MailKind = "email_change_new" // to the new address; Link: this address is mine
	MailEmailChanged    MailKind = "email_changed"    // to the old address; Email: the new one
	MailFactorAdded     MailKind = "factor_added"     // Factor, Device, IP, At; Link: the account's security page
	MailFactorRemoved   MailKind = "factor_removed"   // the same; Factor is "" after the operator took all of them
	MailCode            MailKind = "code"             // Code, Device, IP, At: the code that a challenge asks for
	MailDeletion        MailKind = "account_deletion" // At: when; Link: the login page, logging in keeps the account
)

// MailKinds are all of them.
var MailKinds = []MailKind{
	MailVerifyEmail, MailSignupRepeated, MailInvite, MailResetPassword, MailLoginLink, MailNewDevice,
	MailSessionReuse, MailSessionHeld, MailUnusual, MailPasswordChanged, MailEmailChange, MailEmailChangeNew, MailEmailChanged, MailDeletion,
	MailFactorAdded, MailFactorRemoved, MailCode,
}

// Mail is what a user is to be told. The Mailer finds the words.
type Mail struct {
	ID        string // the same when a delivery is tried again
	Kind      MailKind
	To        string
	Name      string // of the user, may be empty
	Language  string // what the user reads: a language tag or an Accept-Language header; may be empty
	Link      Secret // a URL; zero if there is none
	ExpiresAt time.Time
	At        time.Time
	Device    Device
	IP        netip.Addr
	Email     string
	Factor    FactorKind
	Code      Secret   // zero if there is none
	Signals   []Signal // what was noticed
}

// Mailer delivers mails. Deliver is called in the background, again after an
// error, for a day.
type Mailer interface {
	Deliver(ctx context.Context, m Mail) error
}

// ErrUndeliverable is wrapped by a Mailer whose mail no further try can deliver.
var ErrUndeliverable = errors.New("bitjang: the mail cannot be delivered")

const (
	mailEvery = 5 * time.Second // how often a node looks for mails that another one could not deliver
	mailBatch = 4               // delivered at once by a node
	mailLease = 2 * time.Minute // how long a node may take before another one tries
	mailTime  = time.Minute     // for one delivery
	mailLife  = day             // after that nobody needs it any more
)

// sealedMail is a Mail as it waits in the store.
type sealedMail struct {
	Mail
	Link string
	Code string
}

// tell tells a user something. A mail that cannot be put away is logged: what
// it is about has happened already.
func (s *Service) tell(ctx context.Context, u *User, from Caller, m Mail) {
	m.To, m.Name = u.Email, u.Name
	setDefault(&m.Language, u.Language)
	setDefault(&m.Language, from.Language)
	if err := s.send(context.WithoutCancel(ctx), m); err != nil {
		s.log.Error("mail not sent", "kind", m.Kind, "user", u.ID, "error", err)
	}
}

// tellAbout is tell with what happened, when and from where.
func (s *Service) tellAbout(ctx context.Context, userID string, from Caller, m Mail) {
	if s.cfg.Mailer == nil {
		return
	}
	u, err := s.User(ctx, userID)
	if err != nil {
		s.log.Error("mail not sent", "kind", m.Kind, "user", userID, "error", err)
		return
	}
	m.At, m.Device, m.IP = s.clock(), from.Device.bounded(), from.IP
	s.tell(ctx, &u, from, m)
}

// send puts a mail where Run finds it. The request that caused it never waits
// for a mail server.
func (s *Service) send(ctx context.Context, m Mail) error {
	if s.cfg.Mailer == nil {
		return nil
	}
	m.ID = newUUID()
	body, err := json.Marshal(sealedMail{m, m.Link.Reveal(), m.Code.Reveal()})
	if err != nil {
		return fmt.Errorf("encode mail: %w", err)
	}
	return s.putMail(ctx, m.ID, s.ring.seal("mail "+m.ID, body))
}

func (s *Service) putMail(ctx context.Context, id string, content []byte) error {
	now := s.clock()
	if err := s.mails.InsertMail(ctx, WaitingMail{ID: id, Sealed: content, CreatedAt: now, DueAt: now}); err != nil {
		return outage("save mail", err)
	}
	select {
	case s.mailDue <- struct{}{}:
	default: // Run knows already
	}
	return nil
}

// runMail delivers mails and logout notices until ctx ends.
func (s *Service) runMail(ctx context.Context) {
	if s.cfg.Mailer == nil && s.cfg.Backchannel == nil {
		return
	}
	look := time.NewTicker(mailEvery)
	defer look.Stop()
	notices := noticeDelivery{slots: make(chan struct{}, maxNotices)}
	defer notices.all.Wait()
	for {
		if err := s.deliverDue(ctx, &notices); err != nil && ctx.Err() == nil {
			s.log.Error("mails not delivered", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		case <-s.mailDue:
		}
	}
}

// noticeDelivery bounds the logout notices under way. Mails do not wait for them:
// a client that does not answer must not keep anybody's mail.
type noticeDelivery struct {
	slots chan struct{}
	all   sync.WaitGroup
}

func (s *Service) deliverDue(ctx context.Context, notices *noticeDelivery) error {
	for {
		now := s.clock()
		list, err := s.mails.ClaimMails(ctx, now, now.Add(mailLease), mailBatch)
		if err != nil || len(list) == 0 {
			return err
		}
		var all sync.WaitGroup
		for _, w := range list {
			if !w.isNotice() {
				all.Go(func() { s.deliver(ctx, w) })
				continue
			}
			select {
			case notices.slots <- struct{}{}:
				notices.all.Go(func() {
					defer func() { <-notices.slots }()
					s.deliver(ctx, w)
				})
			default: // it stays claimed, and comes back when the lease ends
			}
		}
		all.Wait()
	}
}

// deliver delivers one mail, or puts it off, or gives it up.
func (s *Service) deliver(ctx context.Context, w WaitingMail) {
	var m Mail
	var err error
	if w.isNotice() {
		m.Kind = "logout_notice"
		err = s.deliverNotice(ctx, w)
	} else if m, err = s.unseal(w); err == nil {
		err = s.deliverMail(ctx, m)
	}
	now := s.clock()
	late := now.Sub(w.CreatedAt) > mailLife || (!m.ExpiresAt.IsZero() && now.After(m.ExpiresAt))
	switch {
	case err == nil:
		err = s.mails.DeleteMail(context.WithoutCancel(ctx), w.ID)
	case errors.Is(err, ErrUndeliverable) || late:
		s.log.Error("mail given up", "kind", m.Kind, "mail", w.ID, "attempts", w.Attempts, "error", err)
		err = s.mails.DeleteMail(ctx, w.ID)
	default:
		s.log.Warn("mail not delivered yet", "kind", m.Kind, "mail", w.ID, "attempts", w.Attempts, "error", err)
		err = s.mails.PostponeMail(context.WithoutCancel(ctx), w.ID, now.Add(mailPause(w.Attempts)))
	}
	if err != nil {
		// It stays claimed, and comes back when the lease ends.
		s.log.Error("mail not put away", "mail", w.ID, "error", err)
	}
}

func (s *Service) deliverMail(ctx context.Context, m Mail) error {
	if s.cfg.Mailer == nil {
		return errors.New("no mail server is configured")
	}
	ctx, cancel := context.WithTimeout(ctx, mailTime)
	defer cancel()
	return s.cfg.Mailer.Deliver(ctx, m)
}

// mailPause doubles from ten seconds to an hour.
func mailPause(attempts int) time.Duration {
	return min(10*time.Second<<min(attempts-1, 10), time.Hour)
}

func (s *Service) unseal(w WaitingMail) (Mail, error) {
	body, _, err := s.ring.open("mail "+w.ID, w.Sealed)
	if err != nil {
		return Mail{}, fmt.Errorf("%w: %w", ErrUndeliverable, err)
	}
	var m sealedMail
	if err := json.Unmarshal(body, &m); err != nil {
		return Mail{}, fmt.Errorf("%w: %w", ErrUndeliverable, err)
	}
	m.Mail.Link, m.Mail.Code = NewSecret(m.Link), NewSecret(m.Code)
	return m.Mail, nil
}
