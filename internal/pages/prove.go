package pages

import (
	"crypto/rand"
	"errors"
	"html/template"
	"net/http"
	"slices"

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
		return p.anew(w, r, err)
	} else if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, "prove", v)
}

// anew is for a browser without a challenge that is still open. If its session
// is on hold it gets another one; if it is logged in, what the challenge was for
// asks again; else it begins a login again.
func (p *Pages) anew(w http.ResponseWriter, r *http.Request, err error) error {
	returnTo := r.FormValue("return_to")
	_, refused := p.admit(w, r)
	switch {
	case refused == nil:
		return goTo(w, r, p.returnTarget(returnTo))
	case errors.Is(refused, bitjang.ErrStepUpRequired):
		return p.ask(w, r, refused, returnTo)
	case r.Method == http.MethodGet:
		return goTo(w, r, local("/login", "return_to", returnTo))
	}
	return p.again(w, r, err, "login", p.withPasskeys(w, r, p.loginPage(r)))
}

func (p *Pages) provePage(r *http.Request) (*provePage, error) {
	c, err := p.Service.Challenge(r.Context(), web.ChallengeToken(r), p.caller(r))
	if err != nil {
		return nil, err
	}
	v := &provePage{
		Purpose: c.Purpose, HeldFor: c.HeldFor, Factors: c.Factors, Email: c.Email, Options: string(c.Passkey),
		Days: int(c.Remember.Hours() / 24), ReturnTo: r.FormValue("return_to"),
		Factor: bitjang.FactorKind(r.FormValue("factor")),
	}
	if !slices.Contains(v.Factors, v.Factor) {
		v.Factor = v.Factors[0]
	}
	v.CodeSent = v.Factor == bitjang.FactorEmail && r.FormValue("sent") != ""
	if c.Setup != nil {
		v.Secret = spaced(c.Setup.Secret.Reveal())
		v.QR, err = drawQR(c.Setup.URI.Reveal())
	}
	return v, err
}

// proof is what a form answers a challenge with.
func (p *Pages) proof(r *http.Request, challenge bitjang.Secret) bitjang.ProveInput {
	return bitjang.ProveInput{
		Challenge: challenge, Factor: bitjang.FactorKind(r.PostFormValue("factor")), Code: bitjang.NewSecret(r.PostFormValue("code")),
		Answer: []byte(r.PostFormValue("credential")), Remember: r.PostFormValue("remember") != "",
		Refresh: p.Edge.AdmitInput(r).Refresh, Caller: p.caller(r),
	}
}

// Prove is POST /login/step-up.
func (p *Pages) Prove(w http.ResponseWriter, r *http.Request) error {
	in := p.proof(r, web.ChallengeToken(r))
	t, err := p.Service.Prove(r.Context(), in)
	switch {
	case err == nil:
		web.ClearChallenge(w)
		web.SetRemembered(w, t)
		return p.enter(w, r, t, r.PostFormValue("return_to"))
	case errors.Is(err, bitjang.ErrChallengeInvalid), errors.Is(err, bitjang.ErrCodeInvalid) && in.Factor == bitjang.FactorPasskey:
		return p.anew(w, r, err) // a passkey's answer uses the challenge up, right or wrong
	}
	return p.askAgain(w, r, err)
}

// askAgain shows the challenge once more, with what stands against the answer.
func (p *Pages) askAgain(w http.ResponseWriter, r *http.Request, err error) error {
	v, failure := p.provePage(r)
	if failure != nil {
		return err
	}
	return p.again(w, r, err, "prove", v)
}

// LoginWithPasskey is POST /login/passkey. Its challenge came with the login page.
func (p *Pages) LoginWithPasskey(w http.ResponseWriter, r *http.Request) error {
	t, err := p.Service.Prove(r.Context(), p.proof(r, bitjang.NewSecret(r.PostFormValue("challenge"))))
	if err != nil {
		return p.again(w, r, err, "login", p.withPasskeys(w, r, p.loginPage(r)))
	}
	return p.enter(w, r, t, r.PostFormValue("return_to"))
}

// SendCode is POST /login/code: the code of the challenge, by mail.
func (p *Pages) SendCode(w http.ResponseWriter, r *http.Request) error {
	err := p.Service.SendCode(r.Context(), web.ChallengeToken(r), p.caller(r))
	switch {
	case err == nil:
		return goTo(w, r, local(askPath, "sent", "1", "factor", string(bitjang.FactorEmail), "return_to", r.PostFormValue("return_to")))
	case errors.Is(err, bitjang.ErrChallengeInvalid):
		return p.anew(w, r, err)
	}
	return p.askAgain(w, r, err)
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
