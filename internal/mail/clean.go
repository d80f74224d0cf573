package mail

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of what strangers may show in a mail, in characters.
const (
	maxName    = 60
	maxLabel   = 40
	maxEmail   = 254
	maxSubject = 150
)

// line makes outside text fit to stand in a line: no line breaks, nothing
// invisible that could turn the text around it (bidirectional controls), at
// most limit characters.
func line(text string, limit int) string {
	if bytes := limit * 4 * utf8.UTFMax; len(text) > bytes {
		text = text[:bytes] // nobody wants to look at the rest
	}
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\u200c' || r == '\u200d':
			return r // joiners: names in Persian and emoji need them
		case unicode.IsSpace(r):
			return ' '
		case r == utf8.RuneError || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs):
			return -1
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	return strings.TrimSpace(string([]rune(text)[:limit-1])) + "…"
}

var (
	spaced = regexp.MustCompile(`\s`)
	// linkLike finds what mail programs turn into links: addresses of all kinds,
	// and names like evil.example even without a scheme.
	linkLike = regexp.MustCompile(`[/\\@:]|[.。．｡][\p{L}\p{N}]{2}`)
)

// unlinked is line for text that has no business being a link. Anybody can sign
// up with somebody else's address and a name that says "You won: evil.example";
// such a text is left out, or our mails would be that stranger's.
func unlinked(text string, limit int) string {
	if text = line(text, limit); linkLike.MatchString(text) {
		return ""
	}
	return text
}
