package pages

import (
	"slices"
	"strings"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/web"
)

// Route is a page and its handler.
type Route struct {
	Pattern string
	Handle  web.Handler
	Open    bool // other sites may send a browser here, with a form too
}

// Routes lists every page.
func (p *Pages) Routes() []Route {
	var list []Route
	for _, rt := range p.ownRoutes() {
		list = append(list, Route{Pattern: rt.pattern, Handle: rt.handle, Open: rt.open()})
	}
	return list
}

type ownRoute struct {
	pattern string
	handle  web.Handler
}

// open tells whether the route is one to which other sites may send a browser.
func (rt ownRoute) open() bool {
	_, path, _ := strings.Cut(rt.pattern, " ")
	return slices.Contains(openToSites, path)
}

func (p *Pages) ownRoutes() []ownRoute {
	list := []ownRoute{
		{"GET /{$}", p.Home},
		{"GET /login", p.LoginForm}, {"POST /login", p.Login},
		{"GET /login/link", p.LinkForm}, {"POST /login/link", p.Link},
		{"GET /login/step-up", p.ProveForm}, {"POST /login/step-up", p.Prove}, {"POST /login/passkey", p.LoginWithPasskey}, {"POST /login/code", p.SendCode},
		{"GET /logout", p.LogoutForm}, {"POST /logout", p.Logout},
		{"GET /signup", p.SignupForm}, {"POST /signup", p.Signup},
		{"GET /account/verify-email", p.VerifyForm}, {"POST /account/verify-email", p.Verify},
		{"GET /login/forgot-password", p.ForgotForm}, {"POST /login/forgot-password", p.Forgot},
		{"GET /login/reset-password", p.ResetForm}, {"POST /login/reset-password", p.Reset},
		{"GET /account/not-me", p.NotMeForm}, {"POST /account/not-me", p.NotMe},
		{"GET /account/change-email", p.ChangeEmailForm}, {"POST /account/change-email", p.ConfirmEmail},
		{"GET /account", p.Account},
		{"GET /account/activity", p.Activity},
		{"POST /account/sessions/{id}/name", p.NameSession},
		{"POST /account/sessions/{id}/end", p.EndSession},
		{"GET /account/sessions/{id}/not-me", p.DisownForm}, {"POST /account/sessions/{id}/not-me", p.Disown},
		{"POST /account/sessions/end-others", p.EndOthers},
		{"GET /account/security", p.Security}, {"POST /account/password", p.ChangePassword}, {"POST /account/email", p.ChangeEmail},
		{"GET /account/factors/{kind}", p.SetupForm}, {"POST /account/factors/{kind}", p.Setup},
		{"POST /account/factors/{id}/name", p.RenameFactor}, {"POST /account/factors/{id}/remove", p.RemoveFactor},
		{"POST /account/recovery-codes", p.RecoveryCodes},
		{"GET /account/profile", p.Profile}, {"POST /account/profile", p.SaveProfile},
		{"POST /account/verify-email/resend", p.Resend},
		{"GET /account/delete", p.DeleteForm}, {"POST /account/delete", p.Delete},
		{"GET /account/export", p.Download},
		{"POST /account/language", p.Language},
		{"GET /account/assets/{file}", p.Asset},
		{"GET /account/applications", p.Applications}, {"POST /account/applications/{id}/withdraw", p.Withdraw},
		{"GET " + authorizePath, p.Authorize}, {"POST " + authorizePath, p.Authorize}, {"POST " + consentPath, p.Consent},
		{"GET " + logoutPath, p.ClientLogout}, {"POST " + logoutPath, p.ClientLogout}, {"POST " + confirmPath, p.ConfirmClientLogout},
	}
	if p.Mailbox != nil {
		list = append(list, ownRoute{"GET /dev/mail", p.Mails}, ownRoute{"GET /dev/mail/{id}", p.Mail}, ownRoute{"GET /dev/mail/{id}/body", p.MailBody})
	}
	return list
}

// samples are the pages with their templates, each once with nothing and once
// with something in every part.
func samples() map[string][]page {
	some := device{ID: "00000000-0000-4000-8000-000000000000", Name: "n", Browser: "b", OS: "o", Type: "mobile", IP: "192.0.2.1", Place: "p"}
	app := some
	app.App = true
	mine := some
	mine.Current, mine.Held = true, true
	scopes := []scope{{Name: "openid", Text: "t"}, {Name: "notes:read"}}
	full := frame{SignedIn: true, Notice: "n", Problem: "p", Path: "/"}
	return map[string][]page{
		"problem":  {&problemPage{}, &problemPage{frame: full, Status: 1, Title: "t", Text: "t", Again: true}, &problemPage{Login: true}},
		"login":    {&loginPage{}, &loginPage{frame: full, Email: "e", ReturnTo: "/", Other: true, Signup: true, Mail: true, Challenge: "c", Options: "{}"}},
		"link":     {&linkPage{}, &linkPage{frame: full, Token: "t"}, &linkPage{frame: full, Sent: true, Email: "e", ReturnTo: "/"}},
		"signup":   {&signupPage{}, &signupPage{frame: full, Email: "e", Name: "n", Invite: "i", Closed: true}, &signupPage{Done: true, Mail: true}},
		"forgot":   {&forgotPage{}, &forgotPage{frame: full, Email: "e", Sent: true}, &forgotPage{NoMail: true}},
		"reset":    {&resetPage{}, &resetPage{frame: full, Token: "t", Ended: &some}},
		"confirm":  {&confirmPage{}, &confirmPage{frame: full, Title: "t", Text: "t", Button: "b", Danger: true, Action: "/", Token: "t", Back: "/", Hidden: []hidden{{"n", "v"}}}},
		"account":  {&accountPage{}, &accountPage{frame: full, Name: "n", Email: "e", Verified: true, Devices: 2, Apps: 1}},
		"activity": {&activityPage{}, &activityPage{frame: full, Devices: []device{mine, some, app}, Events: []happening{{Text: "t", Session: "s", Device: "d", IP: "i"}}, Older: 7}},
		"security": {&securityPage{}, &securityPage{frame: full, Email: "e", NewEmail: "n", Mail: true, Form: "email", Factors: []bitjang.Factor{{ID: "i", Kind: bitjang.FactorTOTP, Name: "n"}, {ID: "j", Kind: bitjang.FactorRecovery, Counter: 3}}, Strong: true, Passkeys: true}, &securityPage{frame: full, Form: "password"}},
		"profile":  {&profilePage{}, &profilePage{frame: full, Name: "n"}},
		"prove":    proofs(full),
		"setup":    {&setupPage{Kind: bitjang.FactorTOTP}, &setupPage{frame: full, Kind: bitjang.FactorTOTP, Setup: "s", Secret: "s", QR: "<svg></svg>"}, &setupPage{frame: full, Kind: bitjang.FactorPasskey, Options: "{}"}},
		"codes":    {&codesPage{}, &codesPage{frame: full, Codes: []string{"c"}}},
		"delete":   {&deletePage{}, &deletePage{frame: full, Days: 14}},
		"consent":  {&consentPage{}, &consentPage{frame: full, Client: "c", Host: "h", Scopes: scopes, Name: "n", Email: "e", Request: "r", Back: "/"}, &consentPage{Own: true, Scheme: "s"}},
		"onward":   {&onwardPage{}, &onwardPage{frame: full, Client: "c", URL: "/"}},

		"applications": {&applicationsPage{}, &applicationsPage{frame: full, Applications: []application{{ID: "i", Name: "n", Own: true, Sessions: 2, Scopes: scopes}, {}}}},

		"mails": {&mailsPage{}, &mailsPage{frame: full, Mails: make([]mailLine, 1), Open: &mailLine{}}},
	}
}

// proofs are samples of the page that asks for a proof, one for each factor.
func proofs(full frame) []page {
	list := []page{&provePage{Purpose: "login", Factor: bitjang.FactorTOTP}}
	for _, kind := range []bitjang.FactorKind{bitjang.FactorTOTP, bitjang.FactorPasskey, bitjang.FactorRecovery, bitjang.FactorEmail, bitjang.FactorPassword} {
		list = append(list, &provePage{
			frame: full, Purpose: "hold", HeldFor: "refresh_token_reuse", Factors: []bitjang.FactorKind{bitjang.FactorTOTP, kind}, Factor: kind,
			Email: "e", CodeSent: true, Options: "{}", Secret: "s", QR: "<svg></svg>", Days: 30, ReturnTo: "/",
		})
	}
	return list
}
