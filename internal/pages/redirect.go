package pages

import (
	"net/url"
	"path"
	"strings"
)

// home is where everything leads that leads nowhere else.
const home = "/account"

// maxLocalPath is room for an authorization request that is sealed into one, with
// an ID token as its hint. Browsers and proxies take twice that.
const maxLocalPath = 4096

// localPath is a path on this site with its query; the zero value is home.
type localPath struct{ text string }

func (l localPath) String() string {
	if l.text == "" {
		return home
	}
	return l.text
}

// parseLocalPath accepts what no browser takes for another site. "//evil" and
// "/\evil" are hosts to a browser, and it drops tabs and line breaks before it
// looks.
func parseLocalPath(text string) localPath {
	if len(text) > maxLocalPath || !strings.HasPrefix(text, "/") || strings.HasPrefix(text, "//") {
		return localPath{}
	}
	if strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c == '\\' || c == 0x7f }) {
		return localPath{}
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "" || u.Host != "" || strings.HasPrefix(u.Path, "//") || strings.Contains(u.Path, "\\") {
		return localPath{}
	}
	if clean := path.Clean(u.Path); clean != u.Path && clean+"/" != u.Path {
		return localPath{}
	}
	return localPath{u.RequestURI()}
}

// returnTarget is the only answer to "may we redirect there after a login?".
func (p *Pages) returnTarget(text string) string {
	if u, err := url.Parse(text); err == nil && u.Host != "" && len(text) <= 2048 {
		for _, r := range p.returns {
			if u.Scheme == r.Scheme && strings.EqualFold(u.Host, r.Host) && u.User == nil && below(u.Path, r.Path) && !strings.ContainsAny(text, "\\\r\n\t") {
				return u.String()
			}
		}
	}
	return parseLocalPath(text).String()
}

// below says that a path is a registered one or under it.
func below(p, base string) bool {
	if p == "" {
		p = "/"
	}
	clean := path.Clean(p)
	base = strings.TrimSuffix(base, "/")
	return (clean == p || clean+"/" == p) && (p == base || p == base+"/" || strings.HasPrefix(p, base+"/"))
}
