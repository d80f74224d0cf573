package passhash

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

const (
	bcryptLength   = 60 // bytes of "$2b$12$" with 22 of salt and 31 of tag
	bcryptAlphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// parseBcrypt reads "$2b$12$" and 53 characters of salt and tag. prepare says which bytes of a password the source
// system gave to bcrypt.
func parseBcrypt(encoded string, prepare func([]byte) []byte, most ceiling) (stored, error) {
	if len(encoded) != bcryptLength || encoded[6] != '$' {
		return stored{}, errForm("bcrypt")
	}
	switch encoded[:4] {
	case "$2a$", "$2b$", "$2y$": // one function; the letters tell which bugs its authors had fixed
	default:
		return stored{}, errForm("bcrypt")
	}
	cost, ok := number(strings.TrimPrefix(encoded[4:6], "0"))
	if !ok || strings.Trim(encoded[7:], bcryptAlphabet) != "" {
		return stored{}, errForm("bcrypt")
	}
	if cost < bcrypt.MinCost || cost > most.bcryptCost {
		return stored{}, fmt.Errorf("bcrypt: the cost is not within %d and %d", bcrypt.MinCost, most.bcryptCost)
	}
	return stored{matches: func(password []byte) (bool, error) {
		err := bcrypt.CompareHashAndPassword([]byte(encoded), prepare(password))
		if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
			return false, nil
		}
		if err != nil {
			return false, errForm("bcrypt") // the cause may quote the hash
		}
		return true, nil
	}}, nil
}

// plainBcrypt gives bcrypt the first 72 bytes. bcrypt takes no more into account, and the systems these hashes come
// from cut longer passwords off there without a word: whoever set a longer one must still get in with it. Some later
// versions refuse such a password, but only when it is set. x/crypto refuses it too when it makes a hash, and ignores
// the rest when it compares; cutting here depends on neither. New hashes are argon2id, which has no such limit.
func plainBcrypt(password []byte) []byte {
	return password[:min(len(password), 72)]
}

// sha256Bcrypt is Django's bcrypt_sha256, which escapes that limit by hashing first.
func sha256Bcrypt(password []byte) []byte {
	sum := sha256.Sum256(password)
	return hex.AppendEncode(nil, sum[:])
}
