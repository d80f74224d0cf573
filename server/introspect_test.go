package server_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/server"
	"github.com/bitjang/bitjang/verify"
)

// RFC 7662 section 2.
func TestRFC7662_2_Introspection(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t)
	tk := r.grants(r.third, "openid offline_access")
	m := r.active(r.resource, tk.Access)
	if m["active"] != true || m["sub"] != r.user.ID || m["client_id"] != r.third.ID || m["aud"] != api || m["token_type"] != "Bearer" || m["scope"] != "openid offline_access" || m["exp"] == nil || m["cnf"] != nil {
		t.Errorf("got %v", m)
	}
	if m := r.active(r.third, tk.Refresh); m["active"] != true || m["client_id"] != r.third.ID || m["token_type"] != nil {
		t.Errorf("got %v of one's own refresh token", m)
	}
	r.active(r.third, tk.Access)
	stranger := r.add(bitjang.Client{Name: "Other", GrantTypes: []string{bitjang.GrantClientCredentials}, Resources: []string{"https://elsewhere.example.com"}})
	ours := r.grants(r.public, "openid")
	for name, inactive := range map[string]object{
		"of another audience":         r.active(stranger, tk.Access),
		"another client's refresh":    r.active(r.resource, tk.Refresh),
		"no token":                    r.active(r.resource, "x"),
		"a token for another API":     r.active(r.resource, ours.Access),
		"an ID token":                 r.active(r.third, tk.ID),
		"our own refresh token":       r.active(r.third, r.login.refresh),
		"a token of somebody's login": r.active(r.third, r.login.access),
	} {
		if len(inactive) != 1 || inactive["active"] != false {
			t.Errorf("%s: got %v, want nothing but inactive", name, inactive)
		}
	}
	// Section 2.1: the caller is authorized.
	r.form("/oauth2/introspect", values("token", tk.Access, "client_id", r.public.ID)).wantError(401, "invalid_client")
	r.form("/oauth2/introspect", values("token", tk.Access)).wantError(401, "invalid_client")
	r.form("/oauth2/introspect", values("token", tk.Access), basic(r.resource.ID, "bjs_wrong")).wantError(401, "invalid_client")
	r.form("/oauth2/introspect", r.as(r.resource, values())).wantError(400, "invalid_request")
	r.raw("/oauth2/introspect", strings.Repeat("a", 70<<10)).wantError(413, "invalid_request")
	// Section 4: it looks at the session.
	r.do("POST", "/v1/logout", object{"refresh_token": r.login.refresh}).want(204)
	if m := r.active(r.third, ours.Access); m["active"] != false {
		t.Errorf("got %v after the end of the login", m)
	}
	if m := r.active(r.resource, tk.Access); m["active"] != true {
		t.Errorf("got %v: offline_access outlives the login", m)
	}
	r.clock.advance(11 * time.Minute)
	if m := r.active(r.resource, tk.Access); m["active"] != false {
		t.Errorf("got %v after exp", m)
	}
}

func TestRFC7662_2_AClientsOwnTokenAndABoundOne(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t)
	h := r.keyHolder()
	tk := r.form("/oauth2/token", r.as(r.machine, values("grant_type", "client_credentials")), h.proves("", r.svc.DPoPNonce())).oauth()
	m := r.active(r.resource, tk.Access)
	if m["active"] != true || m["token_type"] != "DPoP" || m["cnf"].(object)["jkt"] != h.thumbprint() || m["sid"] != nil {
		t.Errorf("got %v", m)
	}
	if err := r.svc.RemoveClient(t.Context(), r.machine.ID); err != nil {
		t.Fatal(err)
	}
	if m := r.active(r.resource, tk.Access); m["active"] != false {
		t.Errorf("got %v of a client that is gone", m)
	}
}

// A refresh token that would be refused is inactive, and asking ends nothing.
func TestRFC7662_4_AskingAboutAnOldRefreshTokenIsNoTheft(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t)
	first := r.grants(r.third, "openid offline_access")
	r.clock.advance(time.Minute)
	second := r.refreshFor(r.third, first.Refresh).oauth()
	r.clock.advance(time.Minute)
	third := r.refreshFor(r.third, second.Refresh).oauth()
	r.clock.advance(time.Minute)
	if m := r.active(r.third, first.Refresh); m["active"] != false {
		t.Errorf("got %v of an old token", m)
	}
	if m := r.active(r.third, third.Refresh); m["active"] != true {
		t.Errorf("got %v", m)
	}
	r.refreshFor(r.third, third.Refresh).oauth()
}

// RFC 9701 section 5: an answer that is signed for the one who asked.
func TestRFC9701_5_SignedIntrospection(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t)
	tk := r.grants(r.third, "openid")
	a := r.form("/oauth2/introspect", r.as(r.resource, values("token", tk.Access)), header("Accept", "application/token-introspection+jwt")).want(200).wantHeader("Content-Type", "application/token-introspection+jwt")
	head, claims := jwtPart(t, string(a.Body), 0), jwtPart(t, string(a.Body), 1)
	inner, _ := claims["token_introspection"].(object)
	if head["typ"] != "token-introspection+jwt" || claims["aud"] != r.resource.ID || claims["iss"] != "https://id.example.com" || inner["active"] != true || inner["sub"] != r.user.ID || claims["sub"] != nil || claims["exp"] != nil {
		t.Errorf("got %v %v", head, claims)
	}
	r.do("GET", "/oauth2/userinfo", nil, bearer(string(a.Body))).want(401, "access_token_invalid")
}

// RFC 7009 section 2.
func TestRFC7009_2_Revocation(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t)
	revoke := func(c bitjang.Client, token string, mods ...mod) *answer {
		return r.form("/oauth2/revoke", r.as(c, values("token", token, "token_type_hint", "access_token")), mods...)
	}
	byRefresh, byAccess, kept := r.grants(r.public, "openid"), r.grants(r.public, "openid"), r.grants(r.public, "openid")
	revoke(r.public, byRefresh.Refresh).want(200)
	revoke(r.public, byAccess.Access).want(200)
	for _, tk := range []oauthTokens{byRefresh, byAccess} { // section 2.1: the other token as well
		r.do("GET", "/oauth2/userinfo", nil, bearer(tk.Access)).want(401, "session_revoked")
		r.refreshFor(r.public, tk.Refresh).wantError(400, "invalid_grant", "session_revoked")
	}
	// Section 2.2: what means nothing is no error, and another's token ends nothing.
	revoke(r.public, "x").want(200)
	revoke(r.public, byRefresh.Refresh).want(200)
	revoke(r.third, kept.Refresh).want(200)
	revoke(r.third, kept.Access).want(200)
	revoke(r.public, r.login.refresh).want(200)
	revoke(r.public, r.login.access).want(200)
	r.refreshFor(r.public, kept.Refresh).oauth()
	r.do("GET", "/v1/me", nil, bearer(r.login.access)).want(200)
	own := r.form("/oauth2/token", r.as(r.machine, values("grant_type", "client_credentials"))).oauth()
	revoke(r.machine, own.Access).wantError(400, "unsupported_token_type")
	r.form("/oauth2/revoke", values("token", kept.Refresh)).wantError(401, "invalid_client")
	r.form("/oauth2/revoke", values("token", "x"), basic(r.third.ID, "bjs_wrong")).wantError(401, "invalid_client")
	r.form("/oauth2/revoke", r.as(r.public, values())).wantError(400, "invalid_request")
	r.raw("/oauth2/revoke", strings.Repeat("a", 70<<10)).wantError(413, "invalid_request")
}

// OpenID Connect Core section 5.3.
func TestOIDCCore_5_3_UserInfo(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t)
	r.do("PATCH", "/v1/me", object{"name": "Alice"}, bearer(r.login.access)).want(200)
	all := r.grants(r.public, "openid profile email")
	a := r.do("GET", "/oauth2/userinfo", nil, bearer(all.Access)).want(200).wantHeader("Cache-Control", "no-store")
	var m object
	a.decode(&m)
	if m["sub"] != r.user.ID || m["name"] != "Alice" || m["email"] != alice || m["email_verified"] != false || m["updated_at"] == nil {
		t.Errorf("got %v", m)
	}
	little := r.grants(r.public, "openid")
	r.form("/oauth2/userinfo", values("access_token", little.Access)).want(200).decode(&m)
	b := r.do("POST", "/oauth2/userinfo", nil, header("Authorization", "bearer "+little.Access)).want(200) // the scheme in any case (RFC 6750)
	if got := strings.TrimSpace(string(b.Body)); got != `{"sub":"`+r.user.ID+`"}` {
		t.Errorf("got %s, want no more than the scope covers", got)
	}
	none := r.grants(r.public, "notes")
	r.do("GET", "/oauth2/userinfo", nil, bearer(none.Access)).want(403, "insufficient_scope")
	r.form("/oauth2/userinfo", values("access_token", none.Access)).want(403, "insufficient_scope")
	r.do("GET", "/oauth2/userinfo", nil).want(401, "access_token_invalid").wantHeader("WWW-Authenticate", `Bearer realm="bitjang"`)
	r.do("GET", "/oauth2/userinfo?access_token="+all.Access, nil).want(401, "access_token_invalid") // never in the query
	r.do("GET", "/oauth2/userinfo", nil, bearer(r.login.access)).want(403, "insufficient_scope")
	r.do("GET", "/oauth2/userinfo", nil, cookies(&http.Cookie{Name: atCookie, Value: all.Access})).want(401, "access_token_invalid")
	r.raw("/oauth2/userinfo", "%zz").want(400, "invalid_request")
	r.raw("/oauth2/userinfo", strings.Repeat("a", 70<<10)).want(413, "invalid_request")
	r.form("/oauth2/userinfo", values("access_token", "x")).want(401, "access_token_invalid")
	// It looks at the session, and not at the token alone.
	r.form("/oauth2/revoke", r.as(r.public, values("token", little.Access))).want(200)
	r.form("/oauth2/userinfo", values("access_token", little.Access)).want(401, "session_revoked")
	r.do("GET", "/oauth2/userinfo", nil, bearer(little.Access)).want(401, "session_revoked")
	if _, _, err := r.store.DeleteSessions(t.Context(), r.clock.Now().Add(time.Hour), 100); err != nil {
		t.Fatal(err)
	}
	r.form("/oauth2/userinfo", values("access_token", little.Access)).want(401, "session_unknown")
	r.do("GET", "/oauth2/userinfo", nil, bearer(little.Access)).want(401, "session_unknown")
}

// RFC 8414 section 2, OpenID Connect Discovery section 3.
func TestRFC8414_2_MetadataIsWhatThereIs(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t)
	var m map[string]any
	r.do("GET", "/.well-known/oauth-authorization-server", nil).want(200).decode(&m)
	for name, path := range map[string]string{"token_endpoint": "/oauth2/token", "revocation_endpoint": "/oauth2/revoke", "introspection_endpoint": "/oauth2/introspect", "userinfo_endpoint": "/oauth2/userinfo", "authorization_endpoint": "/oauth2/authorize", "end_session_endpoint": "/oauth2/logout"} {
		if m[name] != "https://id.example.com"+path {
			t.Errorf("%s: got %v", name, m[name])
		}
	}
	plain := newRig(t, func(s *setup) { s.NoPages = true })
	m = nil
	plain.do("GET", "/.well-known/openid-configuration", nil).want(200).decode(&m)
	if m["authorization_endpoint"] != nil || len(m["response_types_supported"].([]any)) != 0 {
		t.Errorf("got %v without pages", m)
	}
}

// RFC 8414 section 3: the issuer's path comes behind the well-known one.
func TestRFC8414_3_AnIssuerWithAPath(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(s *setup) { s.Issuer = "https://example.com/auth" })
	for _, path := range []string{"/.well-known/oauth-authorization-server/auth", "/.well-known/openid-configuration/auth", "/.well-known/openid-configuration"} {
		w := httptest.NewRecorder() // not in the document: the path is the operator's
		r.h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != 200 || !strings.Contains(w.Body.String(), `"issuer":"https://example.com/auth"`) || !strings.Contains(w.Body.String(), `"token_endpoint":"https://example.com/auth/oauth2/token"`) {
			t.Errorf("%s: got %d %s", path, w.Code, w.Body)
		}
	}
	w := httptest.NewRecorder()
	r.h.ServeHTTP(w, httptest.NewRequest("GET", "/.well-known/openid-configuration/other", nil))
	if w.Code != 404 {
		t.Errorf("another issuer's path: got %d", w.Code)
	}
}

// rp is a client that is told of logouts.
type rp struct {
	*httptest.Server
	status atomic.Int32
	tokens chan string
}

func newRP(t *testing.T) *rp {
	c := &rp{tokens: make(chan string, 32)}
	c.status.Store(200)
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "POST" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.ParseForm() != nil {
			t.Errorf("got %s %v", r.Method, r.Header)
		}
		c.tokens <- r.PostForm.Get("logout_token")
		w.WriteHeader(int(c.status.Load()))
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *rp) told(t *testing.T) string {
	t.Helper()
	select {
	case token := <-c.tokens:
		return token
	case <-time.After(10 * time.Second):
		t.Fatal("the client was not told")
		return ""
	}
}

// OpenID Connect Back-Channel Logout sections 2.4 and 2.5.
func TestOIDCBackChannel_2_4_LogoutTokens(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t, func(s *setup) { s.Backchannel = server.Backchannel{} })
	client := newRP(t)
	r.third.BackchannelLogoutURI = client.URL + "/bc"
	c, err := r.svc.UpdateClient(t.Context(), r.third)
	if err != nil {
		t.Fatal(err)
	}
	r.third = c
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { _ = r.svc.Run(ctx) }()

	tk := r.grants(r.third, "openid")
	offline := r.grants(r.third, "openid offline_access")
	client.status.Store(500) // it is told again
	r.do("POST", "/v1/logout", object{"refresh_token": r.login.refresh}).want(204)
	token := client.told(t)
	head, claims := jwtPart(t, token, 0), jwtPart(t, token, 1)
	events, _ := claims["events"].(object)
	if head["typ"] != "logout+jwt" || head["alg"] != "RS256" || claims["iss"] != "https://id.example.com" || claims["aud"] != r.third.ID || claims["sub"] != r.user.ID ||
		claims["sid"] != jwtPart(t, tk.Access, 1)["sid"] || events["http://schemas.openid.net/event/backchannel-logout"] == nil || claims["nonce"] != nil || claims["jti"] == "" ||
		claims["exp"].(float64)-claims["iat"].(float64) > 120 {
		t.Errorf("got %v %v", head, claims)
	}
	client.status.Store(200)
	for len(client.tokens) == 0 && !t.Failed() {
		r.clock.advance(10 * time.Second) // the pause begins when the failure is noted
		time.Sleep(100 * time.Millisecond)
	}
	again := jwtPart(t, client.told(t), 1)
	if again["sid"] != claims["sid"] || again["jti"] == claims["jti"] {
		t.Errorf("got %v the second time", again)
	}
	// Section 2.7: what was given for later goes on, until somebody ends all.
	r.refreshFor(r.third, offline.Refresh).oauth()
	if _, err := r.svc.EndSessions(t.Context(), bitjang.EndSessionsInput{UserID: r.user.ID, Reason: bitjang.EndedByLogoutAll}); err != nil {
		t.Fatal(err)
	}
	if last := jwtPart(t, client.told(t), 1); last["sid"] != jwtPart(t, offline.Access, 1)["sid"] {
		t.Errorf("got %v", last)
	}
	r.do("GET", "/oauth2/userinfo", nil, bearer(token)).want(401, "access_token_invalid") // it is no access token
}

// A login that is stolen takes along what clients got by it, at once; a logout
// leaves what was given for later.
func TestTheEndOfALoginTakesItsClientsAlong(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t)
	plain, offline := r.grants(r.public, "openid"), r.grants(r.public, "openid offline_access")
	r.do("POST", "/v1/logout", object{"refresh_token": r.login.refresh}).want(204)
	r.do("GET", "/oauth2/userinfo", nil, bearer(plain.Access)).want(401, "session_revoked")
	r.do("GET", "/oauth2/userinfo", nil, bearer(offline.Access)).want(200)

	r.login = r.rig.login()
	plain, offline = r.grants(r.public, "openid"), r.grants(r.public, "openid offline_access")
	first := r.login.refresh
	second := r.refresh(first).tokens()
	r.refresh(second.refresh).tokens()
	r.clock.advance(time.Minute)
	r.refresh(first).want(401, "refresh_token_reused")
	for _, tk := range []oauthTokens{plain, offline} {
		r.do("GET", "/oauth2/userinfo", nil, bearer(tk.Access)).want(401, "session_revoked")
		r.refreshFor(r.public, tk.Refresh).wantError(400, "invalid_grant", "session_revoked")
	}
}

// What nobody could end with the login ends at the client's next refresh.
func TestAClientsRefreshLooksAtTheLogin(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t)
	tk := r.grants(r.public, "openid")
	sess := r.sessionOf(r.login.access)
	sess.EndedAt, sess.EndReason = r.clock.Now(), bitjang.EndedByAdmin // as if the node had died right then
	if err := r.store.UpdateSession(t.Context(), sess, nil); err != nil {
		t.Fatal(err)
	}
	r.refreshFor(r.public, tk.Refresh).wantError(400, "invalid_grant", "session_revoked")
	r.do("GET", "/oauth2/userinfo", nil, bearer(tk.Access)).want(401, "session_revoked")
}

// A code that is in flight when the person takes back the consent gives nothing.
func TestAWithdrawnConsentStopsACodeOnItsWay(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t)
	kept := r.grants(r.third, "openid offline_access")
	g := r.authorize(r.third, "openid")
	if err := r.svc.WithdrawConsent(t.Context(), r.user.ID, r.third.ID, bitjang.Caller{}); err != nil {
		t.Fatal(err)
	}
	r.exchange(g).wantError(400, "invalid_grant")
	r.refreshFor(r.third, kept.Refresh).wantError(400, "invalid_grant", "session_revoked")
}

// A client's session is no device of the person's.
func TestAClientsDeviceIDIsNoKnownDevice(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t)
	r.grants(r.third, "openid")
	wrong := object{"identifier": alice, "password": "wrong"}
	id := header("Device-Id", "client "+r.third.ID)
	for range 5 {
		r.do("POST", "/v1/login", wrong, peer("203.0.113.7:1")).want(401, "invalid_credentials")
	}
	r.do("POST", "/v1/login", wrong, peer("203.0.113.7:1"), id).want(429, "too_many_attempts")
}

// A client that proves who it is speaks for people elsewhere: where its servers
// are says nothing about them. An app's address does.
func TestRiskJudgesAppsAndNotServers(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t, func(s *setup) {
		s.RiskRules = []bitjang.RiskRule{{Signals: []string{"network_changed"}, Action: bitjang.RiskRevoke}}
	})
	elsewhere := peer("203.0.113.9:1")
	backend, app := r.grants(r.third, "openid offline_access"), r.grants(r.public, "openid")
	r.refreshFor(r.third, backend.Refresh, elsewhere).oauth()
	r.refreshFor(r.public, app.Refresh, elsewhere).wantError(400, "invalid_grant", "session_revoked")
}

// Nothing that an embedder does moves a client's session on as if it were a login:
// its tokens are on the client's terms.
func TestAClientsSessionIsNotMovedOn(t *testing.T) {
	t.Parallel()
	r := newTokenRig(t)
	tk := r.grants(r.third, "openid")
	claims := jwtPart(t, tk.Access, 1)
	id, err := bitjang.ParseSessionID(claims["sid"].(string))
	if err != nil {
		t.Fatal(err)
	}
	sess, err := r.svc.SessionByID(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.svc.ChangePassword(t.Context(), bitjang.ChangePasswordInput{
		Identity: bitjang.Identity{Claims: &verify.Claims{ID: claims["jti"].(string)}, Session: sess},
		Current:  bitjang.NewSecret(password), New: bitjang.NewSecret("another good password"),
	})
	if !errors.Is(err, bitjang.ErrAccessToken) {
		t.Errorf("got %v, want no tokens", err)
	}
}

type mailerFunc func(bitjang.Mail)

func (f mailerFunc) Deliver(_ context.Context, m bitjang.Mail) error { f(m); return nil }

// A client that does not answer keeps nobody's mail.
func TestAMailDoesNotWaitForAClient(t *testing.T) {
	t.Parallel()
	mailed := make(chan struct{})
	r := newTokenRig(t, func(s *setup) {
		s.Backchannel = server.Backchannel{}
		s.Mailer = mailerFunc(func(m bitjang.Mail) {
			if m.Kind == bitjang.MailResetPassword {
				close(mailed)
			}
		})
	})
	asked, first := make(chan struct{}, 8), make(chan bool, 8)
	client := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		_ = q.ParseForm() // only then it is noticed that nobody waits any more
		asked <- struct{}{}
		select {
		case <-mailed:
			first <- true
		case <-q.Context().Done():
			first <- false
		}
	}))
	t.Cleanup(client.Close)
	r.third.BackchannelLogoutURI = client.URL
	if _, err := r.svc.UpdateClient(t.Context(), r.third); err != nil {
		t.Fatal(err)
	}
	go func() { _ = r.svc.Run(t.Context()) }()
	r.grants(r.third, "openid")
	r.do("POST", "/v1/logout", object{"refresh_token": r.login.refresh}).want(204)
	<-asked
	r.do("POST", "/v1/password/forgot", object{"email": alice}).want(202)
	if !<-first {
		t.Error("the mail waited for the client")
	}
}
