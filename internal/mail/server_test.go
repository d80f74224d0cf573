package mail

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// received is a mail that a server took.
type received struct {
	from, to string
	utf8     bool // SMTPUTF8 was asked for
	tls      bool
	data     string
}

// backend is a mail server's memory, and what it refuses.
type backend struct {
	refuseFrom, refuseTo, refuseData *smtp.SMTPError
	password                         string // "" means no logins

	mu       sync.Mutex
	sessions int
	logins   []string // attempted, with " over TLS"
	mails    []received
}

func (b *backend) taken() []received {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mails
}

func (b *backend) tried() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.logins
}

type session struct {
	b        *backend
	conn     *smtp.Conn
	now      received
	loggedIn bool
}

func (b *backend) NewSession(c *smtp.Conn) (smtp.Session, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sessions++
	return &session{b: b, conn: c}, nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

func (s *session) Mail(from string, o *smtp.MailOptions) error {
	if s.b.password != "" && !s.loggedIn {
		return smtp.ErrAuthRequired
	}
	s.now = received{from: from, utf8: o.UTF8}
	return orNil(s.b.refuseFrom)
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.now.to = to
	return orNil(s.b.refuseTo)
}

func (s *session) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.b.refuseData != nil {
		return s.b.refuseData
	}
	s.now.data = string(data)
	_, s.now.tls = s.conn.TLSConnectionState()
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.b.mails = append(s.b.mails, s.now)
	return nil
}

func (s *session) AuthMechanisms() []string {
	if s.b.password == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		attempt := user + ":" + password
		if _, ok := s.conn.TLSConnectionState(); ok {
			attempt += " over TLS"
		}
		s.b.mu.Lock()
		defer s.b.mu.Unlock()
		s.b.logins = append(s.b.logins, attempt)
		if user != "mailer" || password != s.b.password {
			// A server that repeats what it was told.
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "no " + password + " here"}
		}
		s.loggedIn = true
		return nil
	}), nil
}

func orNil(err *smtp.SMTPError) error {
	if err == nil {
		return nil
	}
	return err
}

// certificate is one for 127.0.0.1 that nobody trusts, and the settings of a
// client that does.
func certificate(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return &tls.Config{Certificates: s.TLS.Certificates}, &tls.Config{RootCAs: pool}
}

// serve starts a mail server and returns its host and port. A nil config means
// that it knows no TLS.
func serve(t *testing.T, b *backend, config *tls.Config, implicit bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	s := smtp.NewServer(b)
	s.AllowInsecureAuth, s.EnableSMTPUTF8, s.ErrorLog = true, true, log.New(io.Discard, "", 0)
	if implicit {
		l = tls.NewListener(l, config)
	} else {
		s.TLSConfig = config
	}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return address
}

// script is a mail server that answers by rote: what to say to a command, ""
// being the greeting and "." the end of a message. It hangs at "hang" and hangs
// up at "close".
func script(t *testing.T, answers map[string]string) (address string, commands func() []string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var mu sync.Mutex
	var heard []string
	answer := func(conn net.Conn, command, otherwise string) bool {
		reply, ok := answers[command]
		if !ok {
			reply = otherwise
		}
		switch reply {
		case "hang":
			_, _ = io.Copy(io.Discard, conn)
			return false
		case "close":
			return false
		}
		_, err := io.WriteString(conn, reply+"\r\n")
		return err == nil
	}
	talk := func(conn net.Conn) {
		defer conn.Close()
		if !answer(conn, "", "220 script") {
			return
		}
		inData := false
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			command, _, _ := strings.Cut(lines.Text(), " ")
			if inData && command != "." {
				continue
			}
			mu.Lock()
			heard = append(heard, lines.Text())
			mu.Unlock()
			inData = command == "DATA"
			otherwise := "250 ok"
			if inData {
				otherwise = "354 go on"
			}
			if !answer(conn, command, otherwise) {
				return
			}
		}
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go talk(conn)
		}
	}()
	return l.Addr().String(), func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), heard...)
	}
}
