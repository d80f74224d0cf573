package server_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/passkey"
)

// app is an authenticator app.
type app struct {
	r      *rig
	secret string
}

func (a app) code(ahead time.Duration) string {
	a.r.t.Helper()
	return totp(a.r.t, a.secret, a.r.svc.Now().Add(ahead))
}

// addApp gives the user of a session an app.
func (r *rig) addApp(tk tokens) (app, tokens) {
	r.t.Helper()
	begun := r.do("POST", "/v1/factors/totp/begin", nil, bearer(tk.access)).want(200)
	a := app{r, begun.text("secret")}
	done := r.do("POST", "/v1/factors/totp/confirm", object{"setup": begun.text("setup"), "code": a.code(0), "name": "phone", "refresh_token": tk.refresh}, bearer(tk.access)).want(200)
	r.clock.advance(time.Minute) // a code is accepted once
	return a, done.tokens()
}

func relyingParty() bitjang.Passkeys {
	rp, err := passkey.New("https://id.example.com", "Test")
	if err != nil {
		panic(err)
	}
	return rp
}

func withPasskeys(s *setup) { s.Passkeys = relyingParty() }

var loginBody = object{"identifier": alice, "password": password}

func TestASecondFactor(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	a, mine := r.addApp(r.login())

	refused := r.do("POST", "/v1/login", loginBody).want(401, "mfa_required")
	if !slices.Equal(refused.list("factors"), []string{"totp"}) {
		t.Fatalf("got factors %v", refused.list("factors"))
	}
	challenge := refused.text("challenge")
	prove := func(body object, edit ...mod) *answer {
		all := object{"challenge": challenge, "factor": "totp"}
		for k, v := range body {
			all[k] = v
		}
		return r.do("POST", "/v1/login/verify", all, edit...)
	}
	prove(object{"code": "000000"}).want(401, "code_invalid")
	prove(object{"challenge": "bjc_x", "code": "1"}).want(401, "challenge_invalid")
	prove(object{"factor": "recovery_code", "code": "1"}).want(400, "factor_invalid")
	prove(object{"transport": "pigeon"}).want(400, "transport_invalid")
	r.do("POST", "/v1/login/code", object{"challenge": challenge}).want(400, "factor_invalid")
	r.do("POST", "/v1/login/code", object{"challenge": "x"}).want(401, "challenge_invalid")
	got := prove(object{"code": a.code(0), "remember": true}).want(200)
	prove(object{"code": a.code(30 * time.Second)}).want(401, "challenge_invalid") // met once
	if claims := claimsOf(t, got.tokens().access); claims["acr"] != "aal2" {
		t.Errorf("got %v, want aal2", claims)
	}

	t.Run("is not asked for on a device that is remembered", func(t *testing.T) {
		body := object{"identifier": alice, "password": password, "remember_token": got.text("remember_token"), "device": object{"id": "d"}}
		r.do("POST", "/v1/login", body).want(401, "mfa_required") // it was no device with an id
	})
	t.Run("is listed, named and removed", func(t *testing.T) {
		var list struct{ Factors []object }
		r.do("GET", "/v1/factors", nil, bearer(mine.access)).want(200).decode(&list)
		if len(list.Factors) != 1 || list.Factors[0]["name"] != "phone" {
			t.Fatalf("got %v", list.Factors)
		}
		path := "/v1/factors/" + list.Factors[0]["id"].(string)
		if name := r.do("PATCH", path, object{"name": "old phone"}, bearer(mine.access)).want(200).text("name"); name != "old phone" {
			t.Errorf("got %q", name)
		}
		r.do("PATCH", path, object{"name": "a\x00b"}, bearer(mine.access)).want(400, "name_invalid")
		r.do("PATCH", "/v1/factors/x", object{"name": "b"}, bearer(mine.access)).want(404, "factor_not_found")
		r.do("DELETE", "/v1/factors/x", nil, bearer(mine.access)).want(404, "factor_not_found")
		codes := r.do("POST", "/v1/recovery-codes", nil, bearer(mine.access)).want(200).list("codes")
		asked := r.do("POST", "/v1/login", loginBody).want(401, "mfa_required")
		used := object{"challenge": asked.text("challenge"), "factor": "recovery_code", "code": codes[3]}
		r.do("POST", "/v1/login/verify", used).want(200)
		asked = r.do("POST", "/v1/login", loginBody).want(401, "mfa_required")
		used["challenge"] = asked.text("challenge")
		r.do("POST", "/v1/login/verify", used).want(401, "code_invalid")
		r.do("DELETE", path, nil, bearer(mine.access)).want(204)
		r.do("POST", "/v1/recovery-codes", nil, bearer(mine.access)).want(403, "factor_missing")
		r.login()
	})
}

func TestADeviceCanBeRemembered(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	a, _ := r.addApp(r.login())
	browser := object{"identifier": alice, "password": password, "transport": "cookie"}
	asked := r.do("POST", "/v1/login", browser).want(401, "mfa_required")
	device := cookies(asked.cookie(deviceCookie))
	proof := object{"challenge": asked.text("challenge"), "factor": "totp", "code": a.code(0), "remember": true, "transport": "cookie"}
	r.do("POST", "/v1/login/verify", proof).want(401, "challenge_invalid") // from another browser
	in := r.do("POST", "/v1/login/verify", proof, device).want(200)
	remembered := in.cookie("__Host-bitjang_remembered")
	r.do("POST", "/v1/login", browser, cookies(asked.cookie(deviceCookie), remembered)).want(200)
	r.do("POST", "/v1/login", browser, cookies(remembered)).want(401, "mfa_required")
	r.do("POST", "/v1/login", browser, device).want(401, "mfa_required")
}

func TestFactorsNeedAFreshProof(t *testing.T) {
	t.Parallel()
	r := newUserRig(t, withPasskeys)
	tk := r.login()
	r.do("POST", "/v1/factors/totp/confirm", object{"setup": "bjs_x", "code": "1"}, bearer(tk.access)).want(400, "setup_invalid")
	r.do("POST", "/v1/factors/passkey/confirm", object{"setup": "bjs_x"}, bearer(tk.access)).want(400, "setup_invalid")
	begun := r.do("POST", "/v1/factors/totp/begin", nil, bearer(tk.access)).want(200)
	confirm := object{"setup": begun.text("setup"), "code": "000000"}
	r.do("POST", "/v1/factors/totp/confirm", confirm, bearer(tk.access)).want(401, "code_invalid")
	confirm["name"] = "a\x00b"
	confirm["code"] = app{r, begun.text("secret")}.code(0)
	r.do("POST", "/v1/factors/totp/confirm", confirm, bearer(tk.access)).want(400, "name_invalid")
	key := r.do("POST", "/v1/factors/passkey/begin", nil, bearer(tk.access)).want(200)
	r.do("POST", "/v1/factors/passkey/confirm", object{"setup": key.text("setup"), "credential": object{}}, bearer(tk.access)).want(401, "code_invalid")
	r.do("POST", "/v1/factors/passkey/confirm", object{"setup": key.text("setup"), "name": "a\x00b"}, bearer(tk.access)).want(400, "name_invalid")

	r.clock.advance(9*time.Minute + 59*time.Second)
	tk = r.refresh(tk.refresh).tokens()
	r.clock.advance(2 * time.Second)
	for _, a := range []*answer{
		r.do("POST", "/v1/factors/totp/begin", nil, bearer(tk.access)), r.do("POST", "/v1/factors/passkey/begin", nil, bearer(tk.access)),
		r.do("POST", "/v1/factors/totp/confirm", confirm, bearer(tk.access)), r.do("POST", "/v1/factors/passkey/confirm", confirm, bearer(tk.access)),
		r.do("POST", "/v1/recovery-codes", nil, bearer(tk.access)), r.do("DELETE", "/v1/factors/x", nil, bearer(tk.access)),
	} {
		a.want(403, "fresh_authentication_required")
		if a.text("step_up_url") != "https://id.example.com/login/step-up" || !slices.Equal(a.list("factors"), []string{"password"}) {
			t.Errorf("got %s", a.Body)
		}
	}
	asked := r.do("POST", "/v1/factors/totp/begin", nil, bearer(tk.access))
	proof := object{"challenge": asked.text("challenge"), "factor": "password", "code": password, "refresh_token": tk.refresh}
	fresh := r.do("POST", "/v1/login/verify", proof).want(200).tokens()
	r.addApp(fresh)
}

func TestALoginLinkWantsTheSecondFactorToo(t *testing.T) {
	t.Parallel()
	r, box := mailRig(t)
	a, _ := r.addApp(r.login())
	device := header("Device-Id", "laptop")
	r.do("POST", "/v1/login/link", object{"email": alice}, device).want(202)
	asked := r.do("POST", "/v1/login/link/use", object{"token": box.token(t, bitjang.MailLoginLink)}, device).want(401, "mfa_required")
	r.do("POST", "/v1/login/verify", object{"challenge": asked.text("challenge"), "factor": "totp", "code": a.code(0)}, device).want(200)
}

func TestStepUp(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	tk := r.login()
	up := func(body object) *answer { return r.do("POST", "/v1/step-up", body, bearer(tk.access)) }
	up(nil).want(204)
	up(object{"max_age": 60}).want(204)
	up(object{"acr": "aal9"}).want(400, "acr_invalid")
	up(object{"acr": "aal2"}).want(403, "factor_missing")
	r.clock.advance(time.Second)
	asked := up(object{"max_age": 0}).want(200)
	proof := object{"challenge": asked.text("challenge"), "factor": "password", "code": password, "refresh_token": tk.refresh}
	before := claimsOf(t, tk.access)["auth_time"].(float64)
	tk = r.do("POST", "/v1/login/verify", proof).want(200).tokens()
	if after := claimsOf(t, tk.access)["auth_time"].(float64); after <= before {
		t.Errorf("got auth_time %v after %v", after, before)
	}
}

// TestAHeldSessionGoesOn has the owner of a session answer for it.
func TestAHeldSessionGoesOn(t *testing.T) {
	t.Parallel()
	r, box := mailRig(t, func(s *setup) { s.OnReuse = bitjang.HoldOnReuse })
	old := r.login()
	now := r.refresh(r.refresh(old.refresh).tokens().refresh).tokens()
	r.clock.advance(time.Minute)
	r.refresh(old.refresh).want(403, "step_up_required")
	held := r.refresh(now.refresh).want(403, "step_up_required")
	if held.text("held_for") != "refresh_token_reuse" || !slices.Equal(held.list("factors"), []string{"email"}) {
		t.Fatalf("got %s", held.Body)
	}
	challenge := held.text("challenge")
	r.do("POST", "/v1/login/code", object{"challenge": challenge}).want(202)
	code := box.code(t)
	r.do("POST", "/v1/login/verify", object{"challenge": challenge, "factor": "email", "code": "000000"}).want(401, "code_invalid")
	on := r.do("POST", "/v1/login/verify", object{"challenge": challenge, "factor": "email", "code": code, "refresh_token": now.refresh}).want(200).tokens()
	if on.session != old.session {
		t.Errorf("got session %s, want %s to go on", on.session, old.session)
	}
	r.do("GET", "/v1/me", nil, bearer(on.access)).want(200)
	r.refresh(r.refresh(on.refresh).want(200).tokens().refresh).want(200)
	r.clock.advance(time.Minute)
	r.refresh(now.refresh).want(403, "step_up_required") // the older token is theft again
}

func TestTooManyWrongCodes(t *testing.T) {
	t.Parallel()
	r, _ := mailRig(t, func(s *setup) { s.OnReuse = bitjang.HoldOnReuse })
	old := r.login()
	r.refresh(r.refresh(old.refresh).tokens().refresh)
	r.clock.advance(time.Minute)
	challenge := r.refresh(old.refresh).want(403, "step_up_required").text("challenge")
	for range 5 {
		r.do("POST", "/v1/login/verify", object{"challenge": challenge, "factor": "email", "code": "000000"}).want(401, "code_invalid")
	}
	r.do("POST", "/v1/login/verify", object{"challenge": challenge, "factor": "email", "code": "000000"}).want(429, "too_many_attempts")
	for range 10 {
		if a := r.do("POST", "/v1/login/code", object{"challenge": challenge}); a.Status == 429 {
			a.want(429, "too_many_attempts")
			return
		}
	}
	t.Error("mails without end")
}

func TestWhoMustHaveAFactorGetsOne(t *testing.T) {
	t.Parallel()
	r, _ := mailRig(t, func(s *setup) { s.RequireFactor, s.NoMailCode = []string{bitjang.RequireEveryone}, true })
	asked := r.do("POST", "/v1/login", loginBody).want(401, "mfa_required")
	var body struct {
		Setup struct{ Secret, URI string }
	}
	asked.decode(&body)
	if !strings.HasPrefix(body.Setup.URI, "otpauth://totp/") {
		t.Fatalf("got %s", asked.Body)
	}
	a := app{r, body.Setup.Secret}
	r.do("POST", "/v1/login/verify", object{"challenge": asked.text("challenge"), "factor": "totp", "code": a.code(0)}).want(200)
}

func TestPasskeysNeedTheirLibrary(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	me := bearer(r.login().access)
	r.do("POST", "/v1/login/passkey", nil).want(403, "passkeys_disabled")
	r.do("POST", "/v1/factors/passkey/begin", nil, me).want(403, "passkeys_disabled")
	r.do("POST", "/v1/factors/passkey/confirm", object{"setup": "x"}, me).want(403, "passkeys_disabled")

	r = newUserRig(t, withPasskeys)
	begun := r.do("POST", "/v1/login/passkey", nil).want(200)
	answer := object{"challenge": begun.text("challenge"), "factor": "passkey", "credential": object{}}
	r.do("POST", "/v1/login/verify", answer).want(401, "code_invalid")
}

// totp is RFC 6238 written again, so that the server's own is not checked by itself.
func totp(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha1.New, key)
	_ = binary.Write(mac, binary.BigEndian, at.Unix()/30)
	sum := mac.Sum(nil)
	from := sum[19] & 15
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(sum[from:from+4])&0x7fffffff)%1_000_000)
}

// list is a member that is a list of texts.
func (a *answer) list(name string) (texts []string) {
	var body map[string]json.RawMessage
	a.decode(&body)
	if err := json.Unmarshal(body[name], &texts); err != nil {
		a.t.Fatalf("%s: %v in %s", name, err, a.Body)
	}
	return texts
}

func claimsOf(t *testing.T, access string) (claims object) {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(access, ".")[1])
	if err == nil {
		err = json.Unmarshal(raw, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

// code waits for the code in a mail.
func (l letterbox) code(t *testing.T) string {
	t.Helper()
	for {
		select {
		case m := <-l:
			if m.Kind == bitjang.MailCode {
				return m.Code.Reveal()
			}
		case <-time.After(20 * time.Second):
			t.Fatal("no mail with a code")
		}
	}
}
