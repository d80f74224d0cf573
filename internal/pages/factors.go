package pages

import (
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"rsc.io/qr"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/web"
)

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
		v, failure := p.setupAgain(r, in, kind)
		if asks(err) || failure != nil {
			return p.ask(w, r, err, r.URL.Path)
		}
		return p.again(w, r, err, "setup", v)
	})
}

// setupAgain keeps the secret that an app has been told. What a passkey is asked
// for is for one answer, so that begins anew.
func (p *Pages) setupAgain(r *http.Request, in bitjang.EnrolInput, kind bitjang.FactorKind) (*setupPage, error) {
	if kind == bitjang.FactorPasskey {
		return p.beginSetup(r, in.Identity)
	}
	v := &setupPage{frame: frame{SignedIn: true}, Kind: kind}
	setup, err := p.Service.DescribeTOTP(r.Context(), in.Identity, in.Setup)
	if err != nil {
		return nil, err
	}
	return v, v.showTOTP(setup)
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
