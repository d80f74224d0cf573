package web

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/bitjang/bitjang"
)

// proxies are the trusted networks of the tests.
var proxies = Proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}

func request(peer string, headers ...string) *http.Request {
	r := &http.Request{RemoteAddr: peer, Header: http.Header{}}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func TestClientAddr(t *testing.T) {
	const xff, fwd = "X-Forwarded-For", "Forwarded"
	for _, tt := range []struct {
		name    string
		peer    string
		headers []string
		want    string
	}{
		{"the peer", "192.0.2.1:1234", nil, "192.0.2.1"},
		{"an IPv6 peer", "[2001:db8::1]:1234", nil, "2001:db8::1"},
		{"a peer with a zone", "[fe80::1%eth0]:1234", nil, "fe80::1"},
		{"an IPv4 peer in IPv6 clothes", "[::ffff:192.0.2.1]:1234", nil, "192.0.2.1"},
		{"a peer without port", "192.0.2.1", nil, "192.0.2.1"},
		{"a Unix socket", "@", []string{xff, "1.1.1.1"}, ""},
		{"an untrusted peer's word counts nothing", "192.0.2.1:1", []string{xff, "1.1.1.1", fwd, "for=1.1.1.1"}, "192.0.2.1"},
		{"an untrusted peer cannot claim to be a proxy", "192.0.2.1:1", []string{xff, "10.0.0.1"}, "192.0.2.1"},
		{"a trusted peer's word counts", "10.0.0.1:1", []string{xff, "203.0.113.7"}, "203.0.113.7"},
		{"a trusted peer without a word", "10.0.0.1:1", nil, "10.0.0.1"},
		{"a trusted peer in IPv6 clothes", "[::ffff:10.0.0.1]:1", []string{xff, "203.0.113.7"}, "203.0.113.7"},
		{"the rightmost untrusted wins", "10.0.0.1:1", []string{xff, "1.1.1.1, 203.0.113.7"}, "203.0.113.7"},
		{"trusted hops are skipped from the right", "10.0.0.1:1", []string{xff, "1.1.1.1, 203.0.113.7, 10.0.0.3, fd00::4"}, "203.0.113.7"},
		{"a trusted hop left of the client is not reached", "10.0.0.1:1", []string{xff, "10.0.0.9, 203.0.113.7"}, "203.0.113.7"},
		{"several headers are one list", "10.0.0.1:1", []string{xff, "1.1.1.1", xff, "203.0.113.7", xff, "10.0.0.3"}, "203.0.113.7"},
		{"all trusted: the first", "10.0.0.1:1", []string{xff, "10.0.0.7, 10.0.0.3"}, "10.0.0.7"},
		{"garbage at the right: the peer", "10.0.0.1:1", []string{xff, "203.0.113.7, garbage"}, "10.0.0.1"},
		{"garbage left of a trusted hop: that hop", "10.0.0.1:1", []string{xff, "1.1.1.1, garbage, 10.0.0.3"}, "10.0.0.3"},
		{"garbage left of the client is not read", "10.0.0.1:1", []string{xff, "\xff<script>, 203.0.113.7"}, "203.0.113.7"},
		{"empty members", "10.0.0.1:1", []string{xff, " , ,203.0.113.7,, "}, "203.0.113.7"},
		{"ports", "10.0.0.1:1", []string{xff, "203.0.113.7:5678, [fd00::1]:80"}, "203.0.113.7"},
		{"an IPv6 client", "10.0.0.1:1", []string{xff, "2001:db8::7"}, "2001:db8::7"},
		{"an IPv6 client in brackets", "10.0.0.1:1", []string{xff, "[2001:db8::7]"}, "2001:db8::7"},
		{"a hop with a zone", "10.0.0.1:1", []string{xff, "fe80::7%eth0"}, "fe80::7"},
		{"an IPv4 hop in IPv6 clothes", "10.0.0.1:1", []string{xff, "203.0.113.7, ::ffff:10.0.0.3"}, "203.0.113.7"},
		{"an octal address", "10.0.0.1:1", []string{xff, "010.0.0.1"}, "10.0.0.1"},
		{"a name", "10.0.0.1:1", []string{xff, "localhost"}, "10.0.0.1"},

		{"Forwarded", "10.0.0.1:1", []string{fwd, "for=203.0.113.7"}, "203.0.113.7"},
		{"Forwarded, quoted, IPv6 and port", "10.0.0.1:1", []string{fwd, `For="[2001:db8::7]:47011";proto=https;by=10.0.0.1`}, "2001:db8::7"},
		{"Forwarded, rightmost untrusted", "10.0.0.1:1", []string{fwd, "for=1.1.1.1, proto=https;for=203.0.113.7", fwd, "for=10.0.0.3"}, "203.0.113.7"},
		{"Forwarded, unknown", "10.0.0.1:1", []string{fwd, "for=1.1.1.1, for=unknown"}, "10.0.0.1"},
		{"Forwarded, obfuscated", "10.0.0.1:1", []string{fwd, "for=1.1.1.1, for=_hidden"}, "10.0.0.1"},
		{"Forwarded, a hop without for", "10.0.0.1:1", []string{fwd, "for=1.1.1.1, proto=https"}, "10.0.0.1"},
		{"Forwarded, an open quote before the proxy's hop", "10.0.0.1:1", []string{fwd, `for="1.1.1.1, for=203.0.113.7`}, "203.0.113.7"},
		{"Forwarded, empty members", "10.0.0.1:1", []string{fwd, "for=203.0.113.7, ,"}, "203.0.113.7"},
		{"a client's Forwarded through a proxy that writes the other", "10.0.0.1:1", []string{fwd, "for=1.1.1.1", xff, "203.0.113.7"}, "10.0.0.1"},
		{"a client's X-Forwarded-For through a proxy that writes the other", "10.0.0.1:1", []string{xff, "1.1.1.1", fwd, "for=203.0.113.7"}, "10.0.0.1"},
		{"both, of one mind", "10.0.0.1:1", []string{xff, "1.1.1.1, 203.0.113.7", fwd, "for=203.0.113.7"}, "203.0.113.7"},
		{"an empty Forwarded", "10.0.0.1:1", []string{fwd, "", xff, "203.0.113.7"}, "203.0.113.7"},
		{"other headers", "10.0.0.1:1", []string{"X-Real-Ip", "1.1.1.1", "True-Client-Ip", "1.1.1.1", "Cf-Connecting-Ip", "1.1.1.1"}, "10.0.0.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := netip.Addr{}
			if tt.want != "" {
				want = netip.MustParseAddr(tt.want)
			}
			if got := ClientAddr(request(tt.peer, tt.headers...), proxies); got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func FuzzClientAddr(f *testing.F) {
	f.Add("10.0.0.1:1", "1.1.1.1, 203.0.113.7", "")
	f.Add("192.0.2.1:1", "1.1.1.1", `for="[2001:db8::1]:1";proto=https, for=_x`)
	f.Add("[fd00::1%x]:1", "[::1]:80,,", ";=,for=")
	f.Fuzz(func(t *testing.T, peer, xff, fwd string) {
		r := request(peer, "X-Forwarded-For", xff, "Forwarded", fwd)
		got, from := ClientAddr(r, proxies), parseAddr(peer)
		if !proxies.trust(from) && got != from {
			t.Errorf("an untrusted peer %v became %v", from, got)
		}
		if proxies.trust(from) && !got.IsValid() {
			t.Errorf("the trusted peer %v became nobody", from)
		}
		if got.Zone() != "" || got.Is4In6() {
			t.Errorf("got %v, which has another spelling", got)
		}
		// What a trusted proxy appends is what counts, whatever came before.
		if proxies.trust(from) && fwd == "" {
			r = request(peer, "X-Forwarded-For", xff, "X-Forwarded-For", "203.0.113.7")
			if got := ClientAddr(r, proxies); got != netip.MustParseAddr("203.0.113.7") {
				t.Errorf("got %v past the proxy's own word", got)
			}
		}
	})
}

func TestClientHints(t *testing.T) {
	for _, tt := range []struct {
		name    string
		headers []string
		want    bitjang.ClientHints
	}{
		{"none", nil, bitjang.ClientHints{}},
		{"Chrome", []string{"Sec-Ch-Ua", `"Chromium";v="140", "Not=A?Brand";v="24", "Google Chrome";v="140"`, "Sec-Ch-Ua-Mobile", "?0", "Sec-Ch-Ua-Platform", `"macOS"`, "Sec-Ch-Ua-Platform-Version", `"15.1"`},
			bitjang.ClientHints{Brand: "Google Chrome", Platform: "macOS", PlatformVersion: "15.1"}},
		{"a bare Chromium", []string{"Sec-Ch-Ua", `"Not A;Brand";v="99", "Chromium";v="140"`, "Sec-Ch-Ua-Mobile", "?1", "Sec-Ch-Ua-Model", `"Pixel 9"`}, bitjang.ClientHints{Brand: "Chromium", Mobile: true, Model: "Pixel 9"}},
		{"only brands that do not exist", []string{"Sec-Ch-Ua", `"Not A;Brand";v="99"`}, bitjang.ClientHints{}},
		{"not structured", []string{"Sec-Ch-Ua", `Chrome 140`, "Sec-Ch-Ua-Platform", `Windows; "`, "Sec-Ch-Ua-Mobile", "yes"}, bitjang.ClientHints{}},
		{"other types", []string{"Sec-Ch-Ua", `7, ("a" "b"), ?1`, "Sec-Ch-Ua-Platform", "7"}, bitjang.ClientHints{}},
	} {
		if diff := cmp.Diff(tt.want, clientHints(request("", tt.headers...).Header)); diff != "" {
			t.Errorf("%s:\n%s", tt.name, diff)
		}
	}
}

func TestCallerOfARequest(t *testing.T) {
	e := &Edge{Proxies: proxies}
	r := request("10.0.0.1:1", "X-Forwarded-For", "203.0.113.7", "User-Agent", "ua", "Cookie", deviceCookie+"=from%20cookie", "Sec-Ch-Ua-Platform", `"Linux"`)
	want := bitjang.Caller{IP: netip.MustParseAddr("203.0.113.7"), Device: bitjang.Device{ID: "from cookie", UserAgent: "ua", Hints: bitjang.ClientHints{Platform: "Linux"}}}
	if diff := cmp.Diff(want, e.Caller(r), cmpopts.EquateComparable(netip.Addr{}), cmpopts.IgnoreFields(bitjang.Caller{}, "Remembered"), cmpopts.IgnoreUnexported(bitjang.Caller{})); diff != "" {
		t.Error(diff)
	}
	r.Header.Add("Cookie", rememberedCookie+"=bjd_x")
	if got := e.Caller(r).Remembered.Reveal(); got != "bjd_x" {
		t.Errorf("got %q, want the cookie of a remembered device", got)
	}
	r.Header.Set(DeviceHeader, "from header")
	if got := e.Caller(r).Device.ID; got != "from header" {
		t.Errorf("got device %q", got)
	}
	if got := DeviceCookie(request("", "Cookie", deviceCookie+"=%zz")); got != "" {
		t.Errorf("got device %q from a mangled cookie", got)
	}
}

func TestPrefetchAndNavigation(t *testing.T) {
	for header, want := range map[string]bool{"Sec-Purpose: prefetch": true, "Sec-Purpose: PREFETCH;prerender": true, "Purpose: prefetch": true, "X-Moz: prefetch": true, "Sec-Purpose: ": false, "Purpose: x-prefetch": false} {
		name, value, _ := strings.Cut(header, ": ")
		if got := IsPrefetch(request("", name, value)); got != want {
			t.Errorf("%s: got %v", header, got)
		}
	}
	for _, tt := range []struct {
		headers []string
		want    bool
	}{
		{nil, false}, {[]string{"Accept", "*/*"}, false}, {[]string{"Accept", "text/html"}, true},
		{[]string{"Sec-Fetch-Mode", "navigate"}, true}, {[]string{"Sec-Fetch-Mode", "cors", "Accept", "text/html"}, false},
	} {
		if got := IsNavigation(request("", tt.headers...)); got != tt.want {
			t.Errorf("%v: got %v", tt.headers, got)
		}
	}
}
