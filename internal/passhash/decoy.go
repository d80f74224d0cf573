package passhash

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"golang.org/x/crypto/argon2"
)

// Decoy makes a hash that no password matches and that costs as much to check as one of Hash's: for users that do not
// exist. It costs nothing to make.
func Decoy(p Params) string {
	random := make([]byte, saltLength+tagLength)
	rand.Read(random) // never fails
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.MemoryKiB, p.Time, p.Threads,
		base64.RawStdEncoding.EncodeToString(random[:saltLength]), base64.RawStdEncoding.EncodeToString(random[saltLength:]))
}
