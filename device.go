package bitjang

import (
	"net/netip"
	"strings"
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
	IP     netip.Addr
	Device Device
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
