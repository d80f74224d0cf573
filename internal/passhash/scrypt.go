package passhash

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"golang.org/x/crypto/scrypt"
)

// scryptHash is what every way of writing an scrypt hash comes down to.
type scryptHash struct {
	ln        int // logarithm of the cost N
	r, p      int
	salt, tag []byte
}

func (h scryptHash) stored(most ceiling) (stored, error) {
	// 255 is what fits Spring's format; it also keeps the products below from overflowing.
	if h.ln < 1 || h.ln > 30 || h.r < 1 || h.r > 255 || h.p < 1 || h.p > 255 {
		return stored{}, errors.New("scrypt: the cost is not within 2 and 2^30, or r or p is not within 1 and 255")
	}
	if work := uint64(h.r) * uint64(h.p) << h.ln / 8; work > most.scryptKiB { // blocks are of 128 bytes
		return stored{}, fmt.Errorf("scrypt: the memory times p (N times r times p) is above %d KiB", most.scryptKiB)
	}
	return derived(h.tag, func(password []byte) ([]byte, error) {
		return scrypt.Key(password, h.salt, 1<<h.ln, h.r, h.p, len(h.tag))
	}), nil
}

// parseScrypt reads "$scrypt$ln=16,r=8,p=1$salt$tag".
func parseScrypt(encoded string, most ceiling) (stored, error) {
	fields := strings.Split(encoded, "$")
	if len(fields) != 5 {
		return stored{}, errForm("scrypt")
	}
	values, ok := options(fields[2], "ln", "r", "p")
	if !ok {
		return stored{}, errForm("scrypt")
	}
	salt, saltOK := decode(fields[3], base64.RawStdEncoding, shortestSalt, longestSalt)
	tag, tagOK := decode(fields[4], base64.RawStdEncoding, shortestTag, longestTag)
	if !saltOK || !tagOK {
		return stored{}, errForm("scrypt")
	}
	return scryptHash{values[0], values[1], values[2], salt, tag}.stored(most)
}

// parseSpringScrypt reads "$e0801$salt$tag", where the first field is one hexadecimal number: log2(N), then a byte
// of r and a byte of p.
func parseSpringScrypt(rest string, most ceiling) (stored, error) {
	fields := strings.Split(rest, "$")
	if len(fields) != 4 || fields[0] != "" {
		return stored{}, errForm("scrypt")
	}
	packed, err := strconv.ParseUint(fields[1], 16, 32)
	if err != nil {
		return stored{}, errForm("scrypt")
	}
	salt, saltOK := decode(fields[2], base64.StdEncoding, shortestSalt, longestSalt)
	tag, tagOK := decode(fields[3], base64.StdEncoding, shortestTag, longestTag)
	if !saltOK || !tagOK {
		return stored{}, errForm("scrypt")
	}
	return scryptHash{int(packed >> 16), int(packed >> 8 & 0xff), int(packed & 0xff), salt, tag}.stored(most)
}

// parseDjangoScrypt reads "16384$salt$8$5$tag": N, the salt as it is, r, p and the tag.
func parseDjangoScrypt(rest string, most ceiling) (stored, error) {
	fields := strings.Split(rest, "$")
	if len(fields) != 5 {
		return stored{}, errForm("scrypt")
	}
	n, nOK := number(fields[0])
	r, rOK := number(fields[2])
	p, pOK := number(fields[3])
	tag, tagOK := decode(fields[4], base64.StdEncoding, shortestTag, longestTag)
	if !nOK || !rOK || !pOK || !tagOK || !djangoSalt(fields[1]) || bits.OnesCount(uint(n)) != 1 {
		return stored{}, errForm("scrypt")
	}
	return scryptHash{bits.TrailingZeros(uint(n)), r, p, []byte(fields[1]), tag}.stored(most)
}

// djangoSalt tells whether Django could have used the salt: any text, which old versions and some callers kept short.
func djangoSalt(salt string) bool {
	return salt != "" && len(salt) <= longestSalt
}
