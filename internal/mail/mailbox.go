package mail

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/bitjang/bitjang"
)

// mailboxSize is how many mails a Mailbox keeps.
const mailboxSize = 50

// Delivered is a mail as it lies in a Mailbox.
type Delivered struct {
	ID      int // counts from 1
	At      time.Time
	To      string
	Kind    bitjang.MailKind
	Subject string
	Text    string
	HTML    string
}

// Mailbox keeps mails in memory instead of sending them, for whoever develops
// against Bitjang. Who can read it can log in as anybody.
type Mailbox struct {
	renderer *Renderer
	log      *slog.Logger

	mu   sync.Mutex
	last int
	kept []Delivered // oldest first
}

// NewMailbox makes an empty mailbox. A nil log means none.
func NewMailbox(r *Renderer, log *slog.Logger) *Mailbox {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Mailbox{renderer: r, log: log}
}

// Deliver puts a mail into the box, and the oldest one out of a full box.
func (b *Mailbox) Deliver(_ context.Context, m bitjang.Mail) error {
	msg, err := b.renderer.Render(m)
	if err != nil {
		return err
	}
	b.mu.Lock()
	b.last++
	id := b.last
	b.kept = append(b.kept, Delivered{id, time.Now().UTC(), m.To, m.Kind, msg.Subject, msg.Text, msg.HTML})
	if len(b.kept) > mailboxSize {
		b.kept = slices.Delete(b.kept, 0, len(b.kept)-mailboxSize)
	}
	b.mu.Unlock()
	b.log.Info("mail kept in the mailbox", "mail", id, "kind", m.Kind, "to", m.To)
	return nil
}

// List returns the mails, the newest first.
func (b *Mailbox) List() []Delivered {
	b.mu.Lock()
	list := slices.Clone(b.kept)
	b.mu.Unlock()
	slices.Reverse(list)
	return list
}

// Get returns one mail, if it is still there.
func (b *Mailbox) Get(id int) (Delivered, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.kept, func(d Delivered) bool { return d.ID == id })
	if i < 0 {
		return Delivered{}, false
	}
	return b.kept[i], true
}
