package server_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
)

const carol = "carol@example.com"

// aLink has the form of a link's token, for a user that does not exist.
var aLink = "bjl_" + strings.Repeat("A", 54)

// letterbox passes every mail on to the test.
type letterbox chan bitjang.Mail

func (l letterbox) Deliver(ctx context.Context, m bitjang.Mail) error {
	select {
	case l <- m:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// mailRig is a rig with alice in it whose mails arrive.
func mailRig(t *testing.T, choose ...func(*setup)) (*rig, letterbox) {
	t.Helper()
	box := make(letterbox, 100)
	r := newUserRig(t, append(choose, func(s *setup) { s.Mailer = box })...)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = r.svc.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	return r, box
}

// token waits for the next mail of a kind and returns what its link carries.
func (l letterbox) token(t *testing.T, kind bitjang.MailKind) string {
	t.Helper()
	for {
		select {
		case m := <-l:
			if m.Kind != kind {
				continue
			}
			u, err := url.Parse(m.Link.Reveal())
			if err != nil {
				t.Fatal(err)
			}
			return u.Query().Get("token") + u.Query().Get("invite")
		case <-time.After(20 * time.Second):
			t.Fatalf("no mail of kind %s", kind)
		}
	}
}

func TestVerifyingAnAddress(t *testing.T) {
	t.Parallel()
	r, box := mailRig(t)
	tk := r.login()
	r.do("POST", "/v1/email/verify/send", nil, bearer(tk.access)).want(202)
	link := box.token(t, bitjang.MailVerifyEmail)
	a := r.do("POST", "/v1/email/verify", object{"token": link}).want(200)
	if !strings.Contains(string(a.Body), `"email_verified":true`) {
		t.Errorf("got %s", a.Body)
	}
	r.do("POST", "/v1/email/verify", object{"token": link}).want(400, "link_invalid")
}

func TestANewPasswordByMail(t *testing.T) {
	t.Parallel()
	r, box := mailRig(t)
	tk := r.login()
	r.do("POST", "/v1/password/forgot", object{"email": "nobody@example.com"}).want(202)
	r.do("POST", "/v1/password/forgot", object{"email": "nonsense"}).want(400, "email_invalid")
	r.do("POST", "/v1/password/forgot", object{"email": alice}).want(202)
	link := box.token(t, bitjang.MailResetPassword)
	for code, bad := range map[string]string{
		"password_too_short": "short", "password_too_long": strings.Repeat("x", 257),
		"password_common": "password1", "password_invalid": strings.Repeat("x", 3000),
	} {
		r.do("POST", "/v1/password/reset", object{"token": link, "password": bad}).want(400, code)
	}
	r.do("POST", "/v1/password/reset", object{"token": link, "password": "seven grey geese"}).want(204)
	r.do("POST", "/v1/password/reset", object{"token": link, "password": "seven grey geese"}).want(400, "link_invalid")
	r.refresh(tk.refresh).want(401, "session_revoked")
	r.do("POST", "/v1/login", object{"identifier": alice, "password": "seven grey geese"}).want(200)
}

func TestALoginLinkIsBoundToItsBrowser(t *testing.T) {
	t.Parallel()
	r, box := mailRig(t)
	r.do("POST", "/v1/login/link", object{"email": "nonsense"}).want(400, "email_invalid")
	a := r.do("POST", "/v1/login/link", object{"email": alice}).want(202)
	device := a.cookie(deviceCookie)
	if device == nil || !device.HttpOnly || !device.Secure {
		t.Fatalf("got device cookie %v", device)
	}
	link := box.token(t, bitjang.MailLoginLink)
	use := object{"token": link, "transport": "cookie"}
	r.do("POST", "/v1/login/link/use", object{"token": link, "transport": "pigeon"}).want(400, "transport_invalid")
	r.do("POST", "/v1/login/link/use", use).want(400, "link_invalid")
	r.do("POST", "/v1/login/link/use", use, header("Device-Id", "another")).want(400, "link_invalid")
	in := r.do("POST", "/v1/login/link/use", use, header("Cookie", device.Name+"="+device.Value)).want(200)
	if in.cookie(rtCookie) == nil || in.text("access_token") != "" {
		t.Errorf("got %s and cookies %v, want the tokens in cookies alone", in.Body, in.cookies())
	}
}

func TestAnotherMailAddress(t *testing.T) {
	t.Parallel()
	r, box := mailRig(t, func(s *setup) { s.SignupDomains = []string{"example.com"} })
	tk := r.login()
	ask := func(email, pass string) *answer {
		return r.do("POST", "/v1/email", object{"email": email, "password": pass}, bearer(tk.access))
	}
	ask("nonsense", password).want(400, "email_invalid")
	ask(alice, password).want(400, "email_unchanged")
	ask(carol, "wrong").want(401, "invalid_credentials")
	ask("carol@example.org", password).want(403, "signup_domain")
	ask(carol, password).want(202)
	yes := func(kind bitjang.MailKind) *answer {
		return r.do("POST", "/v1/email/confirm", object{"token": box.token(t, kind)})
	}
	if a := yes(bitjang.MailEmailChange).want(200); !strings.Contains(string(a.Body), `"changed":false`) {
		t.Errorf("got %s after one yes", a.Body)
	}
	if a := yes(bitjang.MailEmailChangeNew).want(200); !strings.Contains(string(a.Body), `"changed":true`) {
		t.Errorf("got %s after both", a.Body)
	}
	r.do("POST", "/v1/email/confirm", object{"token": "bjl_nonsense"}).want(400, "link_invalid")
	r.do("POST", "/v1/login", object{"identifier": carol, "password": password}).want(200)

	// Somebody else may have got the new address first.
	ask("bob@example.com", password).want(202)
	yes(bitjang.MailEmailChange).want(200)
	r.addUser("bob@example.com")
	yes(bitjang.MailEmailChangeNew).want(409, "user_exists")
}

func TestThisWasNotMe(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	mine, theirs := r.login(), r.login(header("User-Agent", otherBrowser))
	r.do("POST", "/v1/sessions/"+theirs.session+"/disown", nil, bearer(mine.access)).want(204)
	r.refresh(theirs.refresh).want(401, "session_revoked")
	r.do("POST", "/v1/sessions/00000000-0000-4000-8000-000000000000/disown", nil, bearer(mine.access)).want(404, "session_not_found")
}

func TestLeavingWithOnesData(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	tk := r.login()
	a := r.do("GET", "/v1/me/export", nil, bearer(tk.access)).want(200)
	if text := string(a.Body); !strings.Contains(text, alice) || !strings.Contains(text, tk.session) || strings.Contains(text, "argon2") {
		t.Errorf("got %s", text)
	}
	if !strings.HasPrefix(a.Header.Get("Content-Disposition"), "attachment") {
		t.Errorf("got Content-Disposition %q", a.Header.Get("Content-Disposition"))
	}
	r.do("POST", "/v1/me/delete", object{"password": "wrong"}, bearer(tk.access)).want(401, "invalid_credentials")
	r.do("POST", "/v1/me/delete", object{"password": password}, bearer(tk.access)).want(202)
	r.refresh(tk.refresh).want(401, "session_revoked")
}

func TestWhoMaySignUp(t *testing.T) {
	t.Parallel()
	r, box := mailRig(t, func(s *setup) { s.Signup, s.SignupDomains = bitjang.SignupInvite, []string{"example.com"} })
	signup := func(email, invite string) *answer {
		return r.do("POST", "/v1/signup", object{"email": email, "password": "seven grey geese", "invite": invite})
	}
	signup(carol, "").want(403, "signup_invite_required")
	signup("carol@example.org", "").want(403, "signup_domain")
	if _, err := r.svc.Invite(t.Context(), carol, "en"); err != nil {
		t.Fatal(err)
	}
	signup(carol, box.token(t, bitjang.MailInvite)).want(201)
}

// TestWithoutMail walks through what needs mail on a server that sends none.
func TestWithoutMail(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	tk := r.login()
	for _, path := range []string{"/v1/password/forgot", "/v1/login/link"} {
		r.do("POST", path, object{"email": alice}).want(403, "mail_disabled")
	}
	r.do("POST", "/v1/email/verify/send", nil, bearer(tk.access)).want(403, "mail_disabled")
	r.do("POST", "/v1/email", object{"email": carol, "password": password}, bearer(tk.access)).want(403, "mail_disabled")
}
