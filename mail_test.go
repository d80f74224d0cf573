package bitjang_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
)

// postman remembers the mails that reach him, and refuses some.
type postman struct {
	mu     sync.Mutex
	mails  []bitjang.Mail
	tries  int
	refuse func(try int) error
	came   chan struct{}
}

func (p *postman) Deliver(_ context.Context, m bitjang.Mail) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tries++
	if p.refuse != nil {
		if err := p.refuse(p.tries); err != nil {
			return err
		}
	}
	p.mails = append(p.mails, m)
	select {
	case p.came <- struct{}{}:
	default:
	}
	return nil
}

func (p *postman) all() []bitjang.Mail {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]bitjang.Mail(nil), p.mails...)
}

// mailing is a rig whose mails are delivered.
type mailing struct {
	*rig
	post *postman
	seen int
}

func newMailing(t *testing.T, edits ...func(*bitjang.Config)) *mailing {
	t.Helper()
	m := &mailing{post: &postman{came: make(chan struct{}, 1)}}
	m.rig = newRig(t, append([]func(*bitjang.Config){func(c *bitjang.Config) { c.Mailer = m.post }}, edits...)...)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = m.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	return m
}

// next waits for the next mail, which is to be of a kind.
func (m *mailing) next(t *testing.T, kind bitjang.MailKind) bitjang.Mail {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		if list := m.post.all(); len(list) > m.seen {
			got := list[m.seen]
			m.seen++
			if got.Kind != kind {
				t.Fatalf("got a mail of kind %s, want %s", got.Kind, kind)
			}
			return got
		}
		select {
		case <-m.post.came:
		case <-late:
			t.Fatalf("no mail, want one of kind %s", kind)
		}
	}
}

// silence checks that no other mail has come: a last one is sent to make sure
// that all before it were delivered.
func (m *mailing) silence(t *testing.T) {
	t.Helper()
	if _, err := m.Invite(t.Context(), "marker@example.com", ""); err != nil {
		t.Fatal(err)
	}
	m.next(t, bitjang.MailInvite)
}

// tokenOf is what a link carries.
func tokenOf(t *testing.T, m bitjang.Mail) bitjang.Secret {
	t.Helper()
	u, err := url.Parse(m.Link.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	return bitjang.NewSecret(u.Query().Get("token") + u.Query().Get("invite"))
}

func TestMailsAreDeliveredOnceAndTriedAgain(t *testing.T) {
	t.Parallel()
	m := newMailing(t)
	m.post.mu.Lock()
	m.post.refuse = func(try int) error {
		if try < 3 {
			return errors.New("no route to the mail server")
		}
		return nil
	}
	m.post.mu.Unlock()
	ada := m.addAda(t)
	if err := m.ForgotPassword(t.Context(), ada.Email, fromLaptop); err != nil {
		t.Fatal(err)
	}
	// Each refusal puts the mail off; the clock has to catch up with it.
	for deadline := time.Now().Add(30 * time.Second); len(m.post.all()) == 0; time.Sleep(10 * time.Millisecond) {
		m.clock.turn(time.Second)
		if time.Now().After(deadline) {
			t.Fatal("the mail was given up")
		}
	}
	got := m.next(t, bitjang.MailResetPassword)
	if got.To != ada.Email || got.Name != "Ada" || !strings.HasPrefix(got.Link.Reveal(), "https://auth.example.com/login/reset-password?token=bjl_") {
		t.Errorf("got a mail to %q <%s>, want ada's", got.Name, got.To)
	}
	m.silence(t)
	if left, err := m.store.ClaimMails(t.Context(), atNoon.Add(48*time.Hour), atNoon.Add(49*time.Hour), 10); err != nil || len(left) != 0 {
		t.Errorf("got %d mails left and %v, want none", len(left), err)
	}
	if text := m.log.String(); strings.Contains(text, "bjl_") {
		t.Error("a link is in the log")
	}
}

func TestMailsThatNobodyWillEverTakeAreGivenUp(t *testing.T) {
	t.Parallel()
	m := newMailing(t)
	m.post.mu.Lock()
	m.post.refuse = func(int) error { return fmt.Errorf("550 no such mailbox: %w", bitjang.ErrUndeliverable) }
	m.post.mu.Unlock()
	if err := m.ForgotPassword(t.Context(), m.addAda(t).Email, fromLaptop); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(m.log.String(), "mail given up"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing was given up")
		}
	}
	if left, _ := m.store.ClaimMails(t.Context(), atNoon.Add(48*time.Hour), atNoon.Add(49*time.Hour), 10); len(left) != 0 {
		t.Errorf("got %d mails left, want none", len(left))
	}
}

// TestWaitingMailsKeepTheirSecret looks at what the store is given.
func TestWaitingMailsKeepTheirSecret(t *testing.T) {
	t.Parallel()
	post := &postman{}
	r := newRig(t, func(c *bitjang.Config) { c.Mailer = post }) // nobody runs it
	if err := r.ForgotPassword(t.Context(), r.addAda(t).Email, fromLaptop); err != nil {
		t.Fatal(err)
	}
	list, err := r.store.ClaimMails(t.Context(), atNoon, atNoon.Add(time.Second), 10)
	if err != nil || len(list) != 1 {
		t.Fatalf("got %d mails and %v, want 1", len(list), err)
	}
	if text := string(list[0].Sealed); strings.Contains(text, "bjl_") || strings.Contains(text, "reset") || strings.Contains(text, ada) {
		t.Error("a waiting mail can be read in the store")
	}
}
