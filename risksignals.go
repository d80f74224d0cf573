package bitjang

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/mileusna/useragent"
)

const (
	// longSilence is after how long unused a session's next refresh says so.
	longSilence = 7 * day
	// Databases place an address in the nearest big city or the middle of a
	// country. Only what no airliner can do, after all doubt, is impossible.
	travelDoubt = 300  // km
	travelSpeed = 1000 // km/h
	travelLeast = 500  // km
)

// assess compares a device with what its session remembers. It is pure: the
// same two sightings always give the same signals.
func assess(was, is sighting) (signals []Signal) {
	add := func(name, value string) { signals = append(signals, Signal{name, value}) }
	changed := was.IP.IsValid() && is.IP.IsValid() && was.IP != is.IP
	if changed {
		add(signalIP, was.IP.String()+">"+is.IP.String())
		if !sameNetwork(was.IP, is.IP) {
			add(signalNetwork, networkText(was)+">"+networkText(is))
		}
		if c := was.Place.Country; c != "" && is.Place.Country != "" && c != is.Place.Country {
			add(signalCountry, c+">"+is.Place.Country)
		}
		if km, hours, ok := travelled(was, is); ok {
			signals = append(signals, travelSignal(km, hours))
		}
		if is.Hosting && !was.Hosting {
			add(signalHosting, networkText(is))
		}
	}
	if is.told() {
		signals = append(signals, compareDevices(was.Device, is.Device)...)
	}
	if !was.At.IsZero() && is.At.Sub(was.At) >= longSilence {
		add(signalSilence, fmt.Sprintf("%.0fd", is.At.Sub(was.At).Hours()/24))
	}
	return signals
}

// told says that the edge knows where the request comes from. One that tells
// nothing at all, in a program that embeds the Service, gives nothing to compare.
func (s sighting) told() bool { return s.IP.IsValid() || s.Device != (Device{}) }

func networkText(s sighting) string {
	if s.Place.ASN != 0 {
		return "AS" + strconv.FormatUint(uint64(s.Place.ASN), 10)
	}
	if p, err := networkOf(s.IP); err == nil {
		return p.String()
	}
	return ""
}

// networkOf is the part of an address that stays the same at one place.
func networkOf(ip netip.Addr) (netip.Prefix, error) {
	if ip = ip.Unmap(); ip.Is4() {
		return ip.Prefix(24)
	}
	return ip.Prefix(64)
}

// travelled says how far two sightings are apart, if nobody gets there in time.
func travelled(was, is sighting) (km, hours float64, impossible bool) {
	if !was.Place.Located || !is.Place.Located || was.At.IsZero() {
		return 0, 0, false
	}
	km, hours = distance(was.Place, is.Place), max(0, is.At.Sub(was.At).Hours())
	return km, hours, km >= travelLeast && km-travelDoubt > travelSpeed*hours
}

func travelSignal(km, hours float64) Signal {
	return Signal{signalTravel, fmt.Sprintf("%.0fkm/%.1fh", km, hours)}
}

// distance is the great circle between two places in kilometres (haversine).
func distance(a, b Place) float64 {
	const earth, radian = 6371, math.Pi / 180
	square := func(x float64) float64 { return x * x }
	h := square(math.Sin((b.Lat-a.Lat)*radian/2)) +
		math.Cos(a.Lat*radian)*math.Cos(b.Lat*radian)*square(math.Sin((b.Lon-a.Lon)*radian/2))
	return 2 * earth * math.Asin(min(1, math.Sqrt(h)))
}

// compareDevices tells what differs about a device beside its address.
func compareDevices(was, is Device) (signals []Signal) {
	add := func(name, value string) { signals = append(signals, Signal{name, value}) }
	if was.UserAgent != is.UserAgent || was.Hints != is.Hints {
		a, b := looksOf(was, is.Hints), looksOf(is, was.Hints)
		if a.browser != b.browser {
			add(signalBrowser, a.browser+">"+b.browser)
		}
		if a.os != b.os {
			add(signalOS, a.os+">"+b.os)
		}
		if a.kind != b.kind {
			add(signalType, a.kind+">"+b.kind)
		}
		if a.browser == b.browser && a.os == b.os && a.version > 0 && b.version > 0 && b.version < a.version {
			add(signalBackwards, fmt.Sprintf("%d>%d", a.version, b.version))
		}
	}
	switch {
	case was.ID == "":
		add(signalUnproven, "")
	case is.ID == "":
		add(signalNoDevice, "")
		add(signalUnproven, "")
	case was.ID != is.ID:
		add(signalDevice, "")
		add(signalUnproven, "")
	}
	return signals
}

// looks are what a device shows of itself, in words that can be compared.
type looks struct {
	browser, os, kind string
	version           int // major
}

// looksOf describes a device. A hint counts only where the other side has it
// too: requests of one browser come with and without them.
func looksOf(d Device, other ClientHints) looks {
	ua := useragent.Parse(d.UserAgent)
	major, _, _ := strings.Cut(ua.Version, ".")
	version, _ := strconv.Atoi(major) // 0 if there is none
	l := looks{browser: ua.Name, os: ua.OS, kind: "unknown", version: version}
	if h := d.Hints; h.Brand != "" && other.Brand != "" {
		l.browser = strings.TrimPrefix(h.Brand, "Google ")
	}
	if d.Hints.Platform != "" && other.Platform != "" {
		l.os = d.Hints.Platform
	}
	switch {
	case ua.Bot:
		l.kind = "bot"
	case ua.Tablet:
		l.kind = "tablet"
	case ua.Mobile:
		l.kind = "mobile"
	case ua.Desktop:
		l.kind = "desktop"
	}
	return l
}

// quiet says that there is nothing to assess: the usual case, decided without
// looking anything up.
func quiet(sess *Session, seen time.Time, from Caller, now time.Time) bool {
	d := from.Device
	return sess.IP == from.IP && sess.Device.UserAgent == d.UserAgent && sess.Device.Hints == d.Hints &&
		sess.Device.ID == d.ID && now.Sub(seen) < longSilence
}

// hostingNetworks are data centres from which people do not browse, by their
// AS numbers. It is modest on purpose: networks of relays and of browsers' own
// proxies (Cloudflare, Akamai's edge, Fastly, Google's corporate one) are not
// in it. Config.HostingASNs adds to it.
func hostingNetworks(more []uint32) map[uint32]bool {
	known := map[uint32]bool{}
	for _, asn := range append([]uint32{
		16509, 14618, // Amazon
		396982,       // Google Cloud
		8075,         // Microsoft Azure
		31898,        // Oracle Cloud
		45102, 37963, // Alibaba Cloud
		132203, 45090, // Tencent Cloud
		136907,        // Huawei Cloud
		23576,         // NAVER Cloud
		14061,         // DigitalOcean
		63949,         // Linode
		20473,         // Vultr
		16276,         // OVH
		24940, 213230, // Hetzner
		51167, 40021, // Contabo
		12876,        // Scaleway
		60781, 28753, // Leaseweb
		9009,          // M247
		212238, 60068, // Datacamp
		62240,  // Clouvider
		36352,  // ColoCrossing
		53667,  // FranTech
		197540, // netcup
		47583,  // Hostinger
	}, more...) {
		known[asn] = true
	}
	return known
}
