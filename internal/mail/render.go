package mail

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"math"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	texttemplate "text/template"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/i18n"
)

//go:embed layout.html layout.txt
var layouts embed.FS

// Theme is what an operator may choose about the mails.
type Theme struct {
	Name      string // of the service, as its users know it; "" means Bitjang
	Color     string // of the button, #rrggbb; "" means a blue
	IssuerURL string // the service's address, shown below; may be empty
}

// Message is a mail in words.
type Message struct {
	Language string // "en" or "ko"
	Subject  string // one line
	Text     string
	HTML     string
}

// Renderer writes mails. It is safe for concurrent use.
type Renderer struct {
	catalogue *i18n.Catalogue
	theme     Theme
	ink       string // the colour of writing on the theme's
	html      *htmltemplate.Template
	text      *texttemplate.Template
}

var hexColor = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

// NewRenderer checks the theme and parses the layouts.
func NewRenderer(catalogue *i18n.Catalogue, theme Theme) (*Renderer, error) {
	if catalogue == nil {
		return nil, errors.New("mail: no catalogue")
	}
	theme.Name = line(cmp.Or(theme.Name, "Bitjang"), maxName)
	theme.Color = cmp.Or(theme.Color, "#2458c5")
	var problems []error
	if theme.Name == "" {
		problems = append(problems, errors.New("mail: the name of the service has nothing to show"))
	}
	if !hexColor.MatchString(theme.Color) {
		problems = append(problems, fmt.Errorf("mail: colour %q is not of the form #rrggbb", theme.Color))
	}
	if theme.IssuerURL != "" && !webAddress(theme.IssuerURL) {
		problems = append(problems, fmt.Errorf("mail: %q is not a web address", theme.IssuerURL))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	// html/template drops comments, but Outlook reads instructions in them.
	outlook := htmltemplate.FuncMap{
		"outlook_open":  func() htmltemplate.HTML { return outlookOpen },
		"outlook_close": func() htmltemplate.HTML { return outlookClose },
	}
	html, err := htmltemplate.New("layout.html").Funcs(outlook).ParseFS(layouts, "layout.html")
	if err != nil {
		return nil, err
	}
	text, err := texttemplate.ParseFS(layouts, "layout.txt")
	if err != nil {
		return nil, err
	}
	return &Renderer{catalogue, theme, inkOn(theme.Color), html, text}, nil
}

// Outlook for Windows knows no max-width: a table around the page keeps its width.
const (
	outlookOpen  = `<!--[if mso]><table role="presentation" width="600" align="center" cellpadding="0" cellspacing="0" border="0"><tr><td><![endif]-->`
	outlookClose = `<!--[if mso]></td></tr></table><![endif]-->`
)

// inkOn is white or black, whichever reads better on a colour: black from the
// relative luminance on at which both have the same contrast by WCAG 2.
func inkOn(color string) string {
	rgb, _ := strconv.ParseUint(color[1:], 16, 32)
	part := func(shift uint) float64 {
		return math.Pow(float64(rgb>>shift&0xff)/255, 2.2) // near enough to the sRGB curve
	}
	if 0.2126*part(16)+0.7152*part(8)+0.0722*part(0) > 0.179 {
		return "#000000"
	}
	return "#ffffff"
}

// view is everything the layouts may use. Each text is one line.
type view struct {
	Language   string
	Service    string
	Home       string
	Color, Ink string
	Subject    string
	Heading    string
	Greeting   string
	Text       string
	Facts      []fact
	More       string // after the facts; may be empty
	Button     string // "" without a link
	Link       string
	Copy       string
	Expires    string
	Note       string
	Footer     string
}

type fact struct{ Label, Value string }

// Render writes a mail in its reader's language. Its errors name no link.
func (r *Renderer) Render(m bitjang.Mail) (Message, error) {
	p := r.catalogue.For(m.Language)
	id := "mail." + string(m.Kind)
	if !p.Has(id + ".subject") {
		// Not ErrUndeliverable: while a new version is rolled out, another node
		// may know the words.
		return Message{}, fmt.Errorf("mail: no words for the kind %q", m.Kind)
	}
	t := func(id string) string { return p.T(id, "Service", r.theme.Name) }
	v := view{
		Language: p.Language, Service: r.theme.Name, Home: r.theme.IssuerURL, Color: r.theme.Color, Ink: r.ink,
		Subject: line(t(id+".subject"), maxSubject), Heading: t(id + ".heading"), Text: t(id + ".text"),
		Greeting: p.T("mail.greeting.nameless"), Facts: facts(p, m), Note: t(id + ".note"), Footer: t("mail.footer"),
	}
	if name := unlinked(m.Name, maxName); name != "" {
		v.Greeting = p.T("mail.greeting", "Name", name)
	}
	if p.Has(id + ".more") {
		v.More = t(id + ".more")
	}
	if p.Has(id+".button") && !m.Link.IsZero() {
		v.Button, v.Link, v.Copy = t(id+".button"), m.Link.Reveal(), t("mail.copy")
		if !webAddress(v.Link) {
			return Message{}, fmt.Errorf("mail: the link of a mail of kind %q is not a web address", m.Kind)
		}
		if !m.ExpiresAt.IsZero() {
			v.Expires = p.T("mail.expires", "Time", p.Time(m.ExpiresAt.UTC()))
		}
	}
	return r.write(v)
}

func (r *Renderer) write(v view) (Message, error) {
	var text, html bytes.Buffer
	if err := r.text.Execute(&text, v); err != nil {
		return Message{}, fmt.Errorf("mail: write text: %w", err)
	}
	if err := r.html.Execute(&html, v); err != nil {
		return Message{}, fmt.Errorf("mail: write HTML: %w", err)
	}
	return Message{Language: v.Language, Subject: v.Subject, Text: text.String(), HTML: html.String()}, nil
}

// facts are the rows of the table: what a mail knows.
func facts(p *i18n.Printer, m bitjang.Mail) (rows []fact) {
	add := func(id, value string) { rows = append(rows, fact{p.T("mail.fact." + id), value}) }
	if email := line(m.Email, maxEmail); email != "" {
		if m.Kind == bitjang.MailEmailChangeNew {
			add("account", email)
		} else {
			add("new_email", email)
		}
	}
	if !m.Code.IsZero() {
		add("code", m.Code.Reveal())
	}
	switch m.Kind {
	case bitjang.MailNewDevice, bitjang.MailSessionReuse, bitjang.MailSessionHeld, bitjang.MailUnusual, bitjang.MailPasswordChanged, bitjang.MailEmailChanged,
		bitjang.MailFactorAdded, bitjang.MailFactorRemoved, bitjang.MailCode:
		add("device", device(p, m.Device.Label()))
		if m.IP.IsValid() {
			// A zone may hold anything, and is nobody else's business.
			add("ip", m.IP.Unmap().WithZone("").String())
		}
		if !m.At.IsZero() {
			add("when", p.Time(m.At.UTC()))
		}
		if noticed := signals(p, m.Signals); noticed != "" {
			add("noticed", noticed)
		}
	case bitjang.MailDeletion:
		if !m.At.IsZero() {
			add("deleted", p.Time(m.At.UTC()))
		}
	}
	return rows
}

// signals are what was noticed, in words. Values that come from whoever sent the
// request are not among them.
func signals(p *i18n.Printer, list []bitjang.Signal) string {
	var words []string
	for _, s := range bitjang.PlainSignals(list) {
		words = append(words, p.T("signal."+s.Name, "Value", strings.ReplaceAll(s.Value, ">", " → ")))
	}
	return strings.Join(words, ", ")
}

// device is a device in words. All of it comes from whoever sent the request.
func device(p *i18n.Printer, l bitjang.DeviceLabel) string {
	browser, os := unlinked(l.Browser, maxLabel), unlinked(l.OS, maxLabel)
	switch {
	case browser != "" && os != "":
		return p.T("mail.device", "Browser", browser, "OS", os)
	case browser != "" || os != "":
		return browser + os
	}
	return p.T("mail.device.unknown")
}

// webAddress says whether text can stand as a link, on a line of its own.
func webAddress(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && text == line(text, len(text)) && !spaced.MatchString(text)
}
