package web

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/dunglas/httpsfv"

	"github.com/bitjang/bitjang"
)

// Proxies are the networks whose word about the client's address is believed.
type Proxies []netip.Prefix

func (p Proxies) trust(ip netip.Addr) bool {
	return slices.ContainsFunc(p, func(n netip.Prefix) bool { return n.Contains(ip) })
}

// ClientAddr is the address of the client: the peer of the connection, or,
// when that is a trusted proxy, the last address that no trusted proxy vouches
// for. What stands to the left of it in the header is anybody's invention.
func ClientAddr(r *http.Request, proxies Proxies) netip.Addr {
	addr := parseAddr(r.RemoteAddr)
	if !proxies.trust(addr) {
		return addr
	}
	for _, hop := range slices.Backward(forwardedFor(r.Header)) {
		ip := parseAddr(hop)
		if !ip.IsValid() {
			break
		}
		addr = ip
		if !proxies.trust(ip) {
			break
		}
	}
	return addr
}

// forwardedFor lists the hops of Forwarded (RFC 7239) or, without it, of
// X-Forwarded-For.
func forwardedFor(h http.Header) []string {
	var hops []string
	for _, element := range strings.Split(strings.Join(h.Values("Forwarded"), ","), ",") {
		for _, pair := range strings.Split(element, ";") {
			if name, value, ok := strings.Cut(strings.TrimSpace(pair), "="); ok && strings.EqualFold(name, "for") {
				hops = append(hops, strings.Trim(value, `"`))
			}
		}
	}
	if len(hops) > 0 {
		return hops
	}
	for _, hop := range strings.Split(strings.Join(h.Values("X-Forwarded-For"), ","), ",") {
		if hop = strings.TrimSpace(hop); hop != "" {
			hops = append(hops, hop)
		}
	}
	return hops
}

// parseAddr reads an address with or without port and brackets.
func parseAddr(text string) netip.Addr {
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	ip, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		return netip.Addr{}
	}
	return ip.Unmap().WithZone("")
}

// FromTrustedProxy reports whether the peer may speak for its clients.
func (e *Edge) FromTrustedProxy(r *http.Request) bool {
	return e.Proxies.trust(parseAddr(r.RemoteAddr))
}

// Caller is where a request comes from.
func (e *Edge) Caller(r *http.Request) bitjang.Caller {
	return bitjang.Caller{
		IP: ClientAddr(r, e.Proxies),
		Device: bitjang.Device{
			ID:        deviceID(r),
			UserAgent: r.UserAgent(),
			Hints:     clientHints(r.Header),
		},
	}
}

// DeviceHeader carries the device id of an app that keeps no cookies.
const DeviceHeader = "Device-Id"

func deviceID(r *http.Request) string {
	if id := r.Header.Get(DeviceHeader); id != "" {
		return id
	}
	return cookie(r, deviceCookie)
}

// clientHints parses what browsers send unasked: Sec-CH-UA and its siblings.
func clientHints(h http.Header) (hints bitjang.ClientHints) {
	hints.Brand = significantBrand(h.Values("Sec-Ch-Ua"))
	hints.Platform = hintString(h.Get("Sec-Ch-Ua-Platform"))
	hints.PlatformVersion = hintString(h.Get("Sec-Ch-Ua-Platform-Version"))
	hints.Model = hintString(h.Get("Sec-Ch-Ua-Model"))
	hints.Mobile = h.Get("Sec-Ch-Ua-Mobile") == "?1"
	return hints
}

// significantBrand picks the browser from its brand list, which also names the
// engine and, on purpose, a brand that does not exist.
func significantBrand(header []string) string {
	if len(header) == 0 {
		return ""
	}
	list, err := httpsfv.UnmarshalList(header)
	if err != nil {
		return ""
	}
	engine := ""
	for _, member := range list {
		item, _ := member.(httpsfv.Item)
		brand, _ := item.Value.(string)
		switch {
		case brand == "Chromium":
			engine = brand
		case brand != "" && !strings.Contains(brand, "Not"):
			return brand
		}
	}
	return engine
}

func hintString(header string) string {
	if header == "" {
		return ""
	}
	item, err := httpsfv.UnmarshalItem([]string{header})
	if err != nil {
		return ""
	}
	text, _ := item.Value.(string)
	return text
}

// IsPrefetch reports whether a browser only fetches ahead: the answer may
// never be looked at, so it must not carry the only copy of a new token.
func IsPrefetch(r *http.Request) bool {
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Moz"} {
		if strings.HasPrefix(strings.ToLower(r.Header.Get(name)), "prefetch") {
			return true
		}
	}
	return false
}

// IsNavigation reports whether a person is waiting for a page.
func IsNavigation(r *http.Request) bool {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}
