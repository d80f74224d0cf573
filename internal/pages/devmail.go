package pages

import (
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/bitjang/bitjang/internal/mail"
	"github.com/bitjang/bitjang/internal/web"
)

type mailLine struct {
	ID      int
	At      time.Time
	To      string
	Subject string
	Text    string
}

type mailsPage struct {
	frame
	Mails []mailLine
	Open  *mailLine
}

// ownMachine refuses whoever calls this machine by another name: a page of
// another site, whose name was made to lead here, could read the mails and with
// them every link.
func ownMachine(r *http.Request) error {
	host := (&url.URL{Host: r.Host}).Hostname()
	if addr, err := netip.ParseAddr(host); host == "localhost" || err == nil && addr.IsLoopback() {
		return nil
	}
	return web.Refuse(http.StatusNotFound, "not_found", "There is no such page.")
}

// Mails is GET /dev/mail: the mails that nobody sends, for developers.
func (p *Pages) Mails(w http.ResponseWriter, r *http.Request) error {
	if err := ownMachine(r); err != nil {
		return err
	}
	v := &mailsPage{}
	for _, m := range p.Mailbox.List() {
		v.Mails = append(v.Mails, mailLine{m.ID, m.At, m.To, m.Subject, m.Text})
	}
	return p.show(w, r, http.StatusOK, "mails", v)
}

func (p *Pages) mailOf(r *http.Request) (mail.Delivered, error) {
	if err := ownMachine(r); err != nil {
		return mail.Delivered{}, err
	}
	id, _ := strconv.Atoi(r.PathValue("id"))
	m, ok := p.Mailbox.Get(id)
	if !ok {
		return m, web.Refuse(http.StatusNotFound, "not_found", "There is no such mail.")
	}
	return m, nil
}

// Mail is GET /dev/mail/{id}.
func (p *Pages) Mail(w http.ResponseWriter, r *http.Request) error {
	m, err := p.mailOf(r)
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, "mails", &mailsPage{Open: &mailLine{m.ID, m.At, m.To, m.Subject, m.Text}})
}

// MailBody is GET /dev/mail/{id}/body: the mail as a mail program shows it. Mails
// have their styles in them.
func (p *Pages) MailBody(w http.ResponseWriter, r *http.Request) error {
	m, err := p.mailOf(r)
	if err != nil {
		return err
	}
	p.headers(w)
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; form-action 'none'; base-uri 'none'")
	_, _ = w.Write([]byte(m.HTML)) // the caller is gone: nobody to tell
	return nil
}
