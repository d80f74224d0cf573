package passhash

import (
	"strings"
	"testing"
)

func BenchmarkHashAtTheDefault(b *testing.B) {
	for b.Loop() {
		Hash([]byte("correct horse battery staple"), Default())
	}
}

func BenchmarkVerifyBcrypt10(b *testing.B) {
	benchmarkVerify(b, "{bcrypt}$2a$10$")
}

// The next ones are what the ceiling of limits comes from.
func BenchmarkVerifyAtTheCeiling(b *testing.B) {
	tests := []struct{ name, encoded string }{
		{"argon2", "$argon2id$v=19$m=1048576,t=4,p=1$" + salt16 + "$" + tag32},
		{"scrypt", "$scrypt$ln=20,r=8,p=1$" + salt16 + "$" + tag32},
		{"bcrypt", "$2b$16$" + bc53},
		{"PBKDF2", "pbkdf2_sha256$10000000$salt$" + tag32 + "="},
	}
	for _, tt := range tests {
		b.Run(tt.name, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := Verify(tt.encoded, []byte("secret"), Default()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCommon(b *testing.B) {
	for b.Loop() {
		Common("correct horse battery staple")
	}
}

// benchmarkVerify verifies the first vector that begins with prefix.
func benchmarkVerify(b *testing.B, prefix string) {
	b.Helper()
	for _, v := range vectors(b) {
		if !strings.HasPrefix(v.Encoded, prefix) {
			continue
		}
		for b.Loop() {
			if match, _, err := Verify(v.Encoded, []byte(v.Password), Default()); !match || err != nil {
				b.Fatalf("got %t, %v", match, err)
			}
		}
		return
	}
	b.Fatalf("no vector begins with %s", prefix)
}
