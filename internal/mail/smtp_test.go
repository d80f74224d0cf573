package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bitjang/bitjang"
)

const password = "correct horse+battery"

func newSMTP(t *testing.T, address string, config *tls.Config) *SMTP {
	t.Helper()
	s, err := NewSMTP(address, "Acme 로그인 <no-reply@acme.example>", example(t))
	if err != nil {
		t.Fatal(err)
	}
	s.tlsConfig = config
	return s
}

func TestEveryMailArrivesWhole(t *testing.T) {
	b := &backend{}
	server, client := certificate(t)
	s := newSMTP(t, "smtp://"+serve(t, b, server, false)+"?tls=required", client)
	for _, kind := range bitjang.MailKinds {
		for _, language := range []string{"en", "ko"} {
			m := full(kind, language)
			if err := s.Deliver(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			taken := b.taken()
			got := taken[len(taken)-1]
			if got.from != "no-reply@acme.example" || got.to != m.To || !got.tls || got.utf8 {
				t.Errorf("%s: got %s to %s, TLS %t, SMTPUTF8 %t", kind, got.from, got.to, got.tls, got.utf8)
			}
			checkMessage(t, got.data, m, render(t, example(t), m))
		}
	}
}

func checkMessage(t *testing.T, data string, m bitjang.Mail, want Message) {
	t.Helper()
	msg, err := netmail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject"))
	if err != nil || subject != want.Subject {
		t.Errorf("got the subject %q, %v, want %q", subject, err, want.Subject)
	}
	from, err := msg.Header.AddressList("From")
	if err != nil || len(from) != 1 || from[0].Name != "Acme 로그인" || from[0].Address != "no-reply@acme.example" {
		t.Errorf("got the sender %v, %v", from, err)
	}
	if date, err := msg.Header.Date(); err != nil || time.Since(date).Abs() > time.Minute {
		t.Errorf("got the date %v, %v", date, err)
	}
	for name, want := range map[string]string{
		"To": "<" + m.To + ">", "Message-Id": "<" + m.ID + "@acme.example>", "Auto-Submitted": "auto-generated",
		"X-Auto-Response-Suppress": "All", "Content-Language": m.Language, "Mime-Version": "1.0", "User-Agent": "", "X-Mailer": "", "Bcc": "",
	} {
		if got := msg.Header.Get(name); got != want {
			t.Errorf("got %s: %q, want %q", name, got, want)
		}
	}
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("got %s, %v, want multipart/alternative", kind, err)
	}
	parts := multipart.NewReader(msg.Body, params["boundary"])
	for _, want := range []struct{ kind, body string }{{"text/plain", want.Text}, {"text/html", want.HTML}} {
		part, err := parts.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		kind, params, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		if err != nil || kind != want.kind || !strings.EqualFold(params["charset"], "utf-8") || part.Header.Get("Content-Transfer-Encoding") != "quoted-printable" {
			t.Errorf("got a part %v, %v, want %s", part.Header, err, want.kind)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(part))
		if got := strings.ReplaceAll(string(body), "\r\n", "\n"); err != nil || got != want.body {
			t.Errorf("%s: got %q, %v, want %q", want.kind, got, err, want.body)
		}
	}
	if _, err := parts.NextRawPart(); !errors.Is(err, io.EOF) {
		t.Errorf("after the parts: got %v, want EOF", err)
	}
}

func TestConnections(t *testing.T) {
	server, trusting := certificate(t)
	login := "mailer:" + strings.ReplaceAll(password, " ", "%20") + "@"
	for _, tt := range []struct {
		name     string
		format   string // of the address, HOST being host and port
		implicit bool
		server   *tls.Config
		client   *tls.Config
		password string
		ok, tls  bool
		logins   []string
	}{
		{name: "implicit TLS", format: "smtps://HOST", implicit: true, server: server, client: trusting, ok: true, tls: true},
		{name: "implicit TLS and a login", format: "smtps://" + login + "HOST", implicit: true, server: server, client: trusting, password: password, ok: true, tls: true, logins: []string{"mailer:" + password + " over TLS"}},
		{name: "implicit TLS with a certificate that nobody signed", format: "smtps://" + login + "HOST", implicit: true, server: server, password: password},
		{name: "required STARTTLS", format: "smtp://HOST?tls=required", server: server, client: trusting, ok: true, tls: true},
		{name: "required STARTTLS and a login", format: "smtp://" + login + "HOST?tls=required", server: server, client: trusting, password: password, ok: true, tls: true, logins: []string{"mailer:" + password + " over TLS"}},
		{name: "required STARTTLS that is not offered", format: "smtp://HOST?tls=required"},
		{name: "required STARTTLS that is not offered, and a login", format: "smtp://" + login + "HOST?tls=required", password: password},
		{name: "required STARTTLS with a certificate that nobody signed", format: "smtp://" + login + "HOST?tls=required", server: server, password: password},
		{name: "this machine, by default with TLS if offered, whoever signed", format: "smtp://HOST", server: server, ok: true, tls: true},
		{name: "this machine, by default without TLS if not", format: "smtp://HOST", ok: true},
		{name: "this machine, a login without TLS", format: "smtp://" + login + "HOST", password: password, ok: true, logins: []string{"mailer:" + password}},
		{name: "no TLS although offered", format: "smtp://HOST?tls=off", server: server, ok: true},
		{name: "a login that the server does not know", format: "smtp://" + login + "HOST", ok: false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &backend{password: tt.password}
			s := newSMTP(t, strings.Replace(tt.format, "HOST", serve(t, b, tt.server, tt.implicit), 1), tt.client)
			for i, err := range []error{s.Check(t.Context()), s.Deliver(t.Context(), full(bitjang.MailVerifyEmail, "ko"))} {
				if (err == nil) != tt.ok || errors.Is(err, bitjang.ErrUndeliverable) {
					t.Errorf("try %d: got %v, want success: %t", i, err, tt.ok)
				}
				if err != nil && strings.Contains(err.Error(), password) {
					t.Errorf("try %d: %v tells the password", i, err)
				}
			}
			taken := b.taken()
			if (len(taken) == 1) != tt.ok || (tt.ok && taken[0].tls != tt.tls) {
				t.Errorf("got %d mails, the first: %+v", len(taken), taken[:min(1, len(taken))])
			}
			// Both Check and Deliver log in.
			if got := b.tried(); !slices.Equal(got, append(tt.logins, tt.logins...)) {
				t.Errorf("got the logins %q, want %q twice", got, tt.logins)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	refuse := func(code int) *smtp.SMTPError {
		return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: "no"}
	}
	for _, tt := range []struct {
		name  string
		b     *backend
		final bool
	}{
		{"550 of the recipient is final", &backend{refuseTo: refuse(550)}, true},
		{"553 of the recipient is final", &backend{refuseTo: refuse(553)}, true},
		{"451 of the recipient is not", &backend{refuseTo: refuse(451)}, false},
		{"530 of the recipient wants a login", &backend{refuseTo: refuse(530)}, false},
		{"554 of the message is final", &backend{refuseData: refuse(554)}, true},
		{"452 of the message is not", &backend{refuseData: refuse(452)}, false},
		{"550 of the sender is ours to mend", &backend{refuseFrom: refuse(550)}, false},
		{"a missing login is ours to mend", &backend{password: "x"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSMTP(t, "smtp://"+serve(t, tt.b, nil, false), nil)
			err := s.Deliver(t.Context(), full(bitjang.MailVerifyEmail, "en"))
			if err == nil || errors.Is(err, bitjang.ErrUndeliverable) != tt.final {
				t.Errorf("got %v, want final: %t", err, tt.final)
			}
		})
	}
}

func TestWrongPasswordIsNeitherFinalNorTold(t *testing.T) {
	wrong := "wr0ng-secret"
	b := &backend{password: password}
	s := newSMTP(t, "smtp://mailer:"+wrong+"@"+serve(t, b, nil, false), nil)
	for _, err := range []error{s.Check(t.Context()), s.Deliver(t.Context(), full(bitjang.MailVerifyEmail, "en"))} {
		if err == nil || errors.Is(err, bitjang.ErrUndeliverable) || !strings.Contains(err.Error(), "no REDACTED here") || strings.Contains(fmt.Sprintf("%+v %#v", err, err), wrong) {
			t.Errorf("got %v", err)
		}
	}
	if got := fmt.Sprintf("%v %+v %#v", s, s, *s); strings.Contains(got, wrong) {
		t.Errorf("an SMTP prints as %s", got)
	}
}

func TestPasswordRepeatedInBase64IsNotTold(t *testing.T) {
	echo := "535 AG1haWxlcgBodW50ZXIyMg== or aHVudGVyMjI="
	address, _ := script(t, map[string]string{"EHLO": "250-script\r\n250 AUTH PLAIN", "AUTH": echo})
	err := newSMTP(t, "smtp://mailer:hunter22@"+address, nil).Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), "REDACTED or REDACTED") {
		t.Errorf("got %v", err)
	}
}

func TestRedactedRefusalIsStillFinal(t *testing.T) {
	address, _ := script(t, map[string]string{"EHLO": "250-script\r\n250 AUTH PLAIN", "AUTH": "235 ok", "RCPT": "550 not for hunter22"})
	err := newSMTP(t, "smtp://mailer:hunter22@"+address, nil).Deliver(t.Context(), full(bitjang.MailVerifyEmail, "en"))
	if err == nil || !errors.Is(err, bitjang.ErrUndeliverable) || strings.Contains(err.Error(), "hunter22") {
		t.Errorf("got %v", err)
	}
}

func TestNothingIsSaidWithoutRequiredTLS(t *testing.T) {
	address, commands := script(t, map[string]string{"EHLO": "250-script\r\n250 AUTH PLAIN LOGIN CRAM-MD5"})
	s := newSMTP(t, "smtp://mailer:hunter22@"+address+"?tls=required", nil)
	if err := s.Deliver(t.Context(), full(bitjang.MailVerifyEmail, "en")); err == nil {
		t.Error("got no error")
	}
	for _, c := range commands() {
		if !strings.HasPrefix(c, "EHLO ") && c != "QUIT" {
			t.Errorf("the server heard %q", c)
		}
	}
}

func TestHangingServersAreLeft(t *testing.T) {
	for _, at := range []string{"", "EHLO", "MAIL", "DATA", "."} {
		t.Run("at "+at, func(t *testing.T) {
			address, _ := script(t, map[string]string{at: "hang"})
			for _, scheme := range []string{"smtp://", "smtps://"} {
				s := newSMTP(t, scheme+address, nil)
				ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				started := time.Now()
				err := s.Deliver(ctx, full(bitjang.MailVerifyEmail, "en"))
				cancel()
				if err == nil || errors.Is(err, bitjang.ErrUndeliverable) || time.Since(started) > 10*time.Second {
					t.Errorf("%s: got %v after %v", scheme, err, time.Since(started))
				}
				if scheme == "smtp://" && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v, want the deadline in it", err)
				}
			}
		})
	}
}

func TestNetworkErrorsAreNotFinal(t *testing.T) {
	for _, at := range []string{"", "EHLO", "RCPT", "DATA", "."} {
		address, _ := script(t, map[string]string{at: "close"})
		if err := newSMTP(t, "smtp://"+address, nil).Deliver(t.Context(), full(bitjang.MailVerifyEmail, "en")); err == nil || errors.Is(err, bitjang.ErrUndeliverable) {
			t.Errorf("closed at %q: got %v", at, err)
		}
	}
	if err := newSMTP(t, "smtp://127.0.0.1:1", nil).Check(t.Context()); err == nil {
		t.Error("nobody there: got no error")
	}
}

func TestAMailThatWasTakenIsNotSentAgain(t *testing.T) {
	for _, at := range []string{"RSET", "QUIT"} {
		for _, answer := range []string{"close", "550 no", "421 bye"} {
			address, _ := script(t, map[string]string{at: answer})
			if err := newSMTP(t, "smtp://"+address, nil).Deliver(t.Context(), full(bitjang.MailVerifyEmail, "en")); err != nil {
				t.Errorf("%s after %s: got %v, want none: the server has the mail", answer, at, err)
			}
		}
	}
}

func TestRecipients(t *testing.T) {
	b := &backend{}
	s := newSMTP(t, "smtp://"+serve(t, b, nil, false), nil)
	for _, to := range []string{"", "nobody", "a@example.com, b@example.com", "a@example.com\r\nBcc: b@example.com", "Eve <eve@example.com>", "<a@example.com>\r\nRCPT TO:<b@example.com>"} {
		m := full(bitjang.MailVerifyEmail, "en")
		m.To = to
		if err := s.Deliver(t.Context(), m); !errors.Is(err, bitjang.ErrUndeliverable) {
			t.Errorf("%q: got %v, want ErrUndeliverable", to, err)
		}
	}
	m := full(bitjang.MailVerifyEmail, "en")
	m.To = "민지@example.com"
	if err := s.Deliver(t.Context(), m); err != nil {
		t.Error(err)
	}
	if got := b.taken(); len(got) != 1 || got[0].to != m.To || !got[0].utf8 {
		t.Errorf("got %+v, want one mail to %s with SMTPUTF8", got, m.To)
	}
}

// TestConnectionsDoNotStayOpen hears the server's end of a failed login.
func TestConnectionsDoNotStayOpen(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ended := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			ended <- err
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "220 hello\r\n250 no STARTTLS here\r\n")
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		_, err = io.Copy(io.Discard, conn)
		ended <- err
	}()
	if err := newSMTP(t, "smtp://"+l.Addr().String()+"?tls=required", nil).Check(t.Context()); err == nil {
		t.Error("got no error")
	}
	if err := <-ended; err != nil && strings.Contains(err.Error(), "timeout") {
		t.Errorf("the connection stays open: %v", err)
	}
}
