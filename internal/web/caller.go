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
//
// A proxy that writes one of the two headers passes the other on as the client
// sent it. Nobody knows which, so where they disagree neither is believed.
func ClientAddr(r *http.Request, proxies Proxies) netip.Addr {
	peer := parseAddr(r.RemoteAddr)
	if !proxies.trust(peer) {
		return peer
	}
	standard, usual := forwarded(r.Header), xForwardedFor(r.Header)
	switch {
	case len(standard) == 0:
		return proxies.client(peer, usual)
	case len(usual) == 0:
		return proxies.client(peer, standard)
	}
	addr := proxies.client(peer, usual)
	if addr != proxies.client(peer, standard) {
		return peer
	}
	return addr
}

// client walks the hops from the peer back to the first that is not trusted.
func (p Proxies) client(addr netip.Addr, hops []string) netip.Addr {
	for _, hop := range slices.Backward(hops) {
		ip := parseAddr(hop)
		if !ip.IsValid() {
			break
		}
		addr = ip
		if !p.trust(ip) {
			break
		}
	}
	return addr
}

// forwarded lists the hops of Forwarded (RFC 7239 section 4). A hop that keeps
// its client to itself is one too: the walk must stop there.
func forwarded(h http.Header) []string {
	var hops []string
	for _, element := range strings.Split(strings.Join(h.Values("Forwarded"), ","), ",") {
		if strings.TrimSpace(element) == "" {
			continue
		}
		hop := "unknown"
		for _, pair := range strings.Split(element, ";") {
			if name, value, ok := strings.Cut(strings.TrimSpace(pair), "="); ok && strings.EqualFold(name, "for") {
				hop = strings.Trim(value, `"`)
			}
		}
		hops = append(hops, hop)
	}
	return hops
}

func xForwardedFor(h http.Header) []string {
	var hops []string
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
		Remembered: bitjang.NewSecret(cookie(r, rememberedCookie)),
		Language:   r.Header.Get("Accept-Language"),
		Proof:      e.proof(r),
	}
}

// The headers of DPoP (RFC 9449).
const (
	ProofHeader = "DPoP"
	NonceHeader = "DPoP-Nonce"
)

// proof is the request's DPoP proof. Several are joined, and so are none.
func (e *Edge) proof(r *http.Request) bitjang.Proof {
	scheme, _ := authorization(r)
	jwt := strings.Join(r.Header.Values(ProofHeader), ", ")
	if jwt == "" {
		return bitjang.Proof{Scheme: scheme}
	}
	return bitjang.Proof{JWT: jwt, Method: r.Method, URL: e.Issuer + r.URL.EscapedPath(), Scheme: scheme}
}

// DeviceHeader carries the device id of an app that keeps no cookies.
const DeviceHeader = "Device-Id"

func deviceID(r *http.Request) string {
	if id := r.Header.Get(DeviceHeader); id != "" {
		return id
	}
	return DeviceCookie(r)
}

// AdmitInput is what a request brings for Service.Admit. New tokens go back as
// cookies, so only a refresh cookie is exchanged, and none beside an
// Authorization header, which may speak for another session.
func (e *Edge) AdmitInput(r *http.Request) bitjang.AdmitInput {
	in := bitjang.AdmitInput{Passive: IsPrefetch(r), Caller: e.Caller(r)}
	access, fromHeader := AccessToken(r)
	in.Access = access
	if !fromHeader {
		in.Refresh = bitjang.NewSecret(cookie(r, RefreshCookie))
	}
	return in
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
