package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/bitjang/bitjang/passkey"
	"github.com/bitjang/bitjang/server"
)

// defaultSender is no-reply at the host that the issuer names.
func defaultSender(c *config) string {
	u, err := url.Parse(c.service.Issuer)
	if err != nil || u.Hostname() == "" {
		return ""
	}
	return "no-reply@" + u.Hostname()
}

// forPeople reads the files of the theme and sets up mail.
func forPeople(c *config) error {
	var errs []error
	theme := &c.server.Theme
	if c.brandLogo != "" {
		var err error
		theme.Logo, err = os.ReadFile(c.brandLogo)
		errs = append(errs, settingError("brand-logo", err))
		theme.LogoType = logoTypes[strings.ToLower(filepath.Ext(c.brandLogo))]
		if theme.LogoType == "" {
			errs = append(errs, settingError("brand-logo", fmt.Errorf("%s is none of .svg, .png, .webp, .jpg", c.brandLogo)))
		}
	}
	if c.brandCSS != "" {
		var err error
		theme.CSS, err = os.ReadFile(c.brandCSS)
		errs = append(errs, settingError("brand-css", err))
	}
	if c.templates != "" {
		if info, err := os.Stat(c.templates); err != nil || !info.IsDir() {
			errs = append(errs, settingError("templates", fmt.Errorf("%s is not a folder", c.templates)))
		}
		theme.Templates = os.DirFS(c.templates)
	}
	if len(c.geoip) > 0 {
		var err error
		c.server.Places, err = server.OpenPlaces(c.geoip...) // until the process ends
		errs = append(errs, settingError("geoip", err))
		if err == nil {
			c.service.Places = c.server.Places
		}
	}
	c.service.Backchannel = server.Backchannel{}
	errs = append(errs, mailing(c), passkeys(c))
	return errors.Join(errs...)
}

var logoTypes = map[string]string{".svg": "image/svg+xml", ".png": "image/png", ".webp": "image/webp", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}

func settingError(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}

// mailing sends mails through the mail server if one is given. A service for this
// machine alone keeps them in memory and shows them; any other one has none.
func mailing(c *config) error {
	if c.smtp != "" {
		m, err := newMailer(c)
		if err == nil {
			c.service.Mailer = m
		}
		return settingError("smtp", err)
	}
	if !c.sendsMail() {
		return nil
	}
	log := c.service.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	box, err := server.NewMailbox(c.service.Issuer, c.server.Theme, log)
	if err == nil {
		c.service.Mailer, c.server.Mailbox = box, box
	}
	return err
}

// passkeys lets people have some, unless the issuer is a bare address, under
// which browsers make none.
func passkeys(c *config) error {
	if c.noPasskeys {
		return nil
	}
	rp, err := passkey.New(c.service.Issuer, c.server.Theme.Name)
	if errors.Is(err, passkey.ErrNoName) {
		return nil
	}
	if err == nil {
		c.service.Passkeys = rp
	}
	return settingError("passkeys", err)
}

// sendsMail tells whether mails go anywhere.
func (c *config) sendsMail() bool {
	u, err := url.Parse(c.service.Issuer)
	return c.smtp != "" || (err == nil && isLoopback(u.Hostname()))
}

func newMailer(c *config) (*server.Mailer, error) {
	return server.NewMailer(server.MailOptions{Server: c.smtp, From: c.mailFrom, Issuer: c.service.Issuer, Theme: c.server.Theme})
}

// tryMail connects to the mail server and authenticates.
func (k *checker) tryMail(ctx context.Context) {
	if k.smtp == "" {
		k.skip("mail", "no mail server given: mails are not sent, and nobody can reset a password")
		return
	}
	m, err := newMailer(k.config)
	if err == nil {
		err = m.Check(ctx)
	}
	if err != nil {
		k.fail("mail", err)
		return
	}
	k.ok("mail", "%s takes our mails", redacted(k.smtp))
}
