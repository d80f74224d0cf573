// Package api is the JSON API under /v1, forward auth, and the documents that
// other programs read. Each handler is: parse, one call of the Service, answer.
// It decides no rule; package server routes to it.
package api

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/web"
)

// API has one method per endpoint.
type API struct {
	Service   *bitjang.Service
	Edge      *web.Edge
	LoginURL  string // where a browser goes to log in
	StepUpURL string // where a browser goes to prove more
	// Places names the place of an address in a language, "" if it does not know.
	Places func(addr netip.Addr, language string) string
}

// transportCookie is the `transport` that keeps tokens out of scripts' reach.
const transportCookie = "cookie"

// tokenResponse is RFC 6749 section 5.1 plus ours. With cookies both tokens
// are left out.
type tokenResponse struct {
	AccessToken      string    `json:"access_token,omitempty"`
	TokenType        string    `json:"token_type"`
	ExpiresIn        int64     `json:"expires_in"`
	RefreshToken     string    `json:"refresh_token,omitempty"`
	RefreshExpiresIn int64     `json:"refresh_expires_in"`
	SessionID        string    `json:"session_id"`
	RememberToken    string    `json:"remember_token,omitempty"`
	User             *userBody `json:"user,omitempty"`
}

// answerTokens is the only place where tokens enter an answer.
func answerTokens(w http.ResponseWriter, t bitjang.Tokens, asCookies bool) error {
	body := tokenResponse{
		TokenType:        t.Type,
		ExpiresIn:        seconds(t.AccessExpiresAt.Sub(t.IssuedAt)),
		RefreshExpiresIn: seconds(t.RefreshExpiresAt.Sub(t.IssuedAt)),
		SessionID:        t.Session.ID.String(),
	}
	if t.User != nil {
		u := newUserBody(*t.User)
		body.User = &u
	}
	web.NoStore(w)
	if asCookies {
		web.SetTokens(w, t)
		web.SetRemembered(w, t)
	} else {
		body.AccessToken, body.RefreshToken, body.RememberToken = t.Access.Reveal(), t.Refresh.Reveal(), t.Remembered.Reveal()
	}
	return web.WriteJSON(w, http.StatusOK, body)
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

type userBody struct {
	ID            string    `json:"id"`
	Email         string    `json:"email"`
	EmailVerified bool      `json:"email_verified"`
	Name          string    `json:"name,omitempty"`
	Language      string    `json:"language,omitempty"`
	Roles         []string  `json:"roles,omitempty"`
	CreatedAt     time.Time `json:"created_at"`
}

func newUserBody(u bitjang.User) userBody {
	return userBody{ID: u.ID, Email: u.Email, EmailVerified: !u.EmailVerifiedAt.IsZero(), Language: u.Language, Name: u.Name, Roles: u.Roles, CreatedAt: u.CreatedAt}
}

type deviceBody struct {
	ID      string `json:"id,omitempty"`
	Name    string `json:"name,omitempty"`
	Browser string `json:"browser,omitempty"`
	OS      string `json:"os,omitempty"`
	Type    string `json:"type"`
}

type sessionBody struct {
	ID          string     `json:"id"`
	Current     bool       `json:"current"`
	State       string     `json:"state"`
	Device      deviceBody `json:"device"`
	IP          string     `json:"ip,omitempty"`
	Location    string     `json:"location,omitempty"`
	AuthMethods []string   `json:"auth_methods"`
	CreatedAt   time.Time  `json:"created_at"`
	LastSeenAt  time.Time  `json:"last_seen_at"`
	ExpiresAt   time.Time  `json:"expires_at"`
}

func (a *API) sessionBody(r *http.Request, s bitjang.Session, current bitjang.SessionID) sessionBody {
	label := s.Device.Label()
	b := sessionBody{
		ID: s.ID.String(), Current: s.ID == current, State: s.StateAt(a.Service.Now()),
		Device:      deviceBody{ID: s.Device.ID, Name: s.Device.Name, Browser: label.Browser, OS: label.OS, Type: label.Type},
		AuthMethods: s.AMR, CreatedAt: s.CreatedAt, LastSeenAt: s.LastSeenAt, ExpiresAt: s.RefreshExpiresAt(),
	}
	if s.IP.IsValid() {
		b.IP, b.Location = s.IP.String(), a.Places(s.IP, r.Header.Get("Accept-Language"))
	}
	return b
}

type eventBody struct {
	ID        int64     `json:"id"`
	At        time.Time `json:"at"`
	Type      string    `json:"type"`
	SessionID string    `json:"session_id,omitempty"`
	IP        string    `json:"ip,omitempty"`
	Browser   string    `json:"browser,omitempty"`
	OS        string    `json:"os,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Count     int       `json:"count,omitempty"`
	Detail    string    `json:"detail,omitempty"`
}

// whyBody answers "why was I logged out?".
type whyBody struct {
	State     string       `json:"state"`
	Reason    string       `json:"reason"`
	SessionID string       `json:"session_id"`
	At        time.Time    `json:"at"`
	Name      string       `json:"device_name,omitempty"`
	Browser   string       `json:"browser,omitempty"`
	OS        string       `json:"os,omitempty"`
	IP        string       `json:"ip,omitempty"`
	Signals   []signalBody `json:"signals,omitempty"`
}

type signalBody struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
}

func newWhyBody(x *bitjang.Explanation) *whyBody {
	d := x.Session.Device
	label := d.Label()
	b := &whyBody{State: x.State, Reason: x.Reason, SessionID: x.Session.ID.String(), At: x.At, Name: d.Name, Browser: label.Browser, OS: label.OS}
	if x.Event != nil && x.Event.IP.IsValid() {
		b.IP = x.Event.IP.String()
	}
	for _, s := range x.Signals {
		b.Signals = append(b.Signals, signalBody(s))
	}
	return b
}

func newEventBody(e bitjang.Event) eventBody {
	label := bitjang.Device{UserAgent: e.UserAgent}.Label()
	b := eventBody{
		ID: e.ID, At: e.At, Type: string(e.Type), SessionID: e.SessionID.String(),
		Browser: label.Browser, OS: label.OS, Reason: e.Reason, Count: e.Count, Detail: e.Detail,
	}
	if e.IP.IsValid() {
		b.IP = e.IP.String()
	}
	return b
}

// identify is for endpoints that need a valid access token of a live session.
func (a *API) identify(r *http.Request) (bitjang.Identity, error) {
	access, _ := web.AccessToken(r)
	id, err := a.Service.AuthenticateFrom(r.Context(), access, a.Edge.Caller(r))
	if err != nil {
		return id, a.withStepUp(err)
	}
	return id, nil
}
