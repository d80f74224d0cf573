package bitjang

import (
	"context"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mileusna/useragent"
)

// Device is what a session remembers of the device it lives on.
type Device struct {
	ID        string // chosen by the device: a cookie in browsers, a header or JSON field in apps
	Name      string // chosen by the user
	UserAgent string
	Hints     ClientHints
}

// ClientHints are the Sec-CH-UA request headers, parsed. Browsers freeze the
// User-Agent and tell the rest here.
type ClientHints struct {
	Brand           string // the significant brand, "Google Chrome"
	Platform        string
	PlatformVersion string
	Model           string
	Mobile          bool
}

// Caller is where a request comes from, as far as its edge can tell.
type Caller struct {
	IP       netip.Addr
	Device   Device
	Language string // for mails: a language tag or an Accept-Language header; may be empty
	// Remembered is the Tokens.Remembered that the device was given, if any.
	Remembered Secret
	Proof      Proof

	key string // thumbprint of the key that the caller has shown to hold: see Service.showKey

	backend bool // a server that speaks for people elsewhere: its address is not theirs
}

// Limits of what a caller may make the server remember, in bytes.
const (
	maxDeviceText = 128
	maxUserAgent  = 512
)

// bounded cuts what came from outside to what a session keeps.
func (d Device) bounded() Device {
	d.ID = clip(d.ID, maxDeviceText)
	d.Name = clip(d.Name, maxDeviceText)
	d.UserAgent = clip(d.UserAgent, maxUserAgent)
	h := &d.Hints
	for _, field := range []*string{&h.Brand, &h.Platform, &h.PlatformVersion, &h.Model} {
		*field = clip(*field, maxDeviceText)
	}
	return d
}

// clip shortens text to at most limit bytes of valid UTF-8 without control
// characters: it will be shown to people and written to terminals.
func clip(text string, limit int) string {
	clean := func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}
	for _, r := range text {
		if clean(r) < 0 {
			text = strings.Map(clean, text)
			break
		}
	}
	if len(text) <= limit {
		return text
	}
	text = text[:limit]
	for !utf8.ValidString(text) {
		text = text[:len(text)-1]
	}
	return text
}

// DeviceLabel is a device in words for people.
type DeviceLabel struct {
	Browser string // "Firefox", "" if unknown
	OS      string // "Android"
	Type    string // "desktop", "mobile", "tablet", "bot" or "unknown"
}

// Label describes the device. It is derived each time it is shown, so that a
// better parser improves old sessions too.
func (d Device) Label() DeviceLabel {
	ua := useragent.Parse(d.UserAgent)
	label := DeviceLabel{Browser: ua.Name, OS: ua.OS, Type: "unknown"}
	if d.Hints.Brand != "" {
		label.Browser = strings.TrimPrefix(d.Hints.Brand, "Google ")
	}
	if d.Hints.Platform != "" {
		label.OS = d.Hints.Platform
	}
	switch {
	case ua.Bot:
		label.Type = "bot"
	case ua.Tablet:
		label.Type = "tablet"
	case ua.Mobile || d.Hints.Mobile:
		label.Type = "mobile"
	case ua.Desktop:
		label.Type = "desktop"
	}
	return label
}

// sameDevice is the rule of docs/rotation.md: the device id where both sides
// have one, else the same User-Agent family and operating system. The IP
// address is not part of it, nor is a version: phones roam, browsers update.
func sameDevice(a, b Device) bool {
	if a.ID != "" && b.ID != "" {
		return a.ID == b.ID
	}
	if a.UserAgent == b.UserAgent {
		return true
	}
	x, y := useragent.Parse(a.UserAgent), useragent.Parse(b.UserAgent)
	return x.Name == y.Name && x.OS == y.OS
}

// justMade is how long after signing up a first device is no news.
const justMade = time.Hour

// noteNewDevice tells a user of a login from a device that the account has not
// seen. It never stands in the login's way.
func (s *Service) noteNewDevice(ctx context.Context, u *User, sess *Session, from Caller) {
	s.record(ctx, happened(EventNewDevice, sess, from, ""))
	if s.cfg.Mailer == nil {
		return
	}
	facts := linkFacts{Email: u.Email, Session: sess.ID}
	m := Mail{Kind: MailNewDevice, At: sess.CreatedAt, Device: sess.Device, IP: sess.IP}
	if err := s.mailLink(ctx, u, from, linkDisown, "", facts, m); err != nil {
		s.log.Error("mail not sent", "kind", m.Kind, "user", u.ID, "error", err)
	}
}

// knownDevice says whether an account has seen a session's device: by its device
// id, else by browser family, system and network.
func (s *Service) knownDevice(history []Session, sess *Session, madeAt time.Time) bool {
	first := true
	for i := range history {
		old := &history[i]
		if old.ID == sess.ID {
			continue
		}
		first = false
		if old.Device.ID != "" && old.Device.ID == sess.Device.ID {
			return true
		}
		a, b := old.Device, sess.Device
		a.ID, b.ID = "", ""
		if sameDevice(a, b) && sameNetwork(old.IP, sess.IP) {
			return true
		}
	}
	return first && sess.CreatedAt.Before(madeAt.Add(justMade))
}

// sameNetwork compares networkOf two addresses.
func sameNetwork(a, b netip.Addr) bool {
	p, err := networkOf(a)
	return err == nil && p.Contains(b.Unmap())
}
