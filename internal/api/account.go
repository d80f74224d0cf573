package api

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/web"
)

// LogoutAll is POST /v1/logout-all.
func (a *API) LogoutAll(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		KeepCurrent bool `json:"keep_current"`
	}
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	id, err := a.identify(r)
	if err != nil {
		return err
	}
	end := bitjang.EndSessionsInput{UserID: id.Session.UserID, Reason: bitjang.EndedByLogoutAll, Caller: a.Edge.Caller(r)}
	if in.KeepCurrent {
		end.Except = id.Session.ID
	}
	n, err := a.Service.EndSessions(r.Context(), end)
	if err != nil {
		return err
	}
	if !in.KeepCurrent {
		web.ClearTokens(w)
	}
	web.NoStore(w)
	return web.WriteJSON(w, http.StatusOK, map[string]int{"revoked": n})
}

// Sessions is GET /v1/sessions.
func (a *API) Sessions(w http.ResponseWriter, r *http.Request) error {
	id, err := a.identify(r)
	if err != nil {
		return err
	}
	list, err := a.Service.Sessions(r.Context(), id.Session.UserID)
	if err != nil {
		return err
	}
	bodies := make([]sessionBody, len(list))
	for i, s := range list {
		bodies[i] = a.sessionBody(r, s, id.Session.ID)
	}
	web.NoStore(w)
	return web.WriteJSON(w, http.StatusOK, map[string][]sessionBody{"sessions": bodies})
}

// sessionID reads the id in the path. One that cannot be is not found.
func sessionID(r *http.Request) (bitjang.SessionID, error) {
	id, err := bitjang.ParseSessionID(r.PathValue("id"))
	if err != nil {
		return id, bitjang.ErrNoSuchSession
	}
	return id, nil
}

// EndSession is DELETE /v1/sessions/{id}.
func (a *API) EndSession(w http.ResponseWriter, r *http.Request) error {
	who, err := a.identify(r)
	if err != nil {
		return err
	}
	id, err := sessionID(r)
	if err != nil {
		return err
	}
	err = a.Service.EndSession(r.Context(), bitjang.EndSessionInput{
		UserID: who.Session.UserID, ID: id, Reason: bitjang.EndedByUser, Caller: a.Edge.Caller(r),
	})
	if err != nil {
		return err
	}
	if id == who.Session.ID {
		web.ClearTokens(w)
	}
	web.NoStore(w)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// NameSession is PATCH /v1/sessions/{id}.
func (a *API) NameSession(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Name *string `json:"name"`
	}
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	who, err := a.identify(r)
	if err != nil {
		return err
	}
	id, err := sessionID(r)
	if err != nil {
		return err
	}
	if in.Name == nil {
		return web.Refuse(http.StatusBadRequest, "name_invalid", "Send a name. An empty one takes it away.")
	}
	s, err := a.Service.NameSession(r.Context(), who.Session.UserID, id, *in.Name)
	if err != nil {
		return err
	}
	web.NoStore(w)
	return web.WriteJSON(w, http.StatusOK, a.sessionBody(r, s, who.Session.ID))
}

// Me is GET /v1/me.
func (a *API) Me(w http.ResponseWriter, r *http.Request) error {
	id, err := a.identify(r)
	if err != nil {
		return err
	}
	u, err := a.Service.User(r.Context(), id.Session.UserID)
	if err != nil {
		return err
	}
	web.NoStore(w)
	return web.WriteJSON(w, http.StatusOK, newUserBody(u))
}

// PatchMe is PATCH /v1/me.
func (a *API) PatchMe(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Name *string `json:"name"`
	}
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	id, err := a.identify(r)
	if err != nil {
		return err
	}
	if in.Name == nil {
		return a.Me(w, r)
	}
	u, err := a.Service.RenameUser(r.Context(), id.Session.UserID, *in.Name)
	if err != nil {
		return err
	}
	web.NoStore(w)
	return web.WriteJSON(w, http.StatusOK, newUserBody(u))
}

// Password is POST /v1/password. The other sessions end, this one moves on:
// the answer's tokens replace the caller's. They go back the way the access
// token came: a script that cannot read the cookies must not get them here.
func (a *API) Password(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Current      string `json:"current_password"`
		New          string `json:"new_password"`
		RefreshToken string `json:"refresh_token"`
	}
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	id, err := a.identify(r)
	if err != nil {
		return err
	}
	_, fromHeader := web.AccessToken(r)
	refresh, asCookies := bitjang.NewSecret(in.RefreshToken), !fromHeader
	if refresh.IsZero() {
		refresh, _ = web.RefreshToken(r)
	}
	t, err := a.Service.ChangePassword(r.Context(), bitjang.ChangePasswordInput{
		Identity: id, Current: bitjang.NewSecret(in.Current), New: bitjang.NewSecret(in.New), Refresh: refresh, Caller: a.Edge.Caller(r),
	})
	if err != nil {
		return err
	}
	return answerTokens(w, t, asCookies)
}

// Activity is GET /v1/activity?before=CURSOR&limit=N.
func (a *API) Activity(w http.ResponseWriter, r *http.Request) error {
	id, err := a.identify(r)
	if err != nil {
		return err
	}
	before, err := number(r, "before")
	if err != nil {
		return err
	}
	limit, err := number(r, "limit")
	if err != nil {
		return err
	}
	events, err := a.Service.Activity(r.Context(), id.Session.UserID, before, int(limit))
	if err != nil {
		return err
	}
	out := struct {
		Events []eventBody `json:"events"`
		Before int64       `json:"before,omitempty"` // the cursor of the next page
		Why    *whyBody    `json:"logged_out,omitempty"`
	}{Events: make([]eventBody, len(events))}
	for i, e := range events {
		out.Events[i] = newEventBody(e)
		out.Before = e.ID
	}
	if before == 0 {
		all, err := a.Service.Explain(r.Context(), id.Session.UserID, bitjang.SessionID{})
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(all, func(x bitjang.Explanation) bool { return !x.Asked() }); i >= 0 {
			out.Why = newWhyBody(&all[i])
		}
	}
	web.NoStore(w)
	return web.WriteJSON(w, http.StatusOK, out)
}

// number reads a query parameter; absent is 0.
func number(r *http.Request, name string) (int64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, web.Refuse(http.StatusBadRequest, "query_invalid", "The parameter "+name+" is a number.")
	}
	return n, nil
}
