package mail

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strconv"

	"github.com/bitjang/bitjang"
)

// transport says when a connection is encrypted.
type transport string

const (
	tlsImplicit      transport = "implicit"      // from the first byte
	tlsRequired      transport = "required"      // STARTTLS, or nothing is sent
	tlsOpportunistic transport = "opportunistic" // STARTTLS if the server offers it
	tlsOff           transport = "off"
)

// mailServer is where mails go.
type mailServer struct {
	host     string
	port     int
	tls      transport
	user     string
	password bitjang.Secret
}

// The problems are fixed sentences: what is wrong with an address may well be
// that its password is in the wrong place.
var (
	errAddress  = errors.New("mail: the address of the mail server is not of the form smtp://[user:password@]host[:port][?tls=required|opportunistic|off] or smtps://…; special characters in the password are written %XX")
	errTLS      = errors.New("mail: tls of the mail server's address is none of required, opportunistic, off")
	errPassword = errors.New("mail: a user and password are only sent to a mail server elsewhere with smtps:// or tls=required")
)

// parseServer reads the address of a mail server.
func parseServer(address string) (mailServer, error) {
	u, err := url.Parse(address)
	if err != nil {
		return mailServer{}, errAddress
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil || u.Hostname() == "" || u.Opaque != "" || u.Fragment != "" || (u.Path != "" && u.Path != "/") {
		return mailServer{}, errAddress
	}
	s := mailServer{host: u.Hostname(), port: 587, tls: tlsRequired}
	if s.loopback() {
		s.tls = tlsOpportunistic
	}
	switch u.Scheme {
	case "smtp":
		if query.Has("tls") {
			s.tls = transport(query.Get("tls"))
		}
		if s.tls != tlsRequired && s.tls != tlsOpportunistic && s.tls != tlsOff {
			return mailServer{}, errTLS
		}
		query.Del("tls")
	case "smtps":
		s.port, s.tls = 465, tlsImplicit
	default:
		return mailServer{}, errAddress
	}
	if port := u.Port(); port != "" {
		if s.port, err = strconv.Atoi(port); err != nil || s.port < 1 || s.port > 65535 {
			return mailServer{}, errAddress
		}
	}
	if u.User != nil {
		password, _ := u.User.Password()
		s.user, s.password = u.User.Username(), bitjang.NewSecret(password)
		if s.user == "" || s.password.IsZero() {
			return mailServer{}, errAddress
		}
	}
	if len(query) > 0 {
		return mailServer{}, errAddress
	}
	if s.user != "" && !s.secure() && !s.loopback() {
		return mailServer{}, errPassword
	}
	return s, nil
}

// secure says that nothing but a greeting crosses the wire in the clear.
func (s mailServer) secure() bool { return s.tls == tlsImplicit || s.tls == tlsRequired }

// loopback says that the server is on this machine.
func (s mailServer) loopback() bool {
	ip, err := netip.ParseAddr(s.host)
	return s.host == "localhost" || (err == nil && ip.Unmap().IsLoopback())
}

func (s mailServer) String() string { return net.JoinHostPort(s.host, strconv.Itoa(s.port)) }
