package passhash

import (
	_ "embed"
	"strings"
)

// commonText is one password a line, lower-case, of at least eight characters, in the order of their bytes; every
// line ends in a newline. NOTICE says where it comes from, testdata/make_common.py makes it.
//
//go:embed common.txt
var commonText string

// Common tells whether the password, in whatever case, is one of the commonest, which are what guessing starts with.
func Common(password string) bool {
	word := strings.ToLower(password)
	low, high := 0, len(commonText) // both at the start of a line
	for low < high {
		middle := low + (high-low)/2
		start := low + strings.LastIndexByte(commonText[low:middle], '\n') + 1
		end := start + strings.IndexByte(commonText[start:], '\n')
		switch c := strings.Compare(word, commonText[start:end]); {
		case c == 0:
			return true
		case c < 0:
			high = start
		default:
			low = end + 1
		}
	}
	return false
}
