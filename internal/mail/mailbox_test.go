package mail

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/bitjang/bitjang"
)

var (
	_ bitjang.Mailer = (*Mailbox)(nil)
	_ bitjang.Mailer = (*SMTP)(nil)
)

func TestMailboxKeepsTheNewest(t *testing.T) {
	b := NewMailbox(example(t), nil)
	if list := b.List(); len(list) != 0 {
		t.Errorf("got %d mails in an empty box", len(list))
	}
	for i := range mailboxSize + 3 {
		m := full(bitjang.MailLoginLink, "ko")
		m.To = fmt.Sprintf("user%d@example.com", i+1)
		if err := b.Deliver(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	list := b.List()
	if len(list) != mailboxSize || list[0].ID != mailboxSize+3 || list[mailboxSize-1].ID != 4 {
		t.Fatalf("got %d mails, %d to %d, want %d, the newest first", len(list), list[0].ID, list[len(list)-1].ID, mailboxSize)
	}
	d, ok := b.Get(10)
	want := render(t, example(t), full(bitjang.MailLoginLink, "ko"))
	if !ok || d.To != "user10@example.com" || d.Kind != bitjang.MailLoginLink || d.At.IsZero() || d.Subject != want.Subject || d.Text != want.Text || d.HTML != want.HTML {
		t.Errorf("got %+v, %t", d, ok)
	}
	for _, id := range []int{-1, 0, 3, mailboxSize + 4} {
		if _, ok := b.Get(id); ok {
			t.Errorf("mail %d is there", id)
		}
	}
}

func TestMailboxDoesNotLogLinks(t *testing.T) {
	var log bytes.Buffer
	b := NewMailbox(example(t), slog.New(slog.NewTextHandler(&log, nil)))
	if err := b.Deliver(t.Context(), full(bitjang.MailResetPassword, "en")); err != nil {
		t.Fatal(err)
	}
	if got := log.String(); strings.Contains(got, "bjl_") || !strings.Contains(got, "kind=reset_password") || !strings.Contains(got, "to=minji@example.com") {
		t.Errorf("got the log %q", got)
	}
	if err := b.Deliver(t.Context(), bitjang.Mail{Kind: "unknown"}); err == nil || len(b.List()) != 1 {
		t.Errorf("an unknown kind: got %v and %d mails, want an error and 1", err, len(b.List()))
	}
}

func TestMailboxIsUsedByManyAtOnce(t *testing.T) {
	b := NewMailbox(example(t), nil)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				if err := b.Deliver(t.Context(), full(bitjang.MailVerifyEmail, "en")); err != nil {
					t.Error(err)
				}
				b.Get(b.List()[0].ID)
			}
		})
	}
	all.Wait()
	if got := b.List()[0].ID; got != 160 {
		t.Errorf("got %d mails, want 160", got)
	}
}
