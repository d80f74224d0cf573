package bitjang_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/store/memory"
)

var newPass = bitjang.NewSecret("a quite different password")

func (m *mailing) resetLink(t *testing.T) bitjang.Secret {
	t.Helper()
	if err := m.ForgotPassword(t.Context(), ada, fromPhone); err != nil {
		t.Fatal(err)
	}
	return tokenOf(t, m.next(t, bitjang.MailResetPassword))
}

func TestANewPasswordByLinkEndsEverySession(t *testing.T) {
	t.Parallel()
	m := newMailing(t)
	old := m.login(t, fromLaptop)
	link := m.resetLink(t)
	weak := bitjang.ResetPasswordInput{Token: link, Password: bitjang.NewSecret("short"), Caller: fromPhone}
	if err := m.ResetPassword(t.Context(), weak); bitjang.AsError(err).Reason != "password_too_short" {
		t.Fatalf("got %v for a short password", err)
	}
	in := bitjang.ResetPasswordInput{Token: link, Password: newPass, Caller: fromPhone}
	if err := m.ResetPassword(t.Context(), in); err != nil {
		t.Fatalf("got %v; the refused password has used the link up", err)
	}
	m.next(t, bitjang.MailPasswordChanged)
	_, err := m.Refresh(t.Context(), bitjang.RefreshInput{Token: old.Refresh, Caller: fromLaptop})
	checkErr(t, err, bitjang.ErrSessionRevoked)
	checkErr(t, m.ResetPassword(t.Context(), in), bitjang.ErrLinkInvalid)
	if _, err := m.Login(t.Context(), bitjang.LoginInput{Identifier: ada, Password: newPass, Caller: fromLaptop}); err != nil {
		t.Errorf("got %v with the new password", err)
	}
	if u, _ := m.FindUser(t.Context(), ada); u.EmailVerifiedAt.IsZero() {
		t.Error("whoever got the mail has shown that the address is theirs")
	}
}

func TestLinksDieWithWhatTheyWereMadeFor(t *testing.T) {
	t.Parallel()
	reset := func(m *mailing, link bitjang.Secret) error {
		return m.ResetPassword(context.Background(), bitjang.ResetPasswordInput{Token: link, Password: newPass, Caller: fromPhone})
	}
	for name, spoil := range map[string]func(*testing.T, *mailing, bitjang.User){
		"after its time": func(_ *testing.T, m *mailing, _ bitjang.User) { m.clock.turn(30 * time.Minute) },
		"after another change of the password": func(t *testing.T, m *mailing, u bitjang.User) {
			if err := m.SetPassword(t.Context(), u.ID, bitjang.NewSecret("set by the operator")); err != nil {
				t.Fatal(err)
			}
		},
		"for a disabled user": func(t *testing.T, m *mailing, u bitjang.User) {
			if _, err := m.DisableUser(t.Context(), u.ID); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMailing(t)
			u := m.addAda(t)
			link := m.resetLink(t)
			spoil(t, m, u)
			checkErr(t, reset(m, link), bitjang.ErrLinkInvalid)
		})
	}
	t.Run("for an account whose time is over", func(t *testing.T) {
		t.Parallel()
		m := newMailing(t, func(c *bitjang.Config) { c.DeletionGrace = time.Minute })
		u := m.addAda(t)
		link := m.resetLink(t)
		if _, err := m.DeleteAccount(t.Context(), bitjang.DeleteAccountInput{UserID: u.ID, Password: bitjang.NewSecret(rightPass)}); err != nil {
			t.Fatal(err)
		}
		m.next(t, bitjang.MailDeletion)
		m.clock.turn(time.Minute)
		checkErr(t, reset(m, link), bitjang.ErrLinkInvalid)
		if err := m.ForgotPassword(t.Context(), ada, fromPhone); err != nil {
			t.Error(err)
		}
		m.silence(t)
	})
	t.Run("and a disabled user gets none", func(t *testing.T) {
		t.Parallel()
		m := newMailing(t)
		if _, err := m.DisableUser(t.Context(), m.addAda(t).ID); err != nil {
			t.Fatal(err)
		}
		if err := m.ForgotPassword(t.Context(), ada, fromPhone); err != nil {
			t.Error(err)
		}
		m.silence(t)
	})
	t.Run("used for something else, and is good still", func(t *testing.T) {
		t.Parallel()
		m := newMailing(t)
		m.addAda(t)
		link := m.resetLink(t)
		_, err := m.VerifyEmail(t.Context(), link, fromPhone)
		checkErr(t, err, bitjang.ErrLinkInvalid)
		_, err = m.LoginByLink(t.Context(), link, fromPhone)
		checkErr(t, err, bitjang.ErrLinkInvalid)
		_, err = m.Disown(t.Context(), link, fromPhone)
		checkErr(t, err, bitjang.ErrLinkInvalid)
		_, err = m.ConfirmEmailChange(t.Context(), link, fromPhone)
		checkErr(t, err, bitjang.ErrLinkInvalid)
		if err := reset(m, link); err != nil {
			t.Errorf("got %v", err)
		}
	})
	t.Run("mangled", func(t *testing.T) {
		t.Parallel()
		m := newMailing(t)
		for _, text := range []string{"", "bjl_", "bjl_AAAA", "nonsense", string(make([]byte, 100_000))} {
			checkErr(t, reset(m, bitjang.NewSecret(text)), bitjang.ErrLinkInvalid)
		}
	})
}

// TestLinksAreForOneAddress collects a link of every kind and then changes the
// address, and with another set the password.
func TestLinksAreForOneAddress(t *testing.T) {
	t.Parallel()
	collect := func(t *testing.T, m *mailing) (map[bitjang.MailKind]bitjang.Secret, bitjang.User) {
		u, err := m.User(t.Context(), m.login(t, fromLaptop).Session.UserID)
		if err != nil {
			t.Fatal(err)
		}
		m.clock.turn(2 * time.Hour)
		links := map[bitjang.MailKind]bitjang.Secret{bitjang.MailResetPassword: m.resetLink(t)}
		if err := m.SendLoginLink(t.Context(), ada, fromLaptop); err != nil {
			t.Fatal(err)
		}
		links[bitjang.MailLoginLink] = tokenOf(t, m.next(t, bitjang.MailLoginLink))
		if err := m.ResendVerification(t.Context(), u.ID, fromLaptop); err != nil {
			t.Fatal(err)
		}
		links[bitjang.MailVerifyEmail] = tokenOf(t, m.next(t, bitjang.MailVerifyEmail))
		m.login(t, fromThief)
		links[bitjang.MailNewDevice] = tokenOf(t, m.next(t, bitjang.MailNewDevice))
		links[bitjang.MailEmailChange] = m.askForAddress(t, u.ID, "third@example.com")
		return links, u
	}
	use := func(m *mailing, kind bitjang.MailKind, link bitjang.Secret) (err error) {
		ctx := context.Background()
		switch kind {
		case bitjang.MailResetPassword:
			return m.ResetPassword(ctx, bitjang.ResetPasswordInput{Token: link, Password: newPass})
		case bitjang.MailLoginLink:
			_, err = m.LoginByLink(ctx, link, fromLaptop)
		case bitjang.MailVerifyEmail:
			_, err = m.VerifyEmail(ctx, link, fromLaptop)
		case bitjang.MailNewDevice:
			_, err = m.Disown(ctx, link, fromLaptop)
		case bitjang.MailEmailChange:
			_, err = m.ConfirmEmailChange(ctx, link, fromLaptop)
		}
		return err
	}
	t.Run("of the user when they were made", func(t *testing.T) {
		t.Parallel()
		m := newMailing(t)
		links, u := collect(t, m)
		yes := m.askForAddress(t, u.ID, "countess@example.com")
		if _, err := m.ConfirmEmailChange(t.Context(), yes, fromLaptop); err != nil {
			t.Fatal(err)
		}
		if _, err := m.ConfirmEmailChange(t.Context(), tokenOf(t, m.next(t, bitjang.MailEmailChangeNew)), fromLaptop); err != nil {
			t.Fatal(err)
		}
		for kind, link := range links {
			if err := use(m, kind, link); !errors.Is(err, bitjang.ErrLinkInvalid) {
				t.Errorf("%s: got %v", kind, err)
			}
		}
	})
	t.Run("and those that log in or change it for one password", func(t *testing.T) {
		t.Parallel()
		m := newMailing(t)
		links, u := collect(t, m)
		if err := m.SetPassword(t.Context(), u.ID, newPass); err != nil {
			t.Fatal(err)
		}
		for _, kind := range []bitjang.MailKind{bitjang.MailResetPassword, bitjang.MailLoginLink, bitjang.MailEmailChange} {
			if err := use(m, kind, links[kind]); !errors.Is(err, bitjang.ErrLinkInvalid) {
				t.Errorf("%s: got %v", kind, err)
			}
		}
	})
}

// askForAddress returns the link that the old address gets.
func (m *mailing) askForAddress(t *testing.T, userID, email string) bitjang.Secret {
	t.Helper()
	err := m.ChangeEmail(t.Context(), bitjang.ChangeEmailInput{UserID: userID, Email: email, Password: bitjang.NewSecret(rightPass), Caller: fromLaptop})
	if err != nil {
		t.Fatal(err)
	}
	return tokenOf(t, m.next(t, bitjang.MailEmailChange))
}

func TestALinkLetsExactlyOneThrough(t *testing.T) {
	t.Parallel()
	m := newMailing(t)
	m.addAda(t)
	if err := m.SendLoginLink(t.Context(), ada, fromLaptop); err != nil {
		t.Fatal(err)
	}
	link := tokenOf(t, m.next(t, bitjang.MailLoginLink))
	var in atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if _, err := m.LoginByLink(t.Context(), link, fromLaptop); err == nil {
				in.Add(1)
			} else if !errors.Is(err, bitjang.ErrLinkInvalid) {
				t.Errorf("got %v", err)
			}
		})
	}
	all.Wait()
	if in.Load() != 1 {
		t.Errorf("got %d logged in, want 1", in.Load())
	}
}

func TestALoginLinkWorksOnlyWhereItWasAskedFor(t *testing.T) {
	t.Parallel()
	m := newMailing(t)
	m.addAda(t)
	nowhere := fromLaptop
	nowhere.Device.ID = ""
	if err := m.SendLoginLink(t.Context(), ada, nowhere); bitjang.AsError(err).Reason != "device_id_missing" {
		t.Errorf("got %v without a device id", err)
	}
	if err := m.SendLoginLink(t.Context(), ada, fromLaptop); err != nil {
		t.Fatal(err)
	}
	link := tokenOf(t, m.next(t, bitjang.MailLoginLink))
	for _, from := range []bitjang.Caller{fromPhone, nowhere} {
		_, err := m.LoginByLink(t.Context(), link, from)
		checkErr(t, err, bitjang.ErrLinkInvalid)
	}
	tokens, err := m.LoginByLink(t.Context(), link, fromLaptop)
	if err != nil {
		t.Fatal(err)
	}
	if got := tokens.Session.AMR; !slices.Equal(got, []string{"otp"}) {
		t.Errorf("got amr %v, want otp", got)
	}
}

// TestStrangersLearnNothing asks about an address with and without an account.
func TestStrangersLearnNothing(t *testing.T) {
	t.Parallel()
	m := newMailing(t)
	m.addAda(t)
	took := map[string]time.Duration{}
	for _, email := range []string{ada, "nobody@example.com"} {
		began := time.Now()
		if err := m.ForgotPassword(t.Context(), email, fromThief); err != nil {
			t.Errorf("%s: got %v", email, err)
		}
		took[email] = time.Since(began)
		if err := m.SendLoginLink(t.Context(), email, fromThief); err != nil {
			t.Errorf("%s: got %v", email, err)
		}
		if _, err := m.Signup(t.Context(), bitjang.SignupInput{Email: email, Password: newPass, Caller: fromThief}); err != nil {
			t.Errorf("%s: got %v", email, err)
		}
	}
	for email, d := range took {
		if d < 300*time.Millisecond {
			t.Errorf("%s: answered after %v, before the floor that hides the difference", email, d)
		}
	}
	got := map[bitjang.MailKind]string{}
	for deadline := time.Now().Add(20 * time.Second); len(m.post.all()) < 4 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	for _, mail := range m.post.all() {
		got[mail.Kind] = mail.To
	}
	if got[bitjang.MailResetPassword] != ada || got[bitjang.MailLoginLink] != ada || got[bitjang.MailSignupRepeated] != ada || got[bitjang.MailVerifyEmail] != "nobody@example.com" {
		t.Errorf("got %v", got)
	}
	if _, err := m.Login(t.Context(), bitjang.LoginInput{Identifier: ada, Password: newPass}); !errors.Is(err, bitjang.ErrInvalidCredentials) {
		t.Errorf("got %v: signing up again has changed ada's password", err)
	}
}

func TestNobodyCanFloodAMailbox(t *testing.T) {
	t.Parallel()
	m := newMailing(t, limited)
	m.addAda(t)
	for range 8 {
		if err := m.ForgotPassword(t.Context(), ada, fromThief); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		m.next(t, bitjang.MailResetPassword)
	}
	m.silence(t)
	m.clock.turn(16 * time.Minute)
	m.resetLink(t)
}

func TestVerifyingAnAddress(t *testing.T) {
	t.Parallel()
	m := newMailing(t, func(c *bitjang.Config) { c.VerifyEmail = bitjang.VerifyRequired })
	if _, err := m.Signup(t.Context(), bitjang.SignupInput{Email: ada, Password: newPass, Caller: fromLaptop}); err != nil {
		t.Fatal(err)
	}
	link := tokenOf(t, m.next(t, bitjang.MailVerifyEmail))
	login := bitjang.LoginInput{Identifier: ada, Password: newPass, Caller: fromLaptop}
	_, err := m.Login(t.Context(), login)
	checkErr(t, err, bitjang.ErrInvalidCredentials)
	m.next(t, bitjang.MailVerifyEmail) // the right password: here is the link once more
	u, err := m.VerifyEmail(t.Context(), link, fromLaptop)
	if err != nil || u.EmailVerifiedAt.IsZero() {
		t.Fatalf("got %v, verified at %v", err, u.EmailVerifiedAt)
	}
	if _, err := m.Login(t.Context(), login); err != nil {
		t.Errorf("got %v after verifying", err)
	}
	if err := m.ResendVerification(t.Context(), u.ID, fromLaptop); err != nil {
		t.Error(err)
	}
	m.silence(t)
}

func TestANewDeviceIsToldAndCanBeDisowned(t *testing.T) {
	t.Parallel()
	m := newMailing(t)
	m.login(t, fromLaptop) // the first one of a new account is no news
	m.clock.turn(2 * time.Hour)
	m.login(t, fromLaptop)
	moved := fromLaptop
	moved.Device.ID, moved.IP = "", caller("192.0.2.99", "", "").IP
	m.login(t, moved) // the same browser in the same network
	m.silence(t)

	stolen := m.login(t, fromThief)
	mail := m.next(t, bitjang.MailNewDevice)
	if mail.IP != fromThief.IP || mail.Device.UserAgent != fromThief.Device.UserAgent || mail.At.IsZero() {
		t.Errorf("got a mail about %v and %q", mail.IP, mail.Device.UserAgent)
	}
	d, err := m.Disown(t.Context(), tokenOf(t, mail), fromPhone)
	if err != nil || d.Session.ID != stolen.Session.ID || d.Session.EndReason != bitjang.EndedByDisowner {
		t.Fatalf("got %v and session %s ended by %q", err, d.Session.ID, d.Session.EndReason)
	}
	_, err = m.Refresh(t.Context(), bitjang.RefreshInput{Token: stolen.Refresh, Caller: fromThief})
	checkErr(t, err, bitjang.ErrSessionRevoked)
	if err := m.ResetPassword(t.Context(), bitjang.ResetPasswordInput{Token: d.Reset, Password: newPass, Caller: fromPhone}); err != nil {
		t.Errorf("got %v for the new password", err)
	}
	_, err = m.Disown(t.Context(), tokenOf(t, mail), fromPhone)
	checkErr(t, err, bitjang.ErrLinkInvalid)
}

func TestDisowningFromTheListIsForOnesOwn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	other := r.login(t, fromPhone)
	checkErr(t, r.DisownSession(t.Context(), "somebody else", other.Session.ID, fromLaptop), bitjang.ErrNoSuchSession)
	if err := r.DisownSession(t.Context(), other.Session.UserID, other.Session.ID, fromLaptop); err != nil {
		t.Fatal(err)
	}
	sess, _ := r.SessionByID(t.Context(), other.Session.ID)
	if sess.EndReason != bitjang.EndedByDisowner {
		t.Errorf("got %q", sess.EndReason)
	}
}

func TestAMailAddressChangesWhenBothSidesSayYes(t *testing.T) {
	t.Parallel()
	m := newMailing(t)
	u := m.addAda(t)
	in := bitjang.ChangeEmailInput{UserID: u.ID, Email: "Countess@Example.com", Password: bitjang.NewSecret(wrongPass), Caller: fromLaptop}
	checkErr(t, m.ChangeEmail(t.Context(), in), bitjang.ErrInvalidCredentials)
	in.Password = bitjang.NewSecret(rightPass)
	if err := m.ChangeEmail(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	asked := m.next(t, bitjang.MailEmailChange)
	if asked.To != ada || asked.Email != "countess@example.com" {
		t.Errorf("got a question to %s about %s", asked.To, asked.Email)
	}
	if done, err := m.ConfirmEmailChange(t.Context(), tokenOf(t, asked), fromLaptop); done || err != nil {
		t.Fatalf("got done %v and %v from one side alone", done, err)
	}
	theirs := m.next(t, bitjang.MailEmailChangeNew)
	if theirs.To != "countess@example.com" {
		t.Errorf("got a question to %s", theirs.To)
	}
	if now, _ := m.User(t.Context(), u.ID); now.Email != ada {
		t.Errorf("got %s before the new side has said yes", now.Email)
	}
	if done, err := m.ConfirmEmailChange(t.Context(), tokenOf(t, theirs), fromLaptop); !done || err != nil {
		t.Fatalf("got done %v and %v", done, err)
	}
	if told := m.next(t, bitjang.MailEmailChanged); told.To != ada {
		t.Errorf("told %s, want the old address", told.To)
	}
	now, err := m.FindUser(t.Context(), "countess@example.com")
	if err != nil || now.ID != u.ID || now.EmailVerifiedAt.IsZero() {
		t.Errorf("got %v and %+v", err, now)
	}
	_, err = m.ConfirmEmailChange(t.Context(), tokenOf(t, asked), fromLaptop)
	checkErr(t, err, bitjang.ErrLinkInvalid)
}

func TestADeletedAccountCanBeHadBackForAWhile(t *testing.T) {
	t.Parallel()
	m := newMailing(t)
	tokens := m.login(t, fromLaptop)
	id := tokens.Session.UserID
	in := bitjang.DeleteAccountInput{UserID: id, Password: bitjang.NewSecret(wrongPass), Caller: fromLaptop}
	_, err := m.DeleteAccount(t.Context(), in)
	checkErr(t, err, bitjang.ErrInvalidCredentials)
	in.Password = bitjang.NewSecret(rightPass)
	u, err := m.DeleteAccount(t.Context(), in)
	if err != nil || !u.DeleteAt.Equal(atNoon.Add(14*24*time.Hour)) {
		t.Fatalf("got %v, to be deleted at %v", err, u.DeleteAt)
	}
	m.next(t, bitjang.MailDeletion)
	_, err = m.Refresh(t.Context(), bitjang.RefreshInput{Token: tokens.Refresh, Caller: fromLaptop})
	checkErr(t, err, bitjang.ErrSessionRevoked)

	m.clock.turn(13 * 24 * time.Hour)
	m.login(t, fromLaptop)
	if u, _ := m.User(t.Context(), id); !u.DeleteAt.IsZero() {
		t.Error("logging in has not kept the account")
	}

	if _, err := m.DeleteAccount(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	m.clock.turn(14 * 24 * time.Hour)
	_, err = m.Login(t.Context(), bitjang.LoginInput{Identifier: ada, Password: bitjang.NewSecret(rightPass), Caller: fromLaptop})
	checkErr(t, err, bitjang.ErrInvalidCredentials)
	m.clock.turn(time.Millisecond)
	if err := m.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = m.User(t.Context(), id)
	checkErr(t, err, bitjang.ErrNoSuchUser)
}

func TestWhoMaySignUp(t *testing.T) {
	t.Parallel()
	signup := func(m *mailing, email string, invite bitjang.Secret) error {
		_, err := m.Signup(context.Background(), bitjang.SignupInput{Email: email, Password: newPass, Invite: invite, Caller: fromLaptop})
		return err
	}
	t.Run("the invited, with their own address, once", func(t *testing.T) {
		t.Parallel()
		m := newMailing(t, func(c *bitjang.Config) { c.Signup = bitjang.SignupInvite })
		if _, err := m.Invite(t.Context(), ada, "ko"); err != nil {
			t.Fatal(err)
		}
		mail := m.next(t, bitjang.MailInvite)
		if mail.Language != "ko" || mail.To != ada {
			t.Errorf("got a mail in %q to %s", mail.Language, mail.To)
		}
		invite := tokenOf(t, mail)
		checkErr(t, signup(m, ada, bitjang.Secret{}), bitjang.ErrSignupInvite)
		checkErr(t, signup(m, "eve@example.com", invite), bitjang.ErrSignupInvite)
		if err := signup(m, ada, invite); err != nil {
			t.Fatal(err)
		}
		if u, _ := m.FindUser(t.Context(), ada); u.EmailVerifiedAt.IsZero() {
			t.Error("the invitation reached the address, so it is verified")
		}
		checkErr(t, signup(m, ada, invite), bitjang.ErrSignupInvite)
	})
	t.Run("addresses at the listed domains", func(t *testing.T) {
		t.Parallel()
		m := newMailing(t, func(c *bitjang.Config) { c.SignupDomains = []string{"example.com"} })
		for _, email := range []string{"ada@example.org", "ada@sub.example.com", "ada@notexample.com", "ada@example.com.evil.org"} {
			checkErr(t, signup(m, email, bitjang.Secret{}), bitjang.ErrSignupDomain)
		}
		if err := signup(m, "Ada@EXAMPLE.com", bitjang.Secret{}); err != nil {
			t.Error(err)
		}
	})
}

func TestWithoutAMailer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	u := r.addAda(t)
	checkErr(t, r.ForgotPassword(t.Context(), ada, fromLaptop), bitjang.ErrMailDisabled)
	checkErr(t, r.ForgotPassword(t.Context(), "nobody@example.com", fromLaptop), bitjang.ErrMailDisabled)
	checkErr(t, r.SendLoginLink(t.Context(), ada, fromLaptop), bitjang.ErrMailDisabled)
	checkErr(t, r.ResendVerification(t.Context(), u.ID, fromLaptop), bitjang.ErrMailDisabled)
	checkErr(t, r.ChangeEmail(t.Context(), bitjang.ChangeEmailInput{UserID: u.ID, Email: "x@example.com", Password: bitjang.NewSecret(rightPass)}), bitjang.ErrMailDisabled)
	_, err := bitjang.New(bitjang.Config{Issuer: "https://auth.example.com", MasterKeys: []bitjang.Secret{bitjang.NewMasterKey()}, Store: memory.New(), VerifyEmail: bitjang.VerifyRequired})
	if err == nil {
		t.Error("nobody could ever log in, and nobody is told")
	}
}

func TestExportHoldsEverythingButThePassword(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	tokens := r.login(t, fromLaptop)
	for range 120 {
		_, _ = r.Login(t.Context(), bitjang.LoginInput{Identifier: ada, Password: bitjang.NewSecret(rightPass), Caller: fromPhone})
	}
	x, err := r.Export(t.Context(), tokens.Session.UserID, fromLaptop)
	if err != nil {
		t.Fatal(err)
	}
	if x.User.Email != ada || x.User.PasswordHash != "" || len(x.Sessions) != 121 || len(x.Events) < 240 {
		t.Errorf("got %s, hash %q, %d sessions, %d events", x.User.Email, x.User.PasswordHash, len(x.Sessions), len(x.Events))
	}
}

func TestTheftIsTold(t *testing.T) {
	t.Parallel()
	t.Run("of a session that ended", func(t *testing.T) {
		t.Parallel()
		theftIsTold(t, bitjang.RevokeOnReuse, bitjang.ErrTokenReused, bitjang.MailSessionReuse)
	})
	t.Run("of one on hold", func(t *testing.T) {
		t.Parallel()
		theftIsTold(t, bitjang.HoldOnReuse, bitjang.ErrStepUpRequired, bitjang.MailSessionHeld)
	})
}

func theftIsTold(t *testing.T, policy bitjang.OnReuse, refusal error, kind bitjang.MailKind) {
	t.Helper()
	m := newMailing(t, func(c *bitjang.Config) { c.OnReuse = policy })
	stolen := m.login(t, fromLaptop)
	m.refresh(t, m.refresh(t, stolen, fromLaptop), fromLaptop)
	m.clock.turn(time.Minute)
	_, err := m.Refresh(t.Context(), bitjang.RefreshInput{Token: stolen.Refresh, Caller: fromThief})
	checkErr(t, err, refusal)
	mail := m.next(t, kind)
	if mail.To != ada || mail.IP != fromThief.IP || mail.Link.Reveal() != "https://auth.example.com/account/activity" {
		t.Errorf("got a mail to %s about %v with the link %s", mail.To, mail.IP, mail.Link.Reveal())
	}
}
