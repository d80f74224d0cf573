package mail

import (
	"strings"
	"testing"
)

func TestServerAddresses(t *testing.T) {
	for address, want := range map[string]mailServer{
		"smtp://mail.example.com":                         {host: "mail.example.com", port: 587, tls: tlsRequired},
		"smtp://mail.example.com/":                        {host: "mail.example.com", port: 587, tls: tlsRequired},
		"smtp://mail.example.com:25?tls=opportunistic":    {host: "mail.example.com", port: 25, tls: tlsOpportunistic},
		"smtp://mail.example.com?tls=off":                 {host: "mail.example.com", port: 587, tls: tlsOff},
		"smtp://localhost:1025":                           {host: "localhost", port: 1025, tls: tlsOpportunistic},
		"smtp://[::1]":                                    {host: "::1", port: 587, tls: tlsOpportunistic},
		"smtp://127.3.2.1?tls=required":                   {host: "127.3.2.1", port: 587, tls: tlsRequired},
		"smtp://localhost.evil.example":                   {host: "localhost.evil.example", port: 587, tls: tlsRequired},
		"smtps://mail.example.com":                        {host: "mail.example.com", port: 465, tls: tlsImplicit},
		"smtps://me%40example.com:p%2Fw%23@m.example:466": {host: "m.example", port: 466, tls: tlsImplicit, user: "me@example.com"},
		"smtp://me:p%2Fw%23@m.example":                    {host: "m.example", port: 587, tls: tlsRequired, user: "me"},
		"smtp://me:p%2Fw%23@localhost?tls=off":            {host: "localhost", port: 587, tls: tlsOff, user: "me"},
	} {
		got, err := parseServer(address)
		if want.user != "" && got.password.Reveal() != "p/w#" {
			t.Errorf("%s: got another password", address)
		}
		got.password = want.password
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", address, got, err, want)
		}
	}
}

func TestServerAddressesThatAreNone(t *testing.T) {
	for _, address := range []string{
		"", "mail.example.com", "mail.example.com:587", "http://mail.example.com", "smtp://", "smtp:mail.example.com", "smtp://:25",
		"smtp://mail.example.com:0", "smtp://mail.example.com:65536", "smtp://mail.example.com/path", "smtp://mail.example.com?tls=hunter22",
		"smtp://mail.example.com?tls=", "smtp://mail.example.com?tls=implicit", "smtp://mail.example.com?insecure=1", "smtps://mail.example.com?tls=off",
		// Passwords in the wrong place, or with characters that end them.
		"smtp://me:12#hunter22@mail.example.com", "smtp://me:12/hunter22@mail.example.com", "smtp://me:12?hunter22@mail.example.com",
		"smtp://me:hunter22#@mail.example.com", "smtp://me:%zzhunter22@mail.example.com", "smtp://me:hunter22@mail.example.com:x",
		"smtp://me@mail.example.com", "smtp://me:@mail.example.com", "smtp://:hunter22@mail.example.com", "smtp://me:hunter22@",
		// A login that could cross a network in the clear.
		"smtp://me:hunter22@mail.example.com?tls=off", "smtp://me:hunter22@mail.example.com?tls=opportunistic",
		"smtp://me:hunter22@localhost.evil.example?tls=opportunistic", "smtp://me:hunter22@10.0.0.1?tls=off",
	} {
		_, err := NewSMTP(address, "a@b.example", example(t))
		if err == nil || strings.Contains(err.Error(), "hunter22") {
			t.Errorf("%s: got %v, want an error without the password", address, err)
		}
	}
}

func TestSenders(t *testing.T) {
	for from, want := range map[string]string{
		"a@b.example":                           "<a@b.example>",
		"Acme <a@b.example>":                    `"Acme" <a@b.example>`,
		"로그인 <a@b.example>":                     `=?utf-8?q?=EB=A1=9C=EA=B7=B8=EC=9D=B8?= <a@b.example>`,
		`"A, B" <a@b.example>`:                  `"A, B" <a@b.example>`,
		"=?utf-8?q?A=E2=80=AEB?= <a@b.example>": `"AB" <a@b.example>`,
	} {
		s, err := NewSMTP("smtp://localhost", from, example(t))
		if err != nil || s.from.String() != want {
			t.Errorf("%s: got %v, %v, want %s", from, s, err, want)
		}
	}
	for _, from := range []string{"", "Acme", "a@b.example, c@d.example", "a@b.example\r\nBcc: c@d.example", "=?utf-8?q?A=0D=0ABcc:_x?= <a@b.example>", "a@로그인.example"} {
		if _, err := NewSMTP("smtp://localhost", from, example(t)); err == nil {
			t.Errorf("%q: got no error", from)
		}
	}
	if _, err := NewSMTP("smtp://localhost", "a@b.example", nil); err == nil {
		t.Error("no renderer: got no error")
	}
}
