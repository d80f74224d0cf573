package dpop

import (
	"net"
	"net/url"
	"strings"
)

// sameURL compares two URLs as RFC 9449 section 4.3 asks: without query and
// fragment, after syntax- and scheme-based normalisation (RFC 3986 sections
// 6.2.2 and 6.2.3). What is no http or https URL equals nothing.
func sameURL(a, b string) bool {
	x, okX := normalise(a)
	y, okY := normalise(b)
	return okX && okY && x == y
}

func normalise(text string) (string, bool) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Opaque != "" {
		return "", false
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname())
	if host == "" {
		return "", false
	}
	port := u.Port()
	switch {
	case scheme == "https" && port == "443", scheme == "http" && port == "80":
		port = ""
	case scheme != "https" && scheme != "http":
		return "", false
	}
	if port != "" {
		host = net.JoinHostPort(host, port)
	} else if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return scheme + "://" + host + normalPath(u.EscapedPath()), true
}

// normalPath takes dots out, decodes what need not be encoded and writes the
// rest of the escapes in capitals.
func normalPath(escaped string) string {
	var b strings.Builder
	for i := 0; i < len(escaped); i++ {
		if escaped[i] != '%' || i+2 >= len(escaped) {
			b.WriteByte(escaped[i])
			continue
		}
		code := strings.ToUpper(escaped[i : i+3])
		if c, err := url.PathUnescape(code); err == nil && unreserved(c[0]) {
			code = c
		}
		b.WriteString(code)
		i += 2
	}
	return withoutDots(b.String())
}

// withoutDots is RFC 3986 section 5.2.4. Unlike path.Clean it leaves two slashes
// in a row alone: they are not the same place as one.
func withoutDots(p string) string {
	segments := strings.Split(strings.TrimPrefix(p, "/"), "/")
	kept := segments[:0]
	for i, s := range segments {
		last := i == len(segments)-1
		switch s {
		case ".", "..":
			if s == ".." && len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
			if last {
				kept = append(kept, "") // the place itself, with its slash
			}
		default:
			kept = append(kept, s)
		}
	}
	return "/" + strings.Join(kept, "/")
}

// unreserved is RFC 3986 section 2.3.
func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}
