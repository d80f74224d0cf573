package api

import (
	"crypto/rand"
	"net/http"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/web"
)

// These are for applications with pages of their own. What a link in a mail
// carries comes back in a body, so that no GET, a mail scanner's say, uses it up.

// accepted answers what may or may not have led to a mail.
func accepted(w http.ResponseWriter) error {
	web.NoStore(w)
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func done(w http.ResponseWriter) error {
	web.NoStore(w)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// linkBody is a token from a link and what may go with it.
type linkBody struct {
	Token     string `json:"token"`
	Password  string `json:"password"`
	Transport string `json:"transport"`
	Device    device `json:"device"`
}

// addressBody is a mail address that a link is to be sent to.
type addressBody struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	Device   device `json:"device"`
}

// VerifyEmail is POST /v1/email/verify.
func (a *API) VerifyEmail(w http.ResponseWriter, r *http.Request) error {
	var in linkBody
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	u, err := a.Service.VerifyEmail(r.Context(), bitjang.NewSecret(in.Token), a.Edge.Caller(r))
	if err != nil {
		return err
	}
	web.NoStore(w)
	return web.WriteJSON(w, http.StatusOK, map[string]userBody{"user": newUserBody(u)})
}

// SendVerification is POST /v1/email/verify/send.
func (a *API) SendVerification(w http.ResponseWriter, r *http.Request) error {
	id, err := a.identify(r)
	if err != nil {
		return err
	}
	if err := a.Service.ResendVerification(r.Context(), id.Session.UserID, a.Edge.Caller(r)); err != nil {
		return err
	}
	return accepted(w)
}

// ChangeEmail is POST /v1/email.
func (a *API) ChangeEmail(w http.ResponseWriter, r *http.Request) error {
	var in addressBody
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	id, err := a.identify(r)
	if err != nil {
		return err
	}
	err = a.Service.ChangeEmail(r.Context(), bitjang.ChangeEmailInput{
		UserID: id.Session.UserID, Email: in.Email, Password: bitjang.NewSecret(in.Password), Caller: a.Edge.Caller(r),
	})
	if err != nil {
		return err
	}
	return accepted(w)
}

// ConfirmEmail is POST /v1/email/confirm.
func (a *API) ConfirmEmail(w http.ResponseWriter, r *http.Request) error {
	var in linkBody
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	changed, err := a.Service.ConfirmEmailChange(r.Context(), bitjang.NewSecret(in.Token), a.Edge.Caller(r))
	if err != nil {
		return err
	}
	web.NoStore(w)
	return web.WriteJSON(w, http.StatusOK, map[string]bool{"changed": changed})
}

// ForgotPassword is POST /v1/password/forgot.
func (a *API) ForgotPassword(w http.ResponseWriter, r *http.Request) error {
	var in addressBody
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	if err := a.Service.ForgotPassword(r.Context(), in.Email, a.Edge.Caller(r)); err != nil {
		return err
	}
	return accepted(w)
}

// ResetPassword is POST /v1/password/reset.
func (a *API) ResetPassword(w http.ResponseWriter, r *http.Request) error {
	var in linkBody
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	err := a.Service.ResetPassword(r.Context(), bitjang.ResetPasswordInput{
		Token: bitjang.NewSecret(in.Token), Password: bitjang.NewSecret(in.Password), Caller: a.Edge.Caller(r),
	})
	if err != nil {
		return err
	}
	return done(w)
}

// SendLoginLink is POST /v1/login/link. A browser gets a device cookie for the
// link to be bound to.
func (a *API) SendLoginLink(w http.ResponseWriter, r *http.Request) error {
	var in addressBody
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	from := a.caller(r, in.Device)
	unnamed := from.Device.ID == ""
	if unnamed {
		from.Device.ID = rand.Text()
	}
	if err := a.Service.SendLoginLink(r.Context(), in.Email, from); err != nil {
		return err
	}
	if unnamed {
		web.SetDevice(w, from.Device.ID)
	}
	return accepted(w)
}

// UseLoginLink is POST /v1/login/link/use.
func (a *API) UseLoginLink(w http.ResponseWriter, r *http.Request) error {
	var in linkBody
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	asCookies, err := wantsCookies(in.Transport)
	if err != nil {
		return err
	}
	t, err := a.Service.LoginByLink(r.Context(), bitjang.NewSecret(in.Token), a.caller(r, in.Device))
	if err != nil {
		return err
	}
	return answerTokens(w, t, asCookies)
}

// Disown is POST /v1/sessions/{id}/disown: "this wasn't me".
func (a *API) Disown(w http.ResponseWriter, r *http.Request) error {
	who, err := a.identify(r)
	if err != nil {
		return err
	}
	id, err := sessionID(r)
	if err != nil {
		return err
	}
	if err := a.Service.DisownSession(r.Context(), who.Session.UserID, id, a.Edge.Caller(r)); err != nil {
		return err
	}
	return done(w)
}

// DeleteMe is POST /v1/me/delete: a body with the password, which DELETE had
// better not carry.
func (a *API) DeleteMe(w http.ResponseWriter, r *http.Request) error {
	var in addressBody
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	id, err := a.identify(r)
	if err != nil {
		return err
	}
	u, err := a.Service.DeleteAccount(r.Context(), bitjang.DeleteAccountInput{
		UserID: id.Session.UserID, Password: bitjang.NewSecret(in.Password), Caller: a.Edge.Caller(r),
	})
	if err != nil {
		return err
	}
	web.NoStore(w)
	return web.WriteJSON(w, http.StatusAccepted, map[string]time.Time{"delete_at": u.DeleteAt})
}

// Export is GET /v1/me/export.
func (a *API) Export(w http.ResponseWriter, r *http.Request) error {
	id, err := a.identify(r)
	if err != nil {
		return err
	}
	return a.WriteExport(w, r, id.Session.UserID)
}

// WriteExport answers with everything that is kept about a user.
func (a *API) WriteExport(w http.ResponseWriter, r *http.Request, userID string) error {
	x, err := a.Service.Export(r.Context(), userID, a.Edge.Caller(r))
	if err != nil {
		return err
	}
	out := struct {
		ExportedAt time.Time     `json:"exported_at"`
		User       userBody      `json:"user"`
		Sessions   []sessionBody `json:"sessions"`
		Events     []eventBody   `json:"events"`
	}{a.Service.Now(), newUserBody(x.User), make([]sessionBody, len(x.Sessions)), make([]eventBody, len(x.Events))}
	for i, s := range x.Sessions {
		out.Sessions[i] = a.sessionBody(r, s, bitjang.SessionID{})
	}
	for i, e := range x.Events {
		out.Events[i] = newEventBody(e)
	}
	web.NoStore(w)
	w.Header().Set("Content-Disposition", `attachment; filename="account.json"`)
	return web.WriteJSON(w, http.StatusOK, out)
}
