package server_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"

	"github.com/bitjang/bitjang"
)

const bob = "bob@example.com"

// authenticator is a device with one passkey, made and used over HTTP. site is
// the page that the browser believes to be on.
type authenticator struct {
	virtualwebauthn.Authenticator
	t         *testing.T
	key       virtualwebauthn.Credential
	site      virtualwebauthn.RelyingParty
	countless bool // as passkeys are that several devices share
}

func newAuthenticator(t *testing.T) *authenticator {
	return &authenticator{
		Authenticator: virtualwebauthn.NewAuthenticator(), t: t, key: newKey(),
		site: virtualwebauthn.RelyingParty{ID: "id.example.com", Name: "Test", Origin: "https://id.example.com"},
	}
}

// newKey is a key whose coordinates begin with no zero: the library drops those,
// and one key in 128 would be refused for it.
func newKey() virtualwebauthn.Credential {
	const whole = 77 // bytes of a P-256 key in COSE
	for {
		if c := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2); len(c.Key.AttestationData()) == whole {
			return c
		}
	}
}

// create answers POST /v1/factors/passkey/begin.
func (d *authenticator) create(begun *answer) object {
	d.t.Helper()
	var body struct {
		Setup   string
		Options json.RawMessage
	}
	begun.want(200).decode(&body)
	options, err := virtualwebauthn.ParseAttestationOptions(string(body.Options))
	if err != nil {
		d.t.Fatal(err)
	}
	made := virtualwebauthn.CreateAttestationResponse(d.site, d.Authenticator, d.key, *options)
	return object{"setup": body.Setup, "name": "security key", "credential": json.RawMessage(made)}
}

// get answers whatever asks for a passkey, with a counter that has gone on if it
// has one.
func (d *authenticator) get(asked *answer) object {
	d.t.Helper()
	var body struct {
		Challenge string
		Passkey   json.RawMessage
	}
	asked.decode(&body)
	options, err := virtualwebauthn.ParseAssertionOptions(string(body.Passkey))
	if err != nil {
		d.t.Fatalf("%v in %s", err, asked.Body)
	}
	if !d.countless {
		d.key.Counter++
	}
	made := virtualwebauthn.CreateAssertionResponse(d.site, d.Authenticator, d.key, *options)
	return object{"challenge": body.Challenge, "factor": "passkey", "credential": json.RawMessage(made)}
}

// addPasskey gives the user of a session a passkey.
func (r *rig) addPasskey(tk tokens) (*authenticator, tokens) {
	r.t.Helper()
	d := newAuthenticator(r.t)
	body := d.create(r.beginPasskey(tk))
	body["refresh_token"] = tk.refresh
	tk = r.do("POST", "/v1/factors/passkey/confirm", body, bearer(tk.access)).want(200).tokens()
	d.Options.UserHandle = []byte(claimsOf(r.t, tk.access)["sub"].(string))
	d.AddCredential(d.key)
	return d, tk
}

func (r *rig) beginPasskey(tk tokens) *answer {
	r.t.Helper()
	return r.do("POST", "/v1/factors/passkey/begin", nil, bearer(tk.access)).want(200)
}

// askedSecond logs alice in with her password, which asks for more; askedAlone
// begins a login with a passkey and nothing else.
func (r *rig) askedSecond() *answer {
	r.t.Helper()
	return r.do("POST", "/v1/login", loginBody).want(401, "mfa_required")
}

func (r *rig) askedAlone() *answer {
	r.t.Helper()
	return r.do("POST", "/v1/login/passkey", nil).want(200)
}

func (r *rig) verify(body object, mods ...mod) *answer {
	r.t.Helper()
	return r.do("POST", "/v1/login/verify", body, mods...)
}

func TestAPasskeyIsASecondFactorAndALoginOfItsOwn(t *testing.T) {
	t.Parallel()
	r := newUserRig(t, withPasskeys)
	d, mine := r.addPasskey(r.login())

	var list struct{ Factors []object }
	r.do("GET", "/v1/factors", nil, bearer(mine.access)).want(200).decode(&list)
	if len(list.Factors) != 1 || list.Factors[0]["kind"] != "passkey" || list.Factors[0]["name"] != "security key" {
		t.Errorf("got %v", list.Factors)
	}
	asked := r.askedSecond()
	if !slices.Equal(asked.list("factors"), []string{"passkey"}) {
		t.Errorf("got factors %v", asked.list("factors"))
	}
	for name, a := range map[string]*answer{
		"enrolled": r.refresh(mine.refresh), "second": r.verify(d.get(asked)), "alone": r.verify(d.get(r.askedAlone())),
	} {
		claims := claimsOf(t, a.want(200).tokens().access)
		if claims["acr"] != "aal2" || claims["sub"] != string(d.Options.UserHandle) {
			t.Errorf("%s: got %v, want aal2 for the owner", name, claims)
		}
	}
}

func TestAPasskeyStepsUp(t *testing.T) {
	t.Parallel()
	r := newUserRig(t, withPasskeys)
	d, tk := r.addPasskey(r.login())
	r.clock.advance(time.Minute)
	body := d.get(r.do("POST", "/v1/step-up", object{"max_age": 10}, bearer(tk.access)).want(200))
	body["refresh_token"] = tk.refresh
	r.verify(body, agent(otherBrowser)).want(401, "challenge_invalid") // not the session's device
	if next := r.verify(body).want(200).tokens(); next.session != tk.session {
		t.Errorf("got session %s, want %s to go on", next.session, tk.session)
	}
}

// TestAPasskeysAnswerIsGoodOnce: what was overheard opens nothing.
func TestAPasskeysAnswerIsGoodOnce(t *testing.T) {
	t.Parallel()
	r := newUserRig(t, withPasskeys)
	d, _ := r.addPasskey(r.login())
	d.countless = true // or a counter alone would find out
	for name, ask := range map[string]func() *answer{"second": r.askedSecond, "alone": r.askedAlone} {
		body := d.get(ask())
		r.verify(body).want(200)
		r.verify(body).want(401, "challenge_invalid")
		body["challenge"] = ask().text("challenge")
		if a := r.verify(body); a.Status != 401 || a.text("code") != "code_invalid" {
			t.Errorf("%s: the answer to another challenge: got %d %s", name, a.Status, a.Body)
		}
		// The same challenge with a fresh answer: met is met.
		asked := ask()
		r.verify(d.get(asked)).want(200)
		r.verify(d.get(asked)).want(401, "challenge_invalid")
	}
	asked := r.askedAlone()
	r.verify(d.get(asked), agent(otherBrowser)).want(401, "challenge_invalid") // begun on another device
	r.clock.advance(time.Hour)
	r.verify(d.get(asked)).want(401, "challenge_invalid")
}

// TestAPasskeyOfAnotherPage: a page that imitates this one gets nothing that
// would be accepted here.
func TestAPasskeyOfAnotherPage(t *testing.T) {
	t.Parallel()
	r := newUserRig(t, withPasskeys)
	d, tk := r.addPasskey(r.login())
	right := d.site
	for name, site := range map[string]virtualwebauthn.RelyingParty{
		"another origin":           {ID: right.ID, Origin: "https://evil.example"},
		"an origin that begins so": {ID: right.ID, Origin: "https://id.example.com.evil.example"},
		"without TLS":              {ID: right.ID, Origin: "http://id.example.com"},
		"another port":             {ID: right.ID, Origin: "https://id.example.com:8443"},
		"another relying party":    {ID: "evil.example", Origin: right.Origin},
	} {
		t.Run(name, func(t *testing.T) {
			d.site = site
			r.verify(d.get(r.askedSecond())).want(401, "code_invalid")
			r.verify(d.get(r.askedAlone())).want(401, "code_invalid")
			other := newAuthenticator(t)
			other.site = site
			r.do("POST", "/v1/factors/passkey/confirm", other.create(r.beginPasskey(tk)), bearer(tk.access)).want(401, "code_invalid")
		})
	}
	d.site = right
	r.verify(d.get(r.askedSecond())).want(200)
}

// TestACopiedPasskeyIsNoticed: the counter of one of two copies is behind.
func TestACopiedPasskeyIsNoticed(t *testing.T) {
	t.Parallel()
	r := newUserRig(t, withPasskeys)
	d, tk := r.addPasskey(r.login())
	d.key.Counter = 10
	r.verify(d.get(r.askedSecond())).want(200)
	for _, ask := range []func() *answer{r.askedSecond, r.askedAlone} {
		d.key.Counter = 10 // 11 once more
		r.verify(d.get(ask())).want(401, "code_invalid")
		d.key.Counter = 3
		r.verify(d.get(ask())).want(401, "code_invalid")
	}
	var page struct{ Events []struct{ Type string } }
	r.do("GET", "/v1/activity", nil, bearer(tk.access)).want(200).decode(&page)
	n := 0
	for _, e := range page.Events {
		if e.Type == string(bitjang.EventPasskeyCloned) {
			n++
		}
	}
	if n != 4 {
		t.Errorf("got %d events %s, want 4, in %v", n, bitjang.EventPasskeyCloned, page.Events)
	}
}

// TestAPasskeyOpensItsOwnersAccountOnly: neither another's session nor another's
// key, whatever it says of itself.
func TestAPasskeyOpensItsOwnersAccountOnly(t *testing.T) {
	t.Parallel()
	r := newUserRig(t, withPasskeys)
	r.addUser(bob)
	mine, tk := r.addPasskey(r.login())
	bobs := r.do("POST", "/v1/login", object{"identifier": bob, "password": password}).tokens()

	// What one session asked for another one cannot finish.
	r.do("POST", "/v1/factors/passkey/confirm", newAuthenticator(t).create(r.beginPasskey(tk)), bearer(bobs.access)).want(400, "setup_invalid")

	his, _ := r.addPasskey(bobs)
	r.verify(his.get(r.askedSecond())).want(401, "code_invalid")
	// Names her, signs with his key.
	his.Options.UserHandle = mine.Options.UserHandle
	r.verify(his.get(r.askedSecond())).want(401, "code_invalid")
	r.verify(his.get(r.askedAlone())).want(401, "code_invalid")
	// And calls it hers.
	own := his.key.ID
	his.key.ID = mine.key.ID
	r.verify(his.get(r.askedSecond())).want(401, "code_invalid")
	r.verify(his.get(r.askedAlone())).want(401, "code_invalid")
	// Of nobody.
	his.key.ID, his.Options.UserHandle = own, nil
	r.verify(his.get(r.askedAlone())).want(401, "code_invalid")
	// His own account it opens.
	his.Options.UserHandle = []byte(claimsOf(t, bobs.access)["sub"].(string))
	r.verify(his.get(r.askedAlone())).want(200)
}

// TestAPasskeyAloneKnowsItsUser: whoever finds a key that asks for no finger has
// one factor and not two.
func TestAPasskeyAloneKnowsItsUser(t *testing.T) {
	t.Parallel()
	r := newUserRig(t, withPasskeys)
	d, _ := r.addPasskey(r.login())
	d.Options.UserNotVerified = true
	r.verify(d.get(r.askedAlone())).want(401, "code_invalid")
	r.verify(d.get(r.askedSecond())).want(200) // beside the password it is the second
	d.Options.UserNotVerified, d.Options.UserNotPresent = false, true
	r.verify(d.get(r.askedAlone())).want(401, "code_invalid")
	r.verify(d.get(r.askedSecond())).want(401, "code_invalid")
}

func TestAPasskeyIsEnrolledOnceAndForItsChallenge(t *testing.T) {
	t.Parallel()
	r := newUserRig(t, withPasskeys)
	tk := r.login()
	confirm := func(body object) *answer {
		return r.do("POST", "/v1/factors/passkey/confirm", body, bearer(tk.access))
	}
	d := newAuthenticator(t)
	first, second := d.create(r.beginPasskey(tk)), d.create(r.beginPasskey(tk))
	confirm(object{"setup": first["setup"], "credential": second["credential"]}).want(401, "code_invalid")
	late := d.create(r.beginPasskey(tk))
	tk = confirm(first).want(200).tokens()
	confirm(second).want(401, "code_invalid") // the account has it already
	r.clock.advance(9 * time.Minute)
	tk = r.refresh(tk.refresh).tokens()
	r.clock.advance(50 * time.Second)
	tk = confirm(newAuthenticator(t).create(r.beginPasskey(tk))).want(200).tokens()
	r.clock.advance(20*time.Minute + 10*time.Second)
	tk = r.refresh(tk.refresh).tokens()
	confirm(late).want(403, "fresh_authentication_required")
}

func TestAPasskeyThatIsRemovedOpensNothing(t *testing.T) {
	t.Parallel()
	r := newUserRig(t, withPasskeys)
	d, tk := r.addPasskey(r.login())
	a, tk := r.addApp(tk)
	second, alone := r.askedSecond(), r.askedAlone()
	var list struct {
		Factors []struct{ ID, Kind string }
	}
	r.do("GET", "/v1/factors", nil, bearer(tk.access)).want(200).decode(&list)
	for _, f := range list.Factors {
		if f.Kind == "passkey" {
			r.do("DELETE", "/v1/factors/"+f.ID, nil, bearer(tk.access)).want(204)
		}
	}
	r.verify(d.get(second)).want(401)
	r.verify(d.get(alone)).want(401, "code_invalid")
	r.verify(object{"challenge": r.askedSecond().text("challenge"), "factor": "totp", "code": a.code(0)}).want(200)
}
