package jws

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// maxMembers bounds the members of an object, because each name is compared
// with all others.
const maxMembers = 128

// Member is a member of a JSON object: its name, and its value as it stood
// there.
type Member struct {
	Name  string
	Value []byte
}

// Text returns the value if it is a string.
func (m Member) Text() (string, bool) { return unquote(m.Value) }

// Members splits a JSON object. It exists because encoding/json takes the last
// of two members with one name, and takes "ALG" for "alg": two readers of one
// token could then see different tokens. Here names are exact, and a repeated
// name makes the object malformed, as RFC 7515 section 4 and RFC 7519 section 4
// allow. Objects inside the object are not looked into.
func Members(data []byte) ([]Member, error) {
	if !utf8.Valid(data) || !json.Valid(data) {
		return nil, ErrMalformed
	}
	// From here on the text is known to be JSON, so there is always a next byte.
	rest := skipSpace(data)
	if rest[0] != '{' {
		return nil, ErrMalformed
	}
	members := make([]Member, 0, 16)
	for rest = skipSpace(rest[1:]); rest[0] != '}'; {
		n := valueLen(rest)
		name, _ := unquote(rest[:n])
		rest = skipSpace(rest[n:])
		rest = skipSpace(rest[1:]) // behind the colon
		n = valueLen(rest)
		if len(members) == maxMembers || contains(members, name) {
			return nil, ErrMalformed
		}
		members = append(members, Member{name, rest[:n:n]})
		if rest = skipSpace(rest[n:]); rest[0] == ',' {
			rest = skipSpace(rest[1:])
		}
	}
	return members, nil
}

func contains(members []Member, name string) bool {
	for i := range members {
		if members[i].Name == name {
			return true
		}
	}
	return false
}

func skipSpace(b []byte) []byte { return bytes.TrimLeft(b, " \t\r\n") }

// valueLen returns the length of the JSON value that b begins with. b is a piece
// of valid JSON.
func valueLen(b []byte) int {
	depth := 0
	for i := 0; ; {
		switch b[i] {
		case '"':
			i += stringLen(b[i:])
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		case ',', ':', ' ', '\t', '\r', '\n':
			i++
		default: // a number, true, false or null
			i += bytes.IndexAny(b[i:], ",]} \t\r\n")
		}
		if depth == 0 {
			return i
		}
	}
}

// stringLen returns the length of the JSON string that b begins with, quotes
// included.
func stringLen(b []byte) int {
	for i := 1; ; i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

func unquote(value []byte) (string, bool) {
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1]), true
	}
	var s string
	err := json.Unmarshal(value, &s)
	return s, err == nil
}
