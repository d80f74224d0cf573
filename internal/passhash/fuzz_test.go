package passhash

import (
	"testing"
	"time"
)

// FuzzVerify runs under a low ceiling: whatever gets past it must be quick, which is what the real one promises
// with larger numbers.
func FuzzVerify(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.Encoded, []byte(v.Password))
	}
	f.Add("{noop}secret", []byte("secret"))
	f.Add("$argon2id$v=19$m=8,t=0,p=0$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA", []byte(""))
	f.Add("{scrypt}$10101$AAAAAAAAAAAAAAAAAAAAAA==$AAAAAAAAAAAAAAAAAAAAAA==", []byte("secret"))
	today := cheap()
	f.Fuzz(func(t *testing.T, encoded string, password []byte) {
		recognised := Recognised(encoded)
		start := time.Now()
		match, outdated, err := verify(encoded, password, today, cheapOnly())
		if took := time.Since(start); took > 5*time.Second { // milliseconds, but the machine may be busy
			t.Errorf("took %v under the low ceiling", took)
		}
		if err == nil && recognised != nil {
			t.Errorf("verified, but Recognised says %v", recognised)
		}
		if err != nil && (match || outdated) {
			t.Errorf("got %t, %t beside the error %v", match, outdated, err)
		}
		if err == nil && !outdated {
			again, _, err := verify(encoded, password, today, cheapOnly())
			if again != match || err != nil {
				t.Errorf("got %t, %v the second time, want %t, nil", again, err, match)
			}
		}
	})
}
