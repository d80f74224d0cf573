package server

import (
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/bitjang/bitjang/internal/i18n"
	"github.com/bitjang/bitjang/internal/mail"
)

// Theme is what pages and mails look like. Every zero value has the stated
// default.
type Theme struct {
	Name      string // of the service; default "Bitjang"
	Color     string // accent, #rrggbb; default a blue
	Logo      []byte // shown on pages; default: the name in letters
	LogoType  string // its media type: image/svg+xml, image/png, image/webp or image/jpeg
	CSS       []byte // added to the pages' own style sheet
	Templates fs.FS  // instead of the pages' own templates, by the same names; checked by New
}

func (t Theme) withDefaults() Theme {
	if t.Name == "" {
		t.Name = "Bitjang"
	}
	if t.Color == "" {
		t.Color = "#2f5bd8"
	}
	return t
}

// MailOptions make a Mailer.
type MailOptions struct {
	Server string // smtp://[user:password@]host[:port][?tls=required|opportunistic|off] or smtps://...
	From   string // "Name <address>" or an address
	Issuer string // as in bitjang.Config
	Theme  Theme
}

// Mailer delivers mails in Korean and English through a mail server: it is for
// bitjang.Config.
type Mailer = mail.SMTP

// NewMailer returns a Mailer. No error of it tells the password.
func NewMailer(opt MailOptions) (*Mailer, error) {
	r, err := newRenderer(opt.Issuer, opt.Theme)
	if err != nil {
		return nil, err
	}
	m, err := mail.NewSMTP(opt.Server, opt.From, r)
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	return m, nil
}

// Mailbox keeps the newest mails in memory instead of sending them, for
// development: Options.Mailbox shows them at /dev/mail.
type Mailbox = mail.Mailbox

// NewMailbox returns an empty Mailbox.
func NewMailbox(issuer string, theme Theme, log *slog.Logger) (*Mailbox, error) {
	r, err := newRenderer(issuer, theme)
	if err != nil {
		return nil, err
	}
	return mail.NewMailbox(r, log), nil
}

func newRenderer(issuer string, theme Theme) (*mail.Renderer, error) {
	catalogue, err := i18n.Load()
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	theme = theme.withDefaults()
	r, err := mail.NewRenderer(catalogue, mail.Theme{Name: theme.Name, Color: theme.Color, IssuerURL: issuer})
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	return r, nil
}
