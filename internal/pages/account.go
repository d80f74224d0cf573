package pages

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/web"
)

// admit finds out who is logged in, and renews the browser's cookies when that
// took a refresh.
func (p *Pages) admit(w http.ResponseWriter, r *http.Request) (bitjang.Admission, error) {
	in := p.Edge.AdmitInput(r)
	in.Caller.Language = p.printer(r).Language
	who, err := p.Service.Admit(r.Context(), in)
	if err == nil && who.Tokens != nil {
		web.SetTokens(w, *who.Tokens)
	}
	return who, err
}

// member is for pages of the account. Whoever is not logged in is led to do so
// and back; an outage is neither, and takes nobody's cookies.
func (p *Pages) member(w http.ResponseWriter, r *http.Request, then func(bitjang.Admission, bitjang.User) error) error {
	who, err := p.admit(w, r)
	var u bitjang.User
	if err == nil {
		u, err = p.Service.User(r.Context(), who.Session.UserID)
	}
	if err != nil {
		if errors.Is(err, bitjang.ErrStepUpRequired) {
			return p.ask(w, r, err, backOf(r))
		}
		code := bitjang.AsError(err).Code
		if code != bitjang.Unauthenticated && code != bitjang.NotFound {
			return err
		}
		return goTo(w, r, local("/login", "return_to", backOf(r)))
	}
	return then(who, u)
}

// backOf is where a request was going, if it can be made again.
func backOf(r *http.Request) string {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return r.URL.RequestURI()
	}
	return home
}

// Home is GET /.
func (p *Pages) Home(w http.ResponseWriter, r *http.Request) error { return goTo(w, r, home) }

type accountPage struct {
	frame
	Name     string
	Email    string
	Verified bool
	Mail     bool
	Devices  int
	Apps     int // applications with access
	Since    time.Time
}

// Account is GET /account.
func (p *Pages) Account(w http.ResponseWriter, r *http.Request) error {
	return p.member(w, r, func(who bitjang.Admission, u bitjang.User) error {
		live, err := p.Service.Sessions(r.Context(), u.ID)
		if err != nil {
			return err
		}
		consents, err := p.Service.Consents(r.Context(), u.ID)
		if err != nil {
			return err
		}
		apps := len(gather(consents, live))
		live = slices.DeleteFunc(live, func(s bitjang.Session) bool { return ofClient(&s) })
		return p.show(w, r, http.StatusOK, "account", &accountPage{
			frame: frame{SignedIn: true}, Name: u.Name, Email: u.Email, Verified: !u.EmailVerifiedAt.IsZero(),
			Mail: p.Service.Policy().Mail, Devices: len(live), Apps: apps, Since: u.CreatedAt,
		})
	})
}

// Resend is POST /account/verify-email/resend.
func (p *Pages) Resend(w http.ResponseWriter, r *http.Request) error {
	return p.member(w, r, func(_ bitjang.Admission, u bitjang.User) error {
		if err := p.Service.ResendVerification(r.Context(), u.ID, p.caller(r)); err != nil {
			return err
		}
		return goTo(w, r, "/account?notice=verification_sent")
	})
}

type securityPage struct {
	frame
	Email    string
	NewEmail string
	Mail     bool
	Form     string // which form the problem is about
	Factors  []bitjang.Factor
	Strong   bool // there is a factor to lose, so recovery codes are of use
	Passkeys bool // whether there can be any
}

func (p *Pages) securityPage(r *http.Request, u bitjang.User) (*securityPage, error) {
	rules := p.Service.Policy()
	v := &securityPage{frame: frame{SignedIn: true}, Email: u.Email, Mail: rules.Mail, Passkeys: rules.Passkeys}
	var err error
	v.Factors, err = p.Service.Factors(r.Context(), u.ID)
	v.Strong = slices.ContainsFunc(v.Factors, func(f bitjang.Factor) bool { return f.Kind != bitjang.FactorRecovery })
	return v, err
}

// Security is GET /account/security.
func (p *Pages) Security(w http.ResponseWriter, r *http.Request) error {
	return p.member(w, r, func(_ bitjang.Admission, u bitjang.User) error {
		v, err := p.securityPage(r, u)
		if err != nil {
			return err
		}
		return p.show(w, r, http.StatusOK, "security", v)
	})
}

// ChangePassword is POST /account/password. The other sessions end, and this one
// moves on to new tokens.
func (p *Pages) ChangePassword(w http.ResponseWriter, r *http.Request) error {
	return p.member(w, r, func(who bitjang.Admission, u bitjang.User) error {
		in := bitjang.ChangePasswordInput{
			Identity: who.Identity, Refresh: p.newest(r, who), Caller: p.caller(r),
			Current: bitjang.NewSecret(r.PostFormValue("current_password")), New: bitjang.NewSecret(r.PostFormValue("password")),
		}
		t, err := p.Service.ChangePassword(r.Context(), in)
		if err != nil {
			v, failure := p.securityPage(r, u)
			if failure != nil {
				return failure
			}
			v.Form = "password"
			return p.again(w, r, err, "security", v)
		}
		web.SetTokens(w, t)
		http.Redirect(w, r, "/account/security?notice=password_changed", http.StatusSeeOther)
		return nil
	})
}

// ChangeEmail is POST /account/email.
func (p *Pages) ChangeEmail(w http.ResponseWriter, r *http.Request) error {
	return p.member(w, r, func(_ bitjang.Admission, u bitjang.User) error {
		v, err := p.securityPage(r, u)
		if err != nil {
			return err
		}
		v.Form, v.NewEmail = "email", r.PostFormValue("email")
		err = p.Service.ChangeEmail(r.Context(), bitjang.ChangeEmailInput{
			UserID: u.ID, Email: v.NewEmail, Password: bitjang.NewSecret(r.PostFormValue("current_password")), Caller: p.caller(r),
		})
		if err != nil {
			return p.again(w, r, err, "security", v)
		}
		return goTo(w, r, "/account/security?notice=email_asked")
	})
}

type profilePage struct {
	frame
	Name string
}

// Profile is GET /account/profile.
func (p *Pages) Profile(w http.ResponseWriter, r *http.Request) error {
	return p.member(w, r, func(_ bitjang.Admission, u bitjang.User) error {
		return p.show(w, r, http.StatusOK, "profile", &profilePage{frame: frame{SignedIn: true}, Name: u.Name})
	})
}

// SaveProfile is POST /account/profile.
func (p *Pages) SaveProfile(w http.ResponseWriter, r *http.Request) error {
	return p.member(w, r, func(_ bitjang.Admission, u bitjang.User) error {
		name := r.PostFormValue("name")
		if _, err := p.Service.RenameUser(r.Context(), u.ID, name); err != nil {
			return p.again(w, r, err, "profile", &profilePage{frame: frame{SignedIn: true}, Name: name})
		}
		return goTo(w, r, "/account/profile?notice=profile_saved")
	})
}

// Download is GET /account/export.
func (p *Pages) Download(w http.ResponseWriter, r *http.Request) error {
	return p.member(w, r, func(_ bitjang.Admission, u bitjang.User) error { return p.Export(w, r, u.ID) })
}

type deletePage struct {
	frame
	Days int
}

func (p *Pages) deletePage() *deletePage {
	return &deletePage{frame: frame{SignedIn: true}, Days: int(p.Service.Policy().DeletionGrace / (24 * time.Hour))}
}

// DeleteForm is GET /account/delete.
func (p *Pages) DeleteForm(w http.ResponseWriter, r *http.Request) error {
	return p.member(w, r, func(bitjang.Admission, bitjang.User) error {
		return p.show(w, r, http.StatusOK, "delete", p.deletePage())
	})
}

// Delete is POST /account/delete.
func (p *Pages) Delete(w http.ResponseWriter, r *http.Request) error {
	return p.member(w, r, func(_ bitjang.Admission, u bitjang.User) error {
		_, err := p.Service.DeleteAccount(r.Context(), bitjang.DeleteAccountInput{
			UserID: u.ID, Password: bitjang.NewSecret(r.PostFormValue("current_password")), Caller: p.caller(r),
		})
		if err != nil {
			return p.again(w, r, err, "delete", p.deletePage())
		}
		forget(w)
		return goTo(w, r, "/login?notice=deleted")
	})
}
