package pages

import (
	"net/http"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/web"
)

// confirmPage asks before something happens. Links from mails lead to one:
// scanners open links, and must not use them up.
type confirmPage struct {
	frame
	Title  string
	Text   string
	Button string
	Danger bool
	Action string
	Token  string
	Back   string
	Hidden []hidden // fields that the form takes along
}

type hidden struct{ Name, Value string }

func (p *Pages) confirm(w http.ResponseWriter, r *http.Request, what string, danger bool) error {
	return p.show(w, r, http.StatusOK, "confirm", p.confirmation(r, what, danger))
}

func (p *Pages) confirmation(r *http.Request, what string, danger bool) *confirmPage {
	say := p.printer(r)
	return &confirmPage{
		Title: say.T(what + ".title"), Text: say.T(what + ".text"), Button: say.T(what + ".button"),
		Danger: danger, Action: r.URL.Path, Token: r.FormValue("token"),
	}
}

// refused shows why a link does not work, without its button.
func (p *Pages) refused(w http.ResponseWriter, r *http.Request, err error, what string) error {
	v := p.confirmation(r, what, false)
	v.Button, v.Text, v.Token, v.Back = "", "", "", "/login"
	return p.again(w, r, err, "confirm", v)
}

// VerifyForm is GET /account/verify-email.
func (p *Pages) VerifyForm(w http.ResponseWriter, r *http.Request) error {
	return p.confirm(w, r, "verify", false)
}

// Verify is POST /account/verify-email.
func (p *Pages) Verify(w http.ResponseWriter, r *http.Request) error {
	if _, err := p.Service.VerifyEmail(r.Context(), bitjang.NewSecret(r.PostFormValue("token")), p.caller(r)); err != nil {
		return p.refused(w, r, err, "verify")
	}
	if _, err := p.admit(w, r); err == nil {
		return goTo(w, r, "/account?notice=verified")
	}
	return goTo(w, r, local("/login", "notice", "verified", "return_to", web.TakeReturn(w, r)))
}

type forgotPage struct {
	frame
	Email  string
	Sent   bool
	NoMail bool

	ReturnTo string
}

// ForgotForm is GET /login/forgot-password.
func (p *Pages) ForgotForm(w http.ResponseWriter, r *http.Request) error {
	return p.show(w, r, http.StatusOK, "forgot", &forgotPage{NoMail: !p.Service.Policy().Mail, ReturnTo: r.FormValue("return_to")})
}

// Forgot is POST /login/forgot-password. It looks the same for every address.
func (p *Pages) Forgot(w http.ResponseWriter, r *http.Request) error {
	v := &forgotPage{Email: r.PostFormValue("email"), ReturnTo: r.PostFormValue("return_to")}
	if err := p.Service.ForgotPassword(r.Context(), v.Email, p.caller(r)); err != nil {
		return p.again(w, r, err, "forgot", v)
	}
	v.Sent = true
	p.remember(w, r)
	return p.show(w, r, http.StatusOK, "forgot", v)
}

type resetPage struct {
	frame
	Token string
	Ended *device // what "this wasn't me" has ended, if that is how one came here
}

// ResetForm is GET /login/reset-password.
func (p *Pages) ResetForm(w http.ResponseWriter, r *http.Request) error {
	return p.show(w, r, http.StatusOK, "reset", &resetPage{Token: r.FormValue("token")})
}

// Reset is POST /login/reset-password.
func (p *Pages) Reset(w http.ResponseWriter, r *http.Request) error {
	v := &resetPage{Token: r.PostFormValue("token")}
	err := p.Service.ResetPassword(r.Context(), bitjang.ResetPasswordInput{
		Token: bitjang.NewSecret(v.Token), Password: bitjang.NewSecret(r.PostFormValue("password")), Caller: p.caller(r),
	})
	if err != nil {
		return p.again(w, r, err, "reset", v)
	}
	return goTo(w, r, local("/login", "notice", "password_reset", "return_to", web.TakeReturn(w, r)))
}

// NotMeForm is GET /account/not-me.
func (p *Pages) NotMeForm(w http.ResponseWriter, r *http.Request) error {
	return p.confirm(w, r, "notme", true)
}

// NotMe is POST /account/not-me: the session ends, and right here is the new password.
func (p *Pages) NotMe(w http.ResponseWriter, r *http.Request) error {
	done, err := p.Service.Disown(r.Context(), bitjang.NewSecret(r.PostFormValue("token")), p.caller(r))
	if err != nil {
		return p.refused(w, r, err, "notme")
	}
	v := &resetPage{Token: done.Reset.Reveal(), Ended: &device{}}
	if !done.Session.ID.IsZero() {
		ended := p.device(&done.Session, bitjang.SessionID{}, p.printer(r).Language)
		v.Ended = &ended
	}
	return p.show(w, r, http.StatusOK, "reset", v)
}

// ChangeEmailForm is GET /account/change-email.
func (p *Pages) ChangeEmailForm(w http.ResponseWriter, r *http.Request) error {
	return p.confirm(w, r, "emailchange", false)
}

// ConfirmEmail is POST /account/change-email.
func (p *Pages) ConfirmEmail(w http.ResponseWriter, r *http.Request) error {
	done, err := p.Service.ConfirmEmailChange(r.Context(), bitjang.NewSecret(r.PostFormValue("token")), p.caller(r))
	if err != nil {
		return p.refused(w, r, err, "emailchange")
	}
	notice := "email_half"
	if done {
		notice = "email_changed"
	}
	if _, err := p.admit(w, r); err == nil {
		return goTo(w, r, local(home, "notice", notice))
	}
	return goTo(w, r, local("/login", "notice", notice))
}
