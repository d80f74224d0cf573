package mail

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
	gosmtp "github.com/wneessen/go-mail/smtp"

	"github.com/bitjang/bitjang"
)

// deliverTime is how long a delivery or a check may take in all.
const deliverTime = 30 * time.Second

// SMTP delivers mails through a mail server. It is safe for concurrent use;
// every mail has a connection of its own.
type SMTP struct {
	server    mailServer
	from      netmail.Address
	renderer  *Renderer
	tlsConfig *tls.Config // nil but in tests
}

// NewSMTP reads the address of a mail server,
//
//	smtp://[user:password@]host[:port][?tls=required|opportunistic|off]
//	smtps://[user:password@]host[:port]
//
// and the sender, "Name <a@b>" or "a@b". smtp means port 587 and STARTTLS, which
// is required unless the server is on this machine; smtps means port 465 and TLS
// from the start. Certificates are checked, but for one: opportunistic TLS on
// this machine. No error of an SMTP tells the password.
func NewSMTP(address, from string, r *Renderer) (*SMTP, error) {
	var problems []error
	server, err := parseServer(address)
	if err != nil {
		problems = append(problems, err)
	}
	sender, err := netmail.ParseAddress(from)
	if err != nil || !ascii(sender.Address) {
		problems = append(problems, fmt.Errorf(`mail: the sender %q is not of the form "Name <a@b>" or "a@b", in ASCII but for the name`, from))
	}
	if r == nil {
		problems = append(problems, errors.New("mail: no renderer"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	sender.Name = line(sender.Name, maxName)
	return &SMTP{server: server, from: *sender, renderer: r}, nil
}

// Deliver hands a mail to the server. Its error wraps bitjang.ErrUndeliverable
// if the server has refused the recipient or the message for good.
func (s *SMTP) Deliver(ctx context.Context, m bitjang.Mail) error {
	msg, err := s.message(m)
	if err != nil {
		return err
	}
	var options []gomail.Option
	if ascii(m.To) {
		// Asking for SMTPUTF8 without need bounces at servers that lack it.
		options = append(options, gomail.WithoutSMTPUTF8())
	}
	err = s.talk(ctx, options, func(c *gomail.Client, conn *gosmtp.Client) error {
		return c.SendWithSMTPClient(conn, msg)
	})
	if msg.IsDelivered() {
		return nil // whatever went wrong after the server took it: twice would be worse
	}
	if err != nil && final(err) {
		err = fmt.Errorf("%w: %w", bitjang.ErrUndeliverable, err)
	}
	return s.discreet(err)
}

// Check connects, encrypts and authenticates as Deliver does, and sends nothing.
func (s *SMTP) Check(ctx context.Context) error {
	return s.discreet(s.talk(ctx, nil, func(*gomail.Client, *gosmtp.Client) error { return nil }))
}

// message builds the mail. It looks the same on each try but for the date.
func (s *SMTP) message(m bitjang.Mail) (*gomail.Msg, error) {
	to, err := netmail.ParseAddress(m.To)
	if err != nil || to.Name != "" {
		return nil, fmt.Errorf("%w: the recipient is not a mail address", bitjang.ErrUndeliverable)
	}
	words, err := s.renderer.Render(m)
	if err != nil {
		return nil, err
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(&s.from)
	msg.ToMailAddress(to)
	msg.Subject(words.Subject)
	msg.SetDateWithValue(time.Now().UTC())
	if m.ID != "" {
		_, domain, _ := strings.Cut(s.from.Address, "@")
		msg.SetMessageIDWithValue(m.ID + "@" + domain)
	}
	msg.SetGenHeader(gomail.HeaderContentLang, words.Language)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no vacation notes, please
	msg.SetGenHeader(gomail.HeaderXAutoResponseSuppress, "All")
	msg.SetBodyString(gomail.TypeTextPlain, words.Text)
	msg.AddAlternativeString(gomail.TypeTextHTML, words.HTML)
	return msg, nil
}

// talk runs work on a connection that is encrypted and authenticated as the
// address says. The connection ends with it, or with ctx.
func (s *SMTP) talk(ctx context.Context, options []gomail.Option, work func(*gomail.Client, *gosmtp.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, deliverTime)
	defer cancel()
	dial := func(dialCtx context.Context, network, _ string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(dialCtx, network, s.server.String())
		if err != nil {
			return nil, err
		}
		// The library watches ctx only while it dials, and leaves the connection
		// open when it fails half-way. This ends both with talk at the latest.
		context.AfterFunc(ctx, func() { conn.Close() })
		if s.server.tls != tlsImplicit {
			return conn, nil
		}
		encrypted := tls.Client(conn, s.tlsSettings())
		return encrypted, encrypted.HandshakeContext(dialCtx)
	}
	client, err := gomail.NewClient(s.server.host, append(s.options(dial), options...)...)
	if err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	err = s.run(ctx, client, work)
	if ctx.Err() != nil && err != nil {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	if err != nil {
		return fmt.Errorf("mail server %s: %w", s.server, err)
	}
	return nil
}

func (s *SMTP) run(ctx context.Context, client *gomail.Client, work func(*gomail.Client, *gosmtp.Client) error) error {
	conn, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return err
	}
	if err := work(client, conn); err != nil {
		_ = client.CloseWithSMTPClient(conn) // a polite goodbye, no more
		return err
	}
	return client.CloseWithSMTPClient(conn)
}

// options say all that the library decides otherwise.
func (s *SMTP) options(dial gomail.DialContextFunc) []gomail.Option {
	options := []gomail.Option{
		gomail.WithTimeout(deliverTime), gomail.WithTLSConfig(s.tlsSettings()), gomail.WithDialContextFunc(dial),
	}
	switch s.server.tls {
	case tlsImplicit:
		options = append(options, gomail.WithSSL())
	case tlsRequired:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case tlsOpportunistic:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSOpportunistic))
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	}
	if s.server.user == "" {
		return options
	}
	// PLAIN first: inside TLS it is as good as any, and servers that offer others
	// often have no passwords for them. Elsewhere the library refuses it without
	// TLS; parseServer has refused that already.
	methods := []gomail.SMTPAuthType{gomail.SMTPAuthPlain, gomail.SMTPAuthLogin, gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthCramMD5}
	if s.server.loopback() {
		methods[0], methods[1] = gomail.SMTPAuthPlainNoEnc, gomail.SMTPAuthLoginNoEnc
	}
	return append(options, gomail.WithOpportunisticSMTPAuth(methods...),
		gomail.WithUsername(s.server.user), gomail.WithPassword(s.server.password.Reveal()))
}

func (s *SMTP) tlsSettings() *tls.Config {
	config := &tls.Config{}
	if s.tlsConfig != nil {
		config = s.tlsConfig.Clone()
	}
	config.ServerName = s.server.host
	config.MinVersion = tls.VersionTLS12
	// Mail servers on the same machine mostly have a certificate that nobody
	// signed, or none at all, which is fine with us as well.
	config.InsecureSkipVerify = s.server.tls == tlsOpportunistic && s.server.loopback()
	return config
}

// final says whether a server has refused the recipient or the message for
// good. Other refusals are about us: the sender, the login, the connection.
// Those an operator mends, and the mail can still go.
func final(err error) bool {
	refusal, ok := errors.AsType[*gomail.SendError](err)
	if !ok {
		return false
	}
	switch refusal.Reason {
	case gomail.ErrSMTPRcptTo, gomail.ErrSMTPData, gomail.ErrSMTPDataClose:
	default:
		return false
	}
	switch code := refusal.ErrorCode(); code {
	case 530, 534, 535, 538: // RFC 4954: the login is missing, or not good enough
		return false
	default:
		return code >= 500 && code <= 599
	}
}

// discreet keeps the password out of an error, wherever a server repeats it.
func (s *SMTP) discreet(err error) error {
	if err == nil || s.server.password.IsZero() {
		return err
	}
	password := s.server.password.Reveal()
	encode := base64.StdEncoding.EncodeToString
	hide := strings.NewReplacer(
		encode([]byte("\x00"+s.server.user+"\x00"+password)), "REDACTED",
		encode([]byte(password)), "REDACTED",
		password, "REDACTED",
	)
	if text := hide.Replace(err.Error()); text != err.Error() {
		return redactedError{text, errors.Is(err, bitjang.ErrUndeliverable)}
	}
	return err
}

// redactedError is an error whose text was not fit to be seen. It does not
// unwrap: the text would be there again.
type redactedError struct {
	text  string
	final bool
}

func (e redactedError) Error() string { return e.text }

// Is keeps the one distinction that callers make.
func (e redactedError) Is(target error) bool { return e.final && target == bitjang.ErrUndeliverable }

func ascii(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r > 0x7e || r < 0x20 })
}
