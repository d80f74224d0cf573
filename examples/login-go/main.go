// An application in Go that logs people in with golang.org/x/oauth2 and
// coreos/go-oidc, neither of which knows anything of Bitjang. Only the issuer's URL
// and the client are configured.
//
//	bitjang client add "Orders" --redirect-uri http://127.0.0.1:3000/callback --logout-uri http://127.0.0.1:3000/
//	BITJANG_ISSUER=http://localhost:8080 CLIENT_ID=… CLIENT_SECRET=… go run .
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"sync"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// session is what the application keeps of a browser. The tokens never go there.
type session struct {
	state, nonce, verifier string
	user, idToken          string
	tokens                 oauth2.TokenSource // refreshes by itself
}

type app struct {
	base, orders string
	provider     *oidc.Provider
	config       oauth2.Config
	mu           sync.Mutex
	sessions     map[string]*session
}

func main() {
	issuer, port := cmp.Or(os.Getenv("BITJANG_ISSUER"), "http://localhost:8080"), cmp.Or(os.Getenv("PORT"), "3000")
	provider, err := oidc.NewProvider(context.Background(), issuer)
	if err != nil {
		log.Fatal(err)
	}
	base := "http://127.0.0.1:" + port
	a := &app{base: base, orders: os.Getenv("ORDERS_URL"), provider: provider, sessions: map[string]*session{}, config: oauth2.Config{
		ClientID: os.Getenv("CLIENT_ID"), ClientSecret: os.Getenv("CLIENT_SECRET"), Endpoint: provider.Endpoint(),
		RedirectURL: base + "/callback", Scopes: []string{oidc.ScopeOpenID, "email", oidc.ScopeOfflineAccess},
	}}
	mux := http.NewServeMux()
	for pattern, h := range map[string]func(http.ResponseWriter, *http.Request, *session) error{
		"GET /{$}": a.home, "GET /login": a.login, "GET /callback": a.callback, "GET /orders": a.list, "GET /logout": a.logout,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := h(w, r, a.sessionOf(w, r)); err != nil {
				log.Print(err)
				http.Error(w, "log in again", http.StatusUnauthorized)
			}
		})
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:"+port, mux))
}

func (a *app) sessionOf(w http.ResponseWriter, r *http.Request) *session {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c, err := r.Cookie("app"); err == nil && a.sessions[c.Value] != nil {
		return a.sessions[c.Value]
	}
	id, s := rand.Text(), &session{}
	a.sessions[id] = s
	http.SetCookie(w, &http.Cookie{Name: "app", Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return s
}

func (a *app) home(w http.ResponseWriter, _ *http.Request, s *session) error {
	return json.NewEncoder(w).Encode(map[string]string{"user": s.user})
}

func (a *app) login(w http.ResponseWriter, r *http.Request, s *session) error {
	s.state, s.nonce, s.verifier = rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	http.Redirect(w, r, a.config.AuthCodeURL(s.state, oidc.Nonce(s.nonce), oauth2.S256ChallengeOption(s.verifier)), http.StatusFound)
	return nil
}

func (a *app) callback(w http.ResponseWriter, r *http.Request, s *session) error {
	if s.state == "" || r.FormValue("state") != s.state {
		return errors.New("this browser asked for nothing")
	}
	tokens, err := a.config.Exchange(r.Context(), r.FormValue("code"), oauth2.VerifierOption(s.verifier))
	if err != nil {
		return err
	}
	raw, _ := tokens.Extra("id_token").(string)
	id, err := a.provider.Verifier(&oidc.Config{ClientID: a.config.ClientID}).Verify(r.Context(), raw)
	if err != nil {
		return err
	}
	if id.Nonce != s.nonce {
		return errors.New("the ID token is for another login")
	}
	s.state, s.user, s.idToken, s.tokens = "", id.Subject, raw, a.config.TokenSource(context.Background(), tokens)
	http.Redirect(w, r, "/", http.StatusFound)
	return nil
}

// list asks a resource server, or the userinfo endpoint, with an access token that
// the library has refreshed if it had to.
func (a *app) list(w http.ResponseWriter, r *http.Request, s *session) error {
	if s.tokens == nil {
		return errors.New("nobody is logged in")
	}
	answer, err := oauth2.NewClient(r.Context(), s.tokens).Get(cmp.Or(a.orders, a.provider.UserInfoEndpoint()))
	if err != nil {
		return err // the refresh token is no good any more
	}
	defer answer.Body.Close()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(answer.StatusCode)
	_, err = io.Copy(w, answer.Body)
	return err
}

func (a *app) logout(w http.ResponseWriter, r *http.Request, s *session) error {
	var endpoints struct {
		EndSession string `json:"end_session_endpoint"`
	}
	if err := a.provider.Claims(&endpoints); err != nil {
		return err
	}
	q := url.Values{"id_token_hint": {s.idToken}, "post_logout_redirect_uri": {a.base + "/"}}
	*s = session{}
	http.Redirect(w, r, endpoints.EndSession+"?"+q.Encode(), http.StatusFound)
	return nil
}
