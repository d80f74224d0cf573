// Package pages is what people see: HTML for signing up, logging in, links from
// mails and the account. Each handler is: parse, one call of the Service, answer.
// It decides no rule; package server routes to it.
package pages

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/i18n"
	"github.com/bitjang/bitjang/internal/mail"
	"github.com/bitjang/bitjang/internal/web"
)

// Theme is what an operator may choose about the pages.
type Theme struct {
	Name      string
	Color     string // accent, #rrggbb
	Logo      []byte
	LogoType  string
	CSS       []byte
	Templates fs.FS
}

// Options make Pages.
type Options struct {
	Service    *bitjang.Service
	Edge       *web.Edge
	Theme      Theme
	ReturnURLs []string
	Mailbox    *mail.Mailbox // shown at /dev/mail, if there is one
	// Export answers with everything about a user as a file.
	Export func(w http.ResponseWriter, r *http.Request, userID string) error
	// Places names the place of an address in a language, "" if it does not know.
	Places func(addr netip.Addr, language string) string
}

// Pages has a handler per page.
type Pages struct {
	Options
	catalogue *i18n.Catalogue
	templates map[string]*template.Template
	returns   []*url.URL
	assets    map[string]asset
	style     string // names of assets
	script    string
	passkeys  string
	icon      string
	logo      string
	policy    string // Content-Security-Policy
}

//go:embed templates/*.html
var ownTemplates embed.FS

// New parses every template and executes it once with nothing and once with
// everything in it: a template that is wrong stops the start, not a request. The
// error names every problem.
func New(opt Options) (*Pages, error) {
	catalogue, err := i18n.Load()
	if err != nil {
		return nil, err
	}
	p := &Pages{Options: opt, catalogue: catalogue, templates: map[string]*template.Template{}}
	errs := []error{p.makeAssets()}
	for _, text := range opt.ReturnURLs {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			errs = append(errs, fmt.Errorf("ReturnURLs: %q is not an http or https URL without query and fragment", text))
			continue
		}
		p.returns = append(p.returns, u)
	}
	p.policy = p.contentPolicy()
	own, _ := fs.Sub(ownTemplates, "templates")
	for name, samples := range samples() {
		if err := p.parse(name, own, samples); err != nil {
			errs = append(errs, fmt.Errorf("Theme.Templates: %s.html: %w", name, err))
		}
	}
	return p, errors.Join(errs...)
}

func (p *Pages) parse(name string, own fs.FS, samples []page) error {
	t := template.New("")
	for _, file := range []string{"layout.html", name + ".html"} {
		text, err := fs.ReadFile(own, file)
		if err != nil {
			return err
		}
		if p.Theme.Templates != nil {
			theirs, err := fs.ReadFile(p.Theme.Templates, file)
			if err == nil {
				text = theirs
			} else if !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if _, err := t.New(file).Parse(string(text)); err != nil {
			return err
		}
	}
	for _, s := range samples {
		p.dress(s.base(), p.catalogue.For("en"))
		if err := t.ExecuteTemplate(&bytes.Buffer{}, "layout.html", s); err != nil {
			return err
		}
	}
	p.templates[name] = t
	return nil
}

// contentPolicy allows what the pages have and nothing else. Browsers apply
// form-action to the redirect after a form too, so the way back must be in it.
func (p *Pages) contentPolicy() string {
	targets := []string{"'self'"}
	for _, u := range p.returns {
		targets = append(targets, u.Scheme+"://"+u.Host)
	}
	return "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action " +
		strings.Join(slices.Compact(targets), " ") + "; frame-ancestors 'none'; base-uri 'none'"
}

// page is anything that a template shows.
type page interface{ base() *frame }

// frame is what the layout may use, and with it every template.
type frame struct {
	*i18n.Printer
	Brand  string
	Logo   string // path, may be empty
	Style  string
	Script string
	// PasskeyScript is for the pages with a form that wants a passkey.
	PasskeyScript string
	Icon          string
	Path          string // of this page
	Here          string // the same with its query, for the language switch
	SignedIn      bool
	Notice        string // what has just happened
	Problem       string // what stands against the form
	Field         string // the name of the input that it is about, if it is about one
	Now           time.Time
}

func (f *frame) base() *frame { return f }

// When writes a moment with the machine-readable form beside it, which a script
// turns into the reader's own time zone.
func (f *frame) When(t time.Time) template.HTML {
	if t.IsZero() {
		return ""
	}
	return template.HTML(`<time datetime="` + t.UTC().Format(time.RFC3339) + `">` + template.HTMLEscapeString(f.Time(t.UTC())) + `</time>`)
}

// Day is When without the hour.
func (f *frame) Day(t time.Time) template.HTML {
	if t.IsZero() {
		return ""
	}
	return template.HTML(`<time datetime="` + t.UTC().Format(time.RFC3339) + `" data-day>` + template.HTMLEscapeString(f.Date(t.UTC())) + `</time>`)
}

func (p *Pages) dress(f *frame, say *i18n.Printer) {
	f.Printer, f.Brand = say, cmp.Or(p.Theme.Name, "Bitjang")
	f.Logo, f.Style, f.Script, f.Icon = p.logo, p.style, p.script, p.icon
	f.PasskeyScript = p.passkeys
}

const languageCookie = "__Host-bitjang_lang"

func (p *Pages) printer(r *http.Request) *i18n.Printer {
	chosen := ""
	if c, err := r.Cookie(languageCookie); err == nil {
		chosen = c.Value
	}
	return p.catalogue.ForRequest(r, append([]string{chosen}, p.locales(r)...)...)
}

// hereOf is where a page can be seen again, in another language. What was shown
// in answer to a form is there without what was typed.
func hereOf(r *http.Request) string {
	if r.Method == http.MethodPost {
		return local(r.URL.Path, "return_to", r.PostFormValue("return_to"))
	}
	return r.URL.RequestURI()
}

// caller is who asks, in the language that the pages speak to them.
func (p *Pages) caller(r *http.Request) bitjang.Caller {
	c := p.Edge.Caller(r)
	c.Language = p.printer(r).Language
	return c
}

// notices are the things that a redirect may say on the next page, by a word in
// the query: never by text that a link could choose.
var notices = []string{
	"logged_out", "check_mail", "verified", "password_reset", "renamed", "session_ended", "others_ended", "disowned",
	"password_changed", "profile_saved", "email_asked", "email_half", "email_changed", "verification_sent", "deleted",
	"factor_added", "factor_removed", "access_withdrawn",
}

func (p *Pages) show(w http.ResponseWriter, r *http.Request, status int, name string, v page) error {
	f := v.base()
	p.dress(f, p.printer(r))
	f.Path, f.Here, f.Now = r.URL.Path, hereOf(r), p.Service.Now()
	if n := r.URL.Query().Get("notice"); f.Problem == "" && slices.Contains(notices, n) {
		f.Notice = f.T("notice." + n)
	}
	var out bytes.Buffer
	if err := p.templates[name].ExecuteTemplate(&out, "layout.html", v); err != nil {
		return err
	}
	p.headers(w)
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // the caller is gone: nobody to tell
	return nil
}

func (p *Pages) headers(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", p.policy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Referrer-Policy", "same-origin") // with no-referrer browsers send our own forms with Origin: null
	noStore(w)
}

// noStore forbids every cache, unless that is done already in stronger words.
func noStore(w http.ResponseWriter) {
	if !strings.HasSuffix(w.Header().Get("Cache-Control"), "no-store") {
		web.NoStore(w)
	}
}

// again shows a form once more, with what stands against it.
func (p *Pages) again(w http.ResponseWriter, r *http.Request, err error, name string, v page) error {
	problem := web.ProblemOf(err)
	if problem.Status >= 500 {
		return err
	}
	f := v.base()
	f.Problem, f.Field = p.explain(r, problem), wrongField(problem.Code)
	if f.SignedIn && problem.Code == bitjang.ErrInvalidCredentials.Reason {
		f.Problem, f.Field = p.printer(r).T("error.current_password"), "current_password"
	}
	problem.SetRetry(w.Header())
	return p.show(w, r, problem.Status, name, v)
}

func (p *Pages) explain(r *http.Request, problem *web.Problem) string {
	say := p.printer(r)
	rules := p.Service.Policy()
	if problem.Code == bitjang.ErrInvalidCredentials.Reason && rules.VerifyEmail == bitjang.VerifyRequired {
		return say.T("error.invalid_credentials_or_unverified") // said of every address, so it tells nothing
	}
	if id := "error." + problem.Code; say.Has(id) {
		return say.T(id, "Count", rules.MinPassword, "Wait", wait(say, problem.RetryAfter))
	}
	return say.T("error.other")
}

// wait says a duration the way people do, rounded up.
func wait(say *i18n.Printer, d time.Duration) string {
	switch {
	case d <= time.Minute:
		return say.T("wait.seconds", "Count", max(1, int(math.Ceil(d.Seconds()))))
	case d <= time.Hour:
		return say.T("wait.minutes", "Count", int(math.Ceil(d.Minutes())))
	}
	return say.T("wait.hours", "Count", int(math.Ceil(d.Hours())))
}

// goTo sends the browser on after a form: with 303, so that it never sends the
// form, a password in it, once more.
func goTo(w http.ResponseWriter, r *http.Request, target string) error {
	noStore(w)
	http.Redirect(w, r, target, http.StatusSeeOther)
	return nil
}

// problemPage is an error for people.
type problemPage struct {
	frame
	Status int
	Title  string
	Text   string
	Again  bool // reload: somebody was faster
	Login  bool
}

// Fail shows an error for people.
func (p *Pages) Fail(w http.ResponseWriter, r *http.Request, err error) error {
	problem := web.ProblemOf(err)
	say := p.printer(r)
	v := &problemPage{Status: problem.Status}
	v.Title, v.Text = say.T("problem.title"), p.explain(r, problem)
	switch {
	case problem.Status == http.StatusNotFound || problem.Status == http.StatusMethodNotAllowed:
		v.Title, v.Text = say.T("problem.missing.title"), say.T("problem.missing.text")
	case problem.Status == http.StatusServiceUnavailable:
		v.Title = say.T("problem.busy.title")
		w.Header().Set("Retry-After", "2")
	case problem.Code == bitjang.ErrSuperseded.Reason:
		v.Again = true
		w.Header().Set("Refresh", "1")
	case problem.Status == http.StatusUnauthorized:
		v.Login = true
	}
	if problem.Status == http.StatusTooManyRequests {
		problem.SetRetry(w.Header())
	}
	if problem.Allow != "" {
		w.Header().Set("Allow", problem.Allow)
	}
	if p.show(w, r, problem.Status, "problem", v) != nil {
		return err
	}
	p.Edge.Report(r, err)
	return nil
}

// local is a path below this server, with its query.
func local(base string, values ...string) string {
	q := url.Values{}
	for pair := range slices.Chunk(values, 2) {
		if pair[1] != "" {
			q.Set(pair[0], pair[1])
		}
	}
	if len(q) == 0 {
		return path.Clean(base)
	}
	return path.Clean(base) + "?" + q.Encode()
}
