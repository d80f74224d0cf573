package passhash

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	longestEncoded = 512 // bytes; the longest hash of any scheme here is below 200

	shortestSalt = 8
	longestSalt  = 128
	shortestTag  = 16 // a shorter tag would be matched by too many passwords
	longestTag   = 64
)

// parse reads a hash of any scheme. Its errors contain nothing of the input.
func parse(encoded string, most ceiling) (stored, error) {
	if len(encoded) > longestEncoded {
		return stored{}, fmt.Errorf("the hash is longer than %d bytes", longestEncoded)
	}
	if id, rest, ok := springID(encoded); ok {
		h, err := parseSpring(id, rest, most)
		h.ours = false // renewing it brings it to the one way of writing
		return h, err
	}
	if strings.HasPrefix(encoded, "$") {
		return parseModular(encoded, most)
	}
	h, err := parseDjango(encoded, most)
	h.ours = false
	return h, err
}

// springID splits what Spring Security's DelegatingPasswordEncoder writes: "{id}" and the hash.
func springID(encoded string) (id, rest string, ok bool) {
	inner, ok := strings.CutPrefix(encoded, "{")
	if !ok {
		return "", "", false
	}
	return strings.Cut(inner, "}")
}

func parseSpring(id, rest string, most ceiling) (stored, error) {
	switch id {
	case "argon2", "argon2@SpringSecurity_v5_8":
		return parseArgon2(rest, most)
	case "bcrypt":
		return parseBcrypt(rest, plainBcrypt, most)
	case "scrypt", "scrypt@SpringSecurity_v5_8":
		return parseSpringScrypt(rest, most)
	case "pbkdf2":
		return parseSpringPBKDF2(rest, springPBKDF2v55(), most)
	case "pbkdf2@SpringSecurity_v5_8":
		return parseSpringPBKDF2(rest, springPBKDF2v58(), most)
	}
	return stored{}, refuse("{" + id + "}")
}

// parseModular reads the formats that begin with a dollar sign and a name.
func parseModular(encoded string, most ceiling) (stored, error) {
	id, _, _ := strings.Cut(encoded[1:], "$")
	switch id {
	case "argon2id", "argon2i":
		return parseArgon2(encoded, most)
	case "2a", "2b", "2y":
		return parseBcrypt(encoded, plainBcrypt, most)
	case "scrypt":
		return parseScrypt(encoded, most)
	}
	return stored{}, refuse("$" + id + "$")
}

func parseDjango(encoded string, most ceiling) (stored, error) {
	id, rest, _ := strings.Cut(encoded, "$")
	switch id {
	case "argon2":
		return parseArgon2("$"+rest, most)
	case "bcrypt":
		return parseBcrypt(rest, plainBcrypt, most)
	case "bcrypt_sha256":
		return parseBcrypt(rest, sha256Bcrypt, most)
	case "scrypt":
		return parseDjangoScrypt(rest, most)
	case "pbkdf2_sha256", "pbkdf2_sha1":
		return parseDjangoPBKDF2(id, rest, most)
	}
	if strings.HasPrefix(encoded, "!") {
		return stored{}, errors.New("the account has no usable password (!)")
	}
	return stored{}, refuse(id + "$")
}

// refuse names a scheme that is known and not verified. It names no other: what looks like the name of a scheme may
// be the password itself, in an import whose columns were mixed up.
func refuse(scheme string) error {
	switch scheme {
	case "{noop}":
		return errors.New("{noop} is not a hash but the password itself")
	case "$2$", "$2x$":
		return errors.New("bcrypt: the revisions before 2a, and 2x, are not verified")
	}
	for _, known := range [...]string{
		"{ldap}", "{MD4}", "{MD5}", "{SHA-1}", "{SHA-256}", "{sha256}", "{SHA}", "{SSHA}",
		"$1$", "$5$", "$6$", "$7$", "$apr1$", "$gy$", "$y$", "$H$", "$P$", "$S$", "$sha1$", "$md5$", "$argon2d$",
		"$pbkdf2$", "$pbkdf2-sha256$", "$pbkdf2-sha512$", "$bcrypt-sha256$",
		"md5$", "sha1$", "unsalted_md5$", "unsalted_sha1$", "crypt$",
	} {
		if scheme == known {
			return fmt.Errorf("the scheme %s is not verified", known)
		}
	}
	return errors.New("the scheme is not known")
}

// errForm is the answer to every hash that is not written as its scheme writes hashes.
func errForm(scheme string) error {
	return errors.New(scheme + ": the hash is not well-formed")
}

// number reads a decimal number of at most nine digits written the one usual way: no sign, no zeros before it.
func number(s string) (int, bool) {
	if len(s) > 9 || s != "0" && strings.HasPrefix(s, "0") {
		return 0, false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}

// options reads "m=1,t=2,p=3" given the names m, t and p, in that order.
func options(s string, names ...string) ([]int, bool) {
	parts := strings.Split(s, ",")
	if len(parts) != len(names) {
		return nil, false
	}
	values := make([]int, len(parts))
	for i, part := range parts {
		digits, found := strings.CutPrefix(part, names[i]+"=")
		n, ok := number(digits)
		if !found || !ok {
			return nil, false
		}
		values[i] = n
	}
	return values, true
}

// decode reads base64 of between least and most bytes, refusing what no encoder writes: line breaks, which Go's
// decoder skips, and bits set beyond the last byte.
func decode(s string, enc *base64.Encoding, least, most int) ([]byte, bool) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, false
	}
	b, err := enc.Strict().DecodeString(s)
	return b, err == nil && len(b) >= least && len(b) <= most
}
