package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/web"
)

// proofBody answers a challenge, or the setup of a factor.
type proofBody struct {
	Challenge    string             `json:"challenge"`
	Setup        string             `json:"setup"`
	Factor       bitjang.FactorKind `json:"factor"`
	Code         string             `json:"code"`
	Credential   json.RawMessage    `json:"credential"` // of a passkey
	Remember     bool               `json:"remember"`
	Name         string             `json:"name"`
	RefreshToken string             `json:"refresh_token"`
	Transport    string             `json:"transport"`
	Device       device             `json:"device"`
}

// refreshToken is the session's refresh token, wherever the client put it.
func (b *proofBody) refreshToken(r *http.Request) bitjang.Secret {
	if b.RefreshToken != "" {
		return bitjang.NewSecret(b.RefreshToken)
	}
	token, _ := web.RefreshToken(r)
	return token
}

// VerifyLogin is POST /v1/login/verify: the second step of a login, or the proof
// that a session on hold or a careful action asks for.
func (a *API) VerifyLogin(w http.ResponseWriter, r *http.Request) error {
	var in proofBody
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	asCookies, err := wantsCookies(in.Transport)
	if err != nil {
		return err
	}
	t, err := a.Service.Prove(r.Context(), bitjang.ProveInput{
		Challenge: bitjang.NewSecret(in.Challenge), Factor: in.Factor, Code: bitjang.NewSecret(in.Code), Answer: in.Credential,
		Remember: in.Remember, Refresh: in.refreshToken(r), Caller: a.caller(r, in.Device),
	})
	if err != nil {
		return a.withStepUp(err)
	}
	if asCookies {
		web.SetDevice(w, t.Session.Device.ID)
	}
	return answerTokens(w, t, asCookies)
}

// SendCode is POST /v1/login/code: the code of a challenge, by mail.
func (a *API) SendCode(w http.ResponseWriter, r *http.Request) error {
	var in proofBody
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	if err := a.Service.SendCode(r.Context(), bitjang.NewSecret(in.Challenge), a.caller(r, in.Device)); err != nil {
		return err
	}
	return accepted(w)
}

// challengeBody is what a client needs to know of a challenge.
type challengeBody struct {
	Challenge string               `json:"challenge"`
	Factors   []bitjang.FactorKind `json:"factors"`
	Passkey   json.RawMessage      `json:"passkey,omitempty"`
	ExpiresAt time.Time            `json:"expires_at"`
}

func writeChallenge(w http.ResponseWriter, c bitjang.Challenge) error {
	web.NoStore(w)
	return web.WriteJSON(w, http.StatusOK, challengeBody{c.Token.Reveal(), c.Factors, c.Passkey, c.ExpiresAt})
}

// PasskeyLogin is POST /v1/login/passkey: it begins a login with nothing else.
func (a *API) PasskeyLogin(w http.ResponseWriter, r *http.Request) error {
	var in proofBody
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	c, err := a.Service.PasskeyLogin(a.caller(r, in.Device))
	if err != nil {
		return err
	}
	return writeChallenge(w, c)
}

// StepUp is POST /v1/step-up: the caller's session is to be worth more (RFC
// 9470). It answers 204 if it is already.
func (a *API) StepUp(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		ACR    string `json:"acr"`
		MaxAge *int64 `json:"max_age"` // seconds
	}
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	id, err := a.identify(r)
	if err != nil {
		return err
	}
	wanted := bitjang.StepUpInput{Identity: id, ACR: in.ACR, Caller: a.Edge.Caller(r)}
	if in.MaxAge != nil {
		age := time.Duration(max(0, min(*in.MaxAge, maxAgeSeconds))) * time.Second
		wanted.MaxAge = &age
	}
	c, met, err := a.Service.StepUp(r.Context(), wanted)
	switch {
	case err != nil:
		return err
	case met:
		return done(w)
	}
	return writeChallenge(w, c)
}

// maxAgeSeconds is longer than any session lasts.
const maxAgeSeconds = 10 * 366 * 24 * 3600

type factorBody struct {
	ID        string             `json:"id"`
	Kind      bitjang.FactorKind `json:"kind"`
	Name      string             `json:"name,omitempty"`
	Left      *int64             `json:"left,omitempty"` // recovery codes
	CreatedAt time.Time          `json:"created_at"`
	UsedAt    *time.Time         `json:"used_at,omitempty"`
}

func newFactorBody(f bitjang.Factor) factorBody {
	b := factorBody{ID: f.ID, Kind: f.Kind, Name: f.Name, CreatedAt: f.CreatedAt}
	if f.Kind == bitjang.FactorRecovery {
		b.Left = &f.Counter
	}
	if !f.UsedAt.IsZero() {
		b.UsedAt = &f.UsedAt
	}
	return b
}

// Factors is GET /v1/factors.
func (a *API) Factors(w http.ResponseWriter, r *http.Request) error {
	id, err := a.identify(r)
	if err != nil {
		return err
	}
	list, err := a.Service.Factors(r.Context(), id.Session.UserID)
	if err != nil {
		return err
	}
	bodies := make([]factorBody, len(list))
	for i, f := range list {
		bodies[i] = newFactorBody(f)
	}
	web.NoStore(w)
	return web.WriteJSON(w, http.StatusOK, map[string][]factorBody{"factors": bodies})
}

// BeginTOTP is POST /v1/factors/totp/begin.
func (a *API) BeginTOTP(w http.ResponseWriter, r *http.Request) error {
	id, err := a.identify(r)
	if err != nil {
		return err
	}
	setup, err := a.Service.BeginTOTP(r.Context(), id)
	if err != nil {
		return a.withStepUp(err)
	}
	web.NoStore(w)
	return web.WriteJSON(w, http.StatusOK, map[string]string{"setup": setup.Setup.Reveal(), "secret": setup.Secret.Reveal(), "uri": setup.URI.Reveal()})
}

// BeginPasskey is POST /v1/factors/passkey/begin.
func (a *API) BeginPasskey(w http.ResponseWriter, r *http.Request) error {
	id, err := a.identify(r)
	if err != nil {
		return err
	}
	setup, err := a.Service.BeginPasskey(r.Context(), id)
	if err != nil {
		return a.withStepUp(err)
	}
	web.NoStore(w)
	return web.WriteJSON(w, http.StatusOK, struct {
		Setup   string          `json:"setup"`
		Options json.RawMessage `json:"options"`
	}{setup.Setup.Reveal(), setup.Options})
}

// ConfirmTOTP is POST /v1/factors/totp/confirm.
func (a *API) ConfirmTOTP(w http.ResponseWriter, r *http.Request) error {
	return a.confirmFactor(w, r, a.Service.ConfirmTOTP)
}

// ConfirmPasskey is POST /v1/factors/passkey/confirm.
func (a *API) ConfirmPasskey(w http.ResponseWriter, r *http.Request) error {
	return a.confirmFactor(w, r, a.Service.ConfirmPasskey)
}

// confirmFactor adds a factor. The session moves on: the answer's tokens replace
// the caller's, and go back the way they came.
func (a *API) confirmFactor(w http.ResponseWriter, r *http.Request, confirm func(context.Context, bitjang.EnrolInput) (bitjang.Tokens, error)) error {
	var in proofBody
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	id, err := a.identify(r)
	if err != nil {
		return err
	}
	t, err := confirm(r.Context(), bitjang.EnrolInput{
		Identity: id, Setup: bitjang.NewSecret(in.Setup), Name: in.Name, Code: bitjang.NewSecret(in.Code), Answer: in.Credential,
		Refresh: in.refreshToken(r), Caller: a.Edge.Caller(r),
	})
	if err != nil {
		return a.withStepUp(err)
	}
	_, fromHeader := web.AccessToken(r)
	return answerTokens(w, t, !fromHeader)
}

// RecoveryCodes is POST /v1/recovery-codes.
func (a *API) RecoveryCodes(w http.ResponseWriter, r *http.Request) error {
	id, err := a.identify(r)
	if err != nil {
		return err
	}
	codes, err := a.Service.MakeRecoveryCodes(r.Context(), id, a.Edge.Caller(r))
	if err != nil {
		return a.withStepUp(err)
	}
	shown := make([]string, len(codes))
	for i, c := range codes {
		shown[i] = c.Reveal()
	}
	web.NoStore(w)
	return web.WriteJSON(w, http.StatusOK, map[string][]string{"codes": shown})
}

// RenameFactor is PATCH /v1/factors/{id}.
func (a *API) RenameFactor(w http.ResponseWriter, r *http.Request) error {
	var in proofBody
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	id, err := a.identify(r)
	if err != nil {
		return err
	}
	f, err := a.Service.RenameFactor(r.Context(), id.Session.UserID, r.PathValue("id"), in.Name)
	if err != nil {
		return err
	}
	web.NoStore(w)
	return web.WriteJSON(w, http.StatusOK, newFactorBody(f))
}

// RemoveFactor is DELETE /v1/factors/{id}.
func (a *API) RemoveFactor(w http.ResponseWriter, r *http.Request) error {
	id, err := a.identify(r)
	if err != nil {
		return err
	}
	if err := a.Service.RemoveFactor(r.Context(), id, r.PathValue("id"), a.Edge.Caller(r)); err != nil {
		return a.withStepUp(err)
	}
	return done(w)
}
