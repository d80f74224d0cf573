package passhash

import (
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
)

// pbkdf2Hash is what every way of writing a PBKDF2 hash comes down to.
type pbkdf2Hash struct {
	digest     func() hash.Hash
	iterations int
	salt, tag  []byte
}

func (h pbkdf2Hash) stored(most ceiling) (stored, error) {
	if h.iterations < 1 || h.iterations > most.iterations {
		return stored{}, fmt.Errorf("pbkdf2: the iterations are not within 1 and %d", most.iterations)
	}
	return derived(h.tag, func(password []byte) ([]byte, error) {
		tag, err := pbkdf2.Key(h.digest, string(password), h.salt, h.iterations, len(h.tag))
		if err != nil {
			return nil, errors.New("pbkdf2: this build refuses the parameters (FIPS 140 mode)")
		}
		return tag, nil
	}), nil
}

// parseDjangoPBKDF2 reads "1000000$salt$tag": the iterations, the salt as it is, and the tag.
func parseDjangoPBKDF2(id, rest string, most ceiling) (stored, error) {
	fields := strings.Split(rest, "$")
	if len(fields) != 3 || !djangoSalt(fields[1]) {
		return stored{}, errForm("pbkdf2")
	}
	digest, size := sha256.New, sha256.Size
	if id == "pbkdf2_sha1" {
		digest, size = sha1.New, sha1.Size
	}
	iterations, ok := number(fields[0])
	tag, tagOK := decode(fields[2], base64.StdEncoding, size, size)
	if !ok || !tagOK {
		return stored{}, errForm("pbkdf2")
	}
	return pbkdf2Hash{digest, iterations, []byte(fields[1]), tag}.stored(most)
}

// springPBKDF2 is one generation of Spring's Pbkdf2PasswordEncoder, which writes down none of its settings.
type springPBKDF2 struct {
	digest     func() hash.Hash
	iterations int
	saltLength int
}

func springPBKDF2v55() springPBKDF2 { return springPBKDF2{sha1.New, 185_000, 8} }
func springPBKDF2v58() springPBKDF2 { return springPBKDF2{sha256.New, 310_000, 16} }

// parseSpringPBKDF2 reads the hexadecimal digits of a salt and a tag of 32 bytes. A site that gave its encoder a
// secret, or settings of its own, has hashes that look the same and match no password here.
func parseSpringPBKDF2(rest string, encoder springPBKDF2, most ceiling) (stored, error) {
	b, err := hex.DecodeString(rest)
	if err != nil || len(b) != encoder.saltLength+32 {
		return stored{}, errForm("pbkdf2")
	}
	salt, tag := b[:encoder.saltLength], b[encoder.saltLength:]
	return pbkdf2Hash{encoder.digest, encoder.iterations, salt, tag}.stored(most)
}
