package pages

import (
	"cmp"
	"crypto/rand"
	"errors"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"rsc.io/qr"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/web"
)

// askPath is where a challenge is answered: after a password, for a session on
// hold, and before factors are changed.
const askPath = "/login/step-up"

// provePage asks for a proof.
type provePage struct {
	frame
	Purpose  string
	HeldFor  string
	Factors  []bitjang.FactorKind
	Factor   bitjang.FactorKind // the one that is shown
	Email    string
	CodeSent bool
	Options  string // of a passkey, as JSON
	Secret   string // of an app that is to be set up
	QR       template.HTML
	Days     int // for which the device may be remembered; 0: not at all
	ReturnTo string
}

// Others are the factors beside the one that is shown.
func (v *provePage) Others() []bitjang.FactorKind {
	return slices.DeleteFunc(slices.Clone(v.Factors), func(k bitjang.FactorKind) bool { return k == v.Factor })
}

// ask leads a browser to where it answers the challenge of an error, or returns
// the error if there is none.
func (p *Pages) ask(w http.ResponseWriter, r *http.Request, err error, returnTo string) error {
	refusal := bitjang.AsError(err)
	if refusal.Challenge == nil {
		return err
	}
	web.SetChallenge(w, *refusal.Challenge, p.Service.Now())
	return goTo(w, r, local(askPath, "return_to", returnTo))
}

// asks says that an error comes with a challenge that would help.
func asks(err error) bool { return err != nil && bitjang.AsError(err).Challenge != nil }

// nameDevice gives the caller's browser an id, for what is bound to one.
func (p *Pages) nameDevice(w http.ResponseWriter, from *bitjang.Caller) {
	if from.Device.ID == "" {
		from.Device.ID = rand.Text()
		web.SetDevice(w, from.Device.ID)
	}
}

// ProveForm is GET /login/step-up.
func (p *Pages) ProveForm(w http.ResponseWriter, r *http.Request) error {
	v, err := p.provePage(r)
	if errors.Is(err, bitjang.ErrChallengeInvalid) {
		// Without a challenge: the browser's session may be on hold.
		_, held := p.admit(w, r)
		if held == nil {
			return goTo(w, r, p.returnTarget(r.FormValue("return_to")))
		}
		if errors.Is(held, bitjang.ErrStepUpRequired) {
			return p.ask(w, r, held, r.FormValue("return_to"))
		}
		return goTo(w, r, local("/login", "return_to", r.FormValue("return_to")))
	}
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, "prove", v)
}

func (p *Pages) provePage(r *http.Request) (*provePage, error) {
	c, err := p.Service.Challenge(r.Context(), web.ChallengeToken(r), p.caller(r))
	if err != nil {
		return nil, err
	}
	v := &provePage{
		Purpose: c.Purpose, HeldFor: c.HeldFor, Factors: c.Factors, Email: c.Email, Options: string(c.Passkey),
		CodeSent: r.FormValue("sent") != "", Days: int(c.Remember.Hours() / 24), ReturnTo: r.FormValue("return_to"),
		Factor: bitjang.FactorKind(cmp.Or(r.FormValue("factor"), r.FormValue("by"))),
	}
	if !slices.Contains(v.Factors, v.Factor) {
		v.Factor = v.Factors[0]
	}
	if c.Setup != nil {
		v.Secret = spaced(c.Setup.Secret.Reveal())
		v.QR, err = drawQR(c.Setup.URI.Reveal())
	}
	return v, err
}

// Prove is POST /login/step-up, and with a passkey alone POST /login/passkey.
func (p *Pages) Prove(w http.ResponseWriter, r *http.Request) error {
	in := p.Edge.AdmitInput(r)
	challenge := bitjang.NewSecret(r.PostFormValue("challenge"))
	if challenge.IsZero() {
		challenge = web.ChallengeToken(r)
	}
	t, err := p.Service.Prove(r.Context(), bitjang.ProveInput{
		Challenge: challenge, Factor: bitjang.FactorKind(r.PostFormValue("factor")), Code: bitjang.NewSecret(r.PostFormValue("code")),
		Answer: []byte(r.PostFormValue("credential")), Remember: r.PostFormValue("remember") != "", Refresh: in.Refresh, Caller: p.caller(r),
	})
	switch {
	case err == nil:
		web.ClearChallenge(w)
		web.SetRemembered(w, t)
		return p.enter(w, r, t, r.PostFormValue("return_to"))
	case errors.Is(err, bitjang.ErrChallengeInvalid), !r.PostForm.Has("return_to"):
		v := p.loginPage(r)
		return p.again(w, r, err, "login", p.withPasskeys(w, r, v))
	}
	v, failure := p.provePage(r)
	if failure != nil {
		return err
	}
	return p.again(w, r, err, "prove", v)
}

// SendCode is POST /login/code: the code of the challenge, by mail.
func (p *Pages) SendCode(w http.ResponseWriter, r *http.Request) error {
	if err := p.Service.SendCode(r.Context(), web.ChallengeToken(r), p.caller(r)); err != nil {
		v, failure := p.provePage(r)
		if failure != nil {
			return err
		}
		return p.again(w, r, err, "prove", v)
	}
	return goTo(w, r, local(askPath, "sent", "1", "by", string(bitjang.FactorEmail), "return_to", r.PostFormValue("return_to")))
}

// withPasskeys lets a browser offer its passkeys on the login page.
func (p *Pages) withPasskeys(w http.ResponseWriter, r *http.Request, v *loginPage) *loginPage {
	if !p.Service.Policy().Passkeys {
		return v
	}
	from := p.caller(r)
	p.nameDevice(w, &from)
	c, err := p.Service.PasskeyLogin(from)
	if err == nil {
		v.Challenge, v.Options = c.Token.Reveal(), string(c.Passkey)
	}
	return v
}

// drawQR draws a text as a QR code, in black on white whatever the theme:
// scanners want that.
func drawQR(text string) (template.HTML, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	const quiet = 4 // modules of white around it
	size := code.Size + 2*quiet
	b.WriteString(`<svg class="qr" viewBox="0 0 ` + strconv.Itoa(size) + ` ` + strconv.Itoa(size) + `" role="img" aria-hidden="true"><rect width="100%" height="100%" fill="#fff"/><path fill="#000" d="`)
	for y := range code.Size {
		for x := range code.Size {
			if code.Black(x, y) {
				b.WriteString("M" + strconv.Itoa(x+quiet) + " " + strconv.Itoa(y+quiet) + "h1v1h-1z")
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return template.HTML(b.String()), nil
}

// spaced writes a secret in groups of four, to be typed.
func spaced(text string) string {
	var groups []string
	for group := range slices.Chunk([]byte(text), 4) {
		groups = append(groups, string(group))
	}
	return strings.Join(groups, " ")
}

// setupPage adds a factor.
type setupPage struct {
	frame
	Kind    bitjang.FactorKind
	Setup   string
	Secret  string
	QR      template.HTML
	Options string // of a passkey, as JSON
}

// SetupForm is GET /account/factors/{kind}.
func (p *Pages) SetupForm(w http.ResponseWriter, r *http.Request) error {
	return p.member(w, r, func(who bitjang.Admission, _ bitjang.User) error {
		v, err := p.beginSetup(r, who.Identity)
		if err != nil {
			return p.ask(w, r, err, r.URL.Path)
		}
		return p.show(w, r, http.StatusOK, "setup", v)
	})
}

func (p *Pages) beginSetup(r *http.Request, id bitjang.Identity) (*setupPage, error) {
	v := &setupPage{frame: frame{SignedIn: true}, Kind: bitjang.FactorKind(r.PathValue("kind"))}
	switch v.Kind {
	case bitjang.FactorTOTP:
		setup, err := p.Service.BeginTOTP(r.Context(), id)
		if err != nil {
			return nil, err
		}
		return v, v.showTOTP(setup)
	case bitjang.FactorPasskey:
		setup, err := p.Service.BeginPasskey(r.Context(), id)
		v.Setup, v.Options = setup.Setup.Reveal(), string(setup.Options)
		return v, err
	}
	return nil, bitjang.ErrNoSuchFactor
}

func (v *setupPage) showTOTP(setup bitjang.TOTPSetup) (err error) {
	v.Setup, v.Secret = setup.Setup.Reveal(), spaced(setup.Secret.Reveal())
	v.QR, err = drawQR(setup.URI.Reveal())
	return err
}

// Setup is POST /account/factors/{kind}.
func (p *Pages) Setup(w http.ResponseWriter, r *http.Request) error {
	return p.member(w, r, func(who bitjang.Admission, _ bitjang.User) error {
		in := bitjang.EnrolInput{
			Identity: who.Identity, Setup: bitjang.NewSecret(r.PostFormValue("setup")), Name: r.PostFormValue("name"),
			Code: bitjang.NewSecret(r.PostFormValue("code")), Answer: []byte(r.PostFormValue("credential")),
			Refresh: p.newest(r, who), Caller: p.caller(r),
		}
		confirm, kind := p.Service.ConfirmTOTP, bitjang.FactorKind(r.PathValue("kind"))
		if kind == bitjang.FactorPasskey {
			confirm = p.Service.ConfirmPasskey
		} else if kind != bitjang.FactorTOTP {
			return bitjang.ErrNoSuchFactor
		}
		t, err := confirm(r.Context(), in)
		if err == nil {
			web.SetTokens(w, t)
			http.Redirect(w, r, "/account/security?notice=factor_added", http.StatusSeeOther)
			return nil
		}
		v := &setupPage{frame: frame{SignedIn: true}, Kind: kind, Setup: in.Setup.Reveal()}
		if kind == bitjang.FactorTOTP {
			setup, failure := p.Service.DescribeTOTP(r.Context(), who.Identity, in.Setup)
			if failure != nil || v.showTOTP(setup) != nil {
				return p.ask(w, r, err, r.URL.Path)
			}
		}
		return p.again(w, r, err, "setup", v)
	})
}

// newest is the newest refresh token that the browser holds.
func (p *Pages) newest(r *http.Request, who bitjang.Admission) bitjang.Secret {
	if who.Tokens != nil {
		return who.Tokens.Refresh
	}
	return p.Edge.AdmitInput(r).Refresh
}

// codesPage shows recovery codes, once.
type codesPage struct {
	frame
	Codes []string
}

// RecoveryCodes is POST /account/recovery-codes.
func (p *Pages) RecoveryCodes(w http.ResponseWriter, r *http.Request) error {
	return p.member(w, r, func(who bitjang.Admission, _ bitjang.User) error {
		codes, err := p.Service.MakeRecoveryCodes(r.Context(), who.Identity, p.caller(r))
		if err != nil {
			return p.ask(w, r, err, "/account/security")
		}
		v := &codesPage{frame: frame{SignedIn: true}}
		for _, c := range codes {
			v.Codes = append(v.Codes, c.Reveal())
		}
		return p.show(w, r, http.StatusOK, "codes", v)
	})
}

// RenameFactor is POST /account/factors/{id}/name.
func (p *Pages) RenameFactor(w http.ResponseWriter, r *http.Request) error {
	return p.member(w, r, func(_ bitjang.Admission, u bitjang.User) error {
		if _, err := p.Service.RenameFactor(r.Context(), u.ID, r.PathValue("id"), r.PostFormValue("name")); err != nil {
			return err
		}
		return goTo(w, r, "/account/security?notice=renamed")
	})
}

// RemoveFactor is POST /account/factors/{id}/remove.
func (p *Pages) RemoveFactor(w http.ResponseWriter, r *http.Request) error {
	return p.member(w, r, func(who bitjang.Admission, _ bitjang.User) error {
		if err := p.Service.RemoveFactor(r.Context(), who.Identity, r.PathValue("id"), p.caller(r)); err != nil {
			return p.ask(w, r, err, "/account/security")
		}
		return goTo(w, r, "/account/security?notice=factor_removed")
	})
}
