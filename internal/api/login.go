package api

import (
	"crypto/rand"
	"net/http"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/web"
)

// device is what a client may say about its device in a body.
type device struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// caller is where the request comes from; what the body says of the device
// comes before what headers and cookies say.
func (a *API) caller(r *http.Request, d device) bitjang.Caller {
	c := a.Edge.Caller(r)
	if d.ID != "" {
		c.Device.ID = d.ID
	}
	c.Device.Name = d.Name
	return c
}

// Signup is POST /v1/signup.
func (a *API) Signup(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Email    string `json:"email"`
		Password string `json:"password"`
		Name     string `json:"name"`
		Invite   string `json:"invite"`
	}
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	u, err := a.Service.Signup(r.Context(), bitjang.SignupInput{
		Email: in.Email, Password: bitjang.NewSecret(in.Password), Name: in.Name, Invite: bitjang.NewSecret(in.Invite), Caller: a.Edge.Caller(r),
	})
	if err != nil {
		return err
	}
	web.NoStore(w)
	return web.WriteJSON(w, http.StatusCreated, map[string]userBody{"user": newUserBody(u)})
}

// Login is POST /v1/login.
func (a *API) Login(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Identifier string `json:"identifier"`
		Password   string `json:"password"`
		Transport  string `json:"transport"`
		Device     device `json:"device"`
		Remember   string `json:"remember_token"`
	}
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	asCookies, err := wantsCookies(in.Transport)
	if err != nil {
		return err
	}
	from := a.caller(r, in.Device)
	if asCookies && from.Device.ID == "" {
		from.Device.ID = rand.Text()
	}
	if in.Remember != "" {
		from.Remembered = bitjang.NewSecret(in.Remember)
	}
	t, err := a.Service.Login(r.Context(), bitjang.LoginInput{Identifier: in.Identifier, Password: bitjang.NewSecret(in.Password), Caller: from})
	if err != nil && bitjang.AsError(err).Challenge != nil && asCookies {
		web.SetDevice(w, from.Device.ID) // the challenge is for this device
	}
	if err != nil {
		return a.withStepUp(err)
	}
	if asCookies {
		web.SetDevice(w, t.Session.Device.ID)
	}
	return answerTokens(w, t, asCookies)
}

func wantsCookies(transport string) (bool, error) {
	if transport != "" && transport != "body" && transport != transportCookie {
		return false, web.Refuse(http.StatusBadRequest, "transport_invalid", `The transport is "body" or "cookie".`)
	}
	return transport == transportCookie, nil
}

// Refresh is POST /v1/refresh. The token comes in the body, in a header or as a
// cookie, and the answer goes back the same way.
func (a *API) Refresh(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		RefreshToken string `json:"refresh_token"`
		Device       device `json:"device"`
	}
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	token, asCookies := bitjang.NewSecret(in.RefreshToken), false
	if token.IsZero() {
		token, asCookies = web.RefreshToken(r)
	}
	t, err := a.Service.Refresh(r.Context(), bitjang.RefreshInput{Token: token, Caller: a.caller(r, in.Device)})
	if err != nil {
		return a.withStepUp(err)
	}
	return answerTokens(w, t, asCookies)
}

// withStepUp adds where to go to a refusal that wants step-up.
func (a *API) withStepUp(err error) error {
	p := web.ProblemOf(err)
	if p.Code != bitjang.ErrStepUpRequired.Reason && p.Code != bitjang.ErrProveAgain.Reason {
		return err
	}
	p.StepUpURL = a.StepUpURL
	return p
}

// Logout is POST /v1/logout, with either token. The cookies go in any case but
// one: while the store is down the session still lives.
func (a *API) Logout(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	refresh := bitjang.NewSecret(in.RefreshToken)
	if refresh.IsZero() {
		refresh, _ = web.RefreshToken(r)
	}
	access, _ := web.AccessToken(r)
	err := a.Service.Logout(r.Context(), bitjang.LogoutInput{Access: access, Refresh: refresh, Caller: a.Edge.Caller(r)})
	if err == nil || bitjang.AsError(err).Code == bitjang.Unauthenticated {
		web.ClearTokens(w)
	}
	if err != nil {
		return err
	}
	web.NoStore(w)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
