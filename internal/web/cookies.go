package web

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/bitjang/bitjang"
)

// The cookies. The __Host- prefix makes browsers refuse them from another
// host, another path or without Secure (RFC 6265bis section 4.1.3.2).
const (
	AccessCookie  = "__Host-bitjang_at"
	RefreshCookie = "__Host-bitjang_rt"
	deviceCookie  = "__Host-bitjang_device"

	challengeCookie  = "__Host-bitjang_challenge"
	rememberedCookie = "__Host-bitjang_remembered"
	returnCookie     = "__Host-bitjang_return"
)

// deviceCookieAge is as long as browsers keep a cookie.
const deviceCookieAge = 400 * 24 * time.Hour

func hostCookie(name, value string, age time.Duration) *http.Cookie {
	c := &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode}
	c.MaxAge = int(age.Seconds())
	if c.MaxAge <= 0 {
		c.MaxAge = -1
	}
	return c
}

// TokenCookies are the two cookies of tokens. The refresh cookie lives as long
// as the session may, not only until the token goes idle: an expired refresh
// token beside a valid access token still proves where it came from.
func TokenCookies(t bitjang.Tokens) []*http.Cookie {
	return []*http.Cookie{
		hostCookie(AccessCookie, t.Access.Reveal(), t.AccessExpiresAt.Sub(t.IssuedAt)),
		hostCookie(RefreshCookie, t.Refresh.Reveal(), t.Session.ExpiresAt.Sub(t.IssuedAt)),
	}
}

// SetTokens gives tokens to a browser. An answer with Set-Cookie must not be
// kept by any cache: it would log strangers in as each other.
func SetTokens(w http.ResponseWriter, t bitjang.Tokens) {
	for _, c := range TokenCookies(t) {
		http.SetCookie(w, c)
	}
	w.Header().Set("Cache-Control", "private, no-store")
}

// ClearTokens takes them away: after a logout, and never for any other reason.
// A refusal may be the late answer of a lost race, and would then take away
// the tokens of a session that is alive.
func ClearTokens(w http.ResponseWriter) {
	http.SetCookie(w, hostCookie(AccessCookie, "", -time.Second))
	http.SetCookie(w, hostCookie(RefreshCookie, "", -time.Second))
}

// SetDevice gives a browser its device id. The id may be any text, a cookie's
// value may not.
func SetDevice(w http.ResponseWriter, id string) {
	http.SetCookie(w, hostCookie(deviceCookie, url.PathEscape(id), deviceCookieAge))
}

// DeviceCookie returns the device id of a browser, "" if it has none.
func DeviceCookie(r *http.Request) string {
	id, err := url.PathUnescape(cookie(r, deviceCookie))
	if err != nil {
		return ""
	}
	return id
}

// SetRemembered lets a browser do without a second factor for a while.
func SetRemembered(w http.ResponseWriter, t bitjang.Tokens) {
	if !t.Remembered.IsZero() {
		http.SetCookie(w, hostCookie(rememberedCookie, t.Remembered.Reveal(), t.RememberedUntil.Sub(t.IssuedAt)))
	}
}

// SetChallenge keeps a challenge for the page that answers it: not in its
// address, where it would be in the history.
func SetChallenge(w http.ResponseWriter, c bitjang.Challenge, now time.Time) {
	http.SetCookie(w, hostCookie(challengeCookie, c.Token.Reveal(), c.ExpiresAt.Sub(now)))
}

// ClearChallenge takes it away once it is answered.
func ClearChallenge(w http.ResponseWriter) {
	http.SetCookie(w, hostCookie(challengeCookie, "", -time.Second))
}

// ChallengeToken is the browser's challenge.
func ChallengeToken(r *http.Request) bitjang.Secret {
	return bitjang.NewSecret(cookie(r, challengeCookie))
}

func cookie(r *http.Request, name string) string {
	c, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}

// AccessToken is the request's access token, and whether it came in the
// Authorization header. Without that it is the cookie's.
func AccessToken(r *http.Request) (token bitjang.Secret, fromHeader bool) {
	if scheme, token := authorization(r); scheme != "" {
		return bitjang.NewSecret(token), true
	}
	return bitjang.NewSecret(cookie(r, AccessCookie)), false
}

// RefreshHeader carries the refresh token of a client without cookies and
// without a body.
const RefreshHeader = "Refresh-Token"

// RefreshToken is the request's refresh token outside its body, and whether it
// came as a cookie, in which case the answer goes back as one.
func RefreshToken(r *http.Request) (token bitjang.Secret, fromCookie bool) {
	if h := r.Header.Get(RefreshHeader); h != "" {
		return bitjang.NewSecret(h), false
	}
	c := cookie(r, RefreshCookie)
	return bitjang.NewSecret(c), c != ""
}

// authorization is the access token in the Authorization header and its scheme,
// both empty if there is none.
func authorization(r *http.Request) (scheme, token string) {
	scheme, token, _ = strings.Cut(r.Header.Get("Authorization"), " ")
	if token == "" {
		return "", ""
	}
	for _, known := range []string{bitjang.TokenBearer, bitjang.TokenDPoP} {
		if strings.EqualFold(scheme, known) {
			return known, token
		}
	}
	return "", ""
}

// HasTokens tells whether a browser sent its tokens along, whatever they are worth.
func HasTokens(r *http.Request) bool {
	return cookie(r, AccessCookie) != "" || cookie(r, RefreshCookie) != ""
}

// maxCookie is what every browser keeps in one cookie (RFC 6265 section 6.1).
const maxCookie = 4096

// SetReturn remembers where a browser wants to go while its person looks into
// their mail. Where that is too long, they start anew from there.
func SetReturn(w http.ResponseWriter, path string, age time.Duration) {
	if value := url.PathEscape(path); len(value) < maxCookie-256 { // the name and the attributes count
		http.SetCookie(w, hostCookie(returnCookie, value, age))
	}
}

// TakeReturn returns what SetReturn remembered, "" for nothing, and forgets it.
func TakeReturn(w http.ResponseWriter, r *http.Request) string {
	path, err := url.PathUnescape(cookie(r, returnCookie))
	if err != nil || path == "" {
		return ""
	}
	http.SetCookie(w, hostCookie(returnCookie, "", -time.Second))
	return path
}
