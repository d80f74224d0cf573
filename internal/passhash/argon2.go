package passhash

import (
	"encoding/base64"
	"errors"
	"math"
	"strings"

	"golang.org/x/crypto/argon2"
)

// parseArgon2 reads "$argon2id$v=19$m=19456,t=2,p=1$salt$tag", and the same with argon2i.
func parseArgon2(encoded string, most ceiling) (stored, error) {
	fields := strings.Split(encoded, "$")
	if len(fields) < 3 || fields[0] != "" || fields[1] != "argon2id" && fields[1] != "argon2i" {
		return stored{}, errForm("argon2")
	}
	if fields[2] != "v=19" {
		return stored{}, errors.New("argon2: only version 1.3 (v=19) is verified")
	}
	if len(fields) != 6 {
		return stored{}, errForm("argon2")
	}
	p, err := parseArgon2Params(fields[3], most)
	if err != nil {
		return stored{}, err
	}
	salt, saltOK := decode(fields[4], base64.RawStdEncoding, shortestSalt, longestSalt)
	tag, tagOK := decode(fields[5], base64.RawStdEncoding, shortestTag, longestTag)
	if !saltOK || !tagOK {
		return stored{}, errForm("argon2")
	}
	key := argon2.IDKey
	if fields[1] == "argon2i" {
		key = argon2.Key
	}
	h := derived(tag, func(password []byte) ([]byte, error) {
		return key(password, salt, p.Time, p.MemoryKiB, p.Threads, uint32(len(tag))), nil
	})
	h.params = p
	h.ours = fields[1] == "argon2id" && len(salt) == saltLength && len(tag) == tagLength
	return h, nil
}

func parseArgon2Params(s string, most ceiling) (Params, error) {
	values, ok := options(s, "m", "t", "p")
	if !ok {
		return Params{}, errForm("argon2")
	}
	if values[2] > math.MaxUint8 {
		return Params{}, errors.New("argon2: the parallelism (p) is above 255")
	}
	p := Params{MemoryKiB: uint32(values[0]), Time: uint32(values[1]), Threads: uint8(values[2])}
	return p, p.check(most)
}
