package pages

import (
	"crypto/rand"
	"net/http"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/web"
)

type loginPage struct {
	frame
	Email    string
	ReturnTo string
	Other    bool // somebody is logged in, and somebody else is wanted
	Signup   bool
	Mail     bool

	Challenge string // of a login with a passkey alone
	Options   string // for it, as JSON
}

func (p *Pages) loginPage(r *http.Request) *loginPage {
	rules := p.Service.Policy()
	v := &loginPage{ReturnTo: r.FormValue("return_to"), Other: r.FormValue("other") != "", Signup: rules.Signup != bitjang.SignupClosed, Mail: rules.Mail}
	if in, ok := p.asked(r); ok && len(in.LoginHint) <= 254 {
		v.Email = in.LoginHint
	}
	return v
}

// LoginForm is GET /login.
func (p *Pages) LoginForm(w http.ResponseWriter, r *http.Request) error {
	v := p.loginPage(r)
	if !v.Other {
		if _, err := p.admit(w, r); err == nil {
			return goTo(w, r, p.returnTarget(v.ReturnTo))
		}
	}
	return p.show(w, r, http.StatusOK, "login", p.withPasskeys(w, r, v))
}

// Login is POST /login. Whatever cookies come with it, the session is new.
func (p *Pages) Login(w http.ResponseWriter, r *http.Request) error {
	from := p.caller(r)
	p.nameDevice(w, &from)
	t, err := p.Service.Login(r.Context(), bitjang.LoginInput{
		Identifier: r.PostFormValue("email"), Password: bitjang.NewSecret(r.PostFormValue("password")), Caller: from,
	})
	if asks(err) {
		return p.ask(w, r, err, r.PostFormValue("return_to"))
	}
	if err != nil {
		v := p.loginPage(r)
		v.Email = r.PostFormValue("email")
		return p.again(w, r, err, "login", p.withPasskeys(w, r, v))
	}
	return p.enter(w, r, t, r.PostFormValue("return_to"))
}

// enter gives a browser its tokens and sends it where it wanted to go.
func (p *Pages) enter(w http.ResponseWriter, r *http.Request, t bitjang.Tokens, target string) error {
	web.SetDevice(w, t.Session.Device.ID)
	web.SetTokens(w, t)
	return p.onFrom(w, r, p.returnTarget(target))
}

// LogoutForm is GET /logout: a link may lead here, so it ends nothing by itself.
func (p *Pages) LogoutForm(w http.ResponseWriter, r *http.Request) error {
	say := p.printer(r)
	return p.show(w, r, http.StatusOK, "confirm", &confirmPage{
		Title: say.T("logout.title"), Text: say.T("logout.text"), Button: say.T("nav.logout"), Action: "/logout", Back: home,
	})
}

// Logout is POST /logout.
func (p *Pages) Logout(w http.ResponseWriter, r *http.Request) error {
	in := p.Edge.AdmitInput(r)
	err := p.Service.Logout(r.Context(), bitjang.LogoutInput{Access: in.Access, Refresh: in.Refresh, Caller: p.caller(r)})
	if err != nil && bitjang.AsError(err).Code == bitjang.Unavailable {
		return err // the session still lives, and the cookies with it
	}
	forget(w)
	return goTo(w, r, "/login?notice=logged_out")
}

// forget takes the tokens from a browser, and the pages that it keeps to show
// again at once on "back", which it does in spite of no-store.
func forget(w http.ResponseWriter) {
	web.ClearTokens(w)
	w.Header().Set("Clear-Site-Data", `"cache"`)
}

type linkPage struct {
	frame
	Token    string
	Email    string
	Sent     bool
	ReturnTo string
}

// mailLife is how long a browser remembers where it wanted to go before its person
// looked into their mail. An authorization request is no good for longer.
const mailLife = time.Hour

// remember keeps in the browser where it wants to go, for after a link in a mail:
// the mail knows nothing of it.
func (p *Pages) remember(w http.ResponseWriter, r *http.Request) {
	if target := p.returnTarget(r.PostFormValue("return_to")); target != home {
		web.SetReturn(w, target, mailLife)
	}
}

// LinkForm is GET /login/link, where one asks for a link, and where it leads.
func (p *Pages) LinkForm(w http.ResponseWriter, r *http.Request) error {
	return p.show(w, r, http.StatusOK, "link", &linkPage{Token: r.FormValue("token"), ReturnTo: r.FormValue("return_to")})
}

// Link is POST /login/link: with a token it logs in, without one it sends it.
func (p *Pages) Link(w http.ResponseWriter, r *http.Request) error {
	from := p.caller(r)
	if token := bitjang.NewSecret(r.PostFormValue("token")); !token.IsZero() {
		t, err := p.Service.LoginByLink(r.Context(), token, from)
		if err != nil && !asks(err) {
			return p.again(w, r, err, "link", &linkPage{})
		}
		back := web.TakeReturn(w, r)
		if err != nil {
			return p.ask(w, r, err, back)
		}
		return p.enter(w, r, t, back)
	}
	unnamed := from.Device.ID == ""
	if unnamed {
		from.Device.ID = rand.Text()
	}
	v := &linkPage{Email: r.PostFormValue("email"), ReturnTo: r.PostFormValue("return_to")}
	if err := p.Service.SendLoginLink(r.Context(), v.Email, from); err != nil {
		return p.again(w, r, err, "link", v)
	}
	if unnamed {
		web.SetDevice(w, from.Device.ID)
	}
	v.Sent = true
	p.remember(w, r)
	return p.show(w, r, http.StatusOK, "link", v)
}

type signupPage struct {
	frame
	Email  string
	Name   string
	Invite string
	Closed bool
	Done   bool
	Mail   bool

	ReturnTo string
}

// SignupForm is GET /signup.
func (p *Pages) SignupForm(w http.ResponseWriter, r *http.Request) error {
	v := &signupPage{Invite: r.FormValue("invite"), ReturnTo: r.FormValue("return_to")}
	rules := p.Service.Policy()
	v.Closed = rules.Signup == bitjang.SignupClosed || rules.Signup == bitjang.SignupInvite && v.Invite == ""
	return p.show(w, r, http.StatusOK, "signup", v)
}

// Signup is POST /signup. It looks the same whether or not the address has an
// account.
func (p *Pages) Signup(w http.ResponseWriter, r *http.Request) error {
	v := &signupPage{
		Email: r.PostFormValue("email"), Name: r.PostFormValue("name"), Invite: r.PostFormValue("invite"),
		Mail: p.Service.Policy().Mail, ReturnTo: r.PostFormValue("return_to"),
	}
	_, err := p.Service.Signup(r.Context(), bitjang.SignupInput{
		Email: v.Email, Name: v.Name, Password: bitjang.NewSecret(r.PostFormValue("password")), Invite: bitjang.NewSecret(v.Invite), Caller: p.caller(r),
	})
	if err != nil {
		return p.again(w, r, err, "signup", v)
	}
	v.Done = true
	p.remember(w, r)
	return p.show(w, r, http.StatusOK, "signup", v)
}

// Language is POST /account/language.
func (p *Pages) Language(w http.ResponseWriter, r *http.Request) error {
	lang := p.catalogue.For(r.PostFormValue("lang")).Language
	http.SetCookie(w, &http.Cookie{
		Name: languageCookie, Value: lang, Path: "/", MaxAge: int((365 * 24 * time.Hour).Seconds()), Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	if who, err := p.admit(w, r); err == nil {
		if err := p.Service.SetLanguage(r.Context(), who.Session.UserID, lang); err != nil {
			return err
		}
	}
	return p.onFrom(w, r, parseLocalPath(r.PostFormValue("back")).String())
}
