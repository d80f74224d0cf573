package passhash

import (
	"strings"
	"testing"
)

const (
	salt16 = "AAAAAAAAAAAAAAAAAAAAAA"
	tag32  = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	bc53   = "CqEJgedqvpDSv8c36s4X4OYR60b0k8xZL88sC3l5aNVUWUbOpjRmm"
)

// The bounds are tested by Recognised alone, which must say no before anything is spent.
func TestTheCostOfAStoredHashIsBounded(t *testing.T) {
	argon := func(params string) string { return "$argon2id$v=19$" + params + "$" + salt16 + "$" + tag32 }
	phc := func(params string) string { return "$scrypt$" + params + "$" + salt16 + "$" + tag32 }
	spring := func(params string) string { return "{scrypt}$" + params + "$" + salt16 + "==$" + tag32 + "=" }
	tests := []struct {
		name, encoded string
		want          string // part of the error, empty for none
	}{
		{"argon2 of 1 GiB in four passes", argon("m=1048576,t=4,p=1"), ""},
		{"argon2 of 1 GiB in five passes", argon("m=1048576,t=5,p=1"), "m times t"},
		{"argon2 above 1 GiB", argon("m=1048577,t=1,p=1"), "memory (m) is above"},
		{"argon2 of the most passes", argon("m=64,t=65536,p=1"), ""},
		{"argon2 of one pass more", argon("m=64,t=65537,p=1"), "m times t"},
		{"argon2 whose product overflows 32 bits", argon("m=65536,t=65536,p=1"), "m times t"},
		{"argon2 of no pass", argon("m=64,t=0,p=1"), "passes (t) is below 1"},
		{"argon2 of no thread", argon("m=64,t=1,p=0"), "parallelism (p) is below 1"},
		{"argon2 of 255 threads", argon("m=2040,t=1,p=255"), ""},
		{"argon2 of 256 threads", argon("m=4096,t=1,p=256"), "above 255"},
		{"argon2 with too little memory for its threads", argon("m=15,t=1,p=2"), "below 8 KiB"},
		{"bcrypt of cost 4", "$2b$04$" + bc53, ""},
		{"bcrypt of cost 16", "$2b$16$" + bc53, ""},
		{"bcrypt of cost 3", "$2b$03$" + bc53, "not within 4 and 16"},
		{"bcrypt of cost 17", "$2b$17$" + bc53, "not within 4 and 16"},
		{"bcrypt of cost 99", "$2b$99$" + bc53, "not within 4 and 16"},
		{"scrypt of 1 GiB", phc("ln=20,r=8,p=1"), ""},
		{"scrypt of 2 GiB", phc("ln=21,r=8,p=1"), "above"},
		{"scrypt of 1 GiB in two lanes", phc("ln=20,r=8,p=2"), "above"},
		{"scrypt of N = 1", phc("ln=0,r=8,p=1"), "2^30"},
		{"scrypt of N = 2^31", phc("ln=31,r=1,p=1"), "2^30"},
		{"scrypt of N = 2^64", phc("ln=64,r=1,p=1"), "2^30"},
		{"scrypt of r = 0", phc("ln=4,r=0,p=1"), "2^30"},
		{"scrypt of r = 256", phc("ln=4,r=256,p=1"), "2^30"},
		{"scrypt of p = 0", phc("ln=4,r=8,p=0"), "2^30"},
		{"scrypt of p = 256", phc("ln=4,r=8,p=256"), "2^30"},
		{"Spring's scrypt of 1 GiB", spring("140801"), ""},
		{"Spring's scrypt of 2 GiB", spring("150801"), "above"},
		{"Spring's scrypt of r = 0", spring("e0001"), "2^30"},
		{"Spring's scrypt of p = 0", spring("e0800"), "2^30"},
		{"Spring's scrypt of all bits", spring("ffffffff"), "2^30"},
		{"Django's scrypt of 1 GiB", "scrypt$1048576$salt$8$1$" + tag32 + "=", ""},
		{"Django's scrypt of 2 GiB", "scrypt$2097152$salt$8$1$" + tag32 + "=", "above"},
		{"Django's scrypt of N = 0", "scrypt$0$salt$8$1$" + tag32 + "=", "well-formed"},
		{"Django's scrypt of N = 1000", "scrypt$1000$salt$8$1$" + tag32 + "=", "well-formed"},
		{"PBKDF2 of 10 million iterations", "pbkdf2_sha256$10000000$salt$" + tag32 + "=", ""},
		{"PBKDF2 of one more", "pbkdf2_sha256$10000001$salt$" + tag32 + "=", "iterations"},
		{"PBKDF2 of none", "pbkdf2_sha256$0$salt$" + tag32 + "=", "iterations"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkRefusal(t, tt.encoded, tt.want)
		})
	}
}

func TestWhatIsNotAHashIsRefused(t *testing.T) {
	good := Hash([]byte("secret"), cheap())
	tests := []struct {
		name, encoded, want string
	}{
		{"nothing", "", "not known"},
		{"a password", "hunter2-hunter2", "not known"},
		{"a password in braces", "{hunter2}", "not known"},
		{"a password between dollars", "$hunter2$hunter2", "not known"},
		{"a lone brace", "{bcrypt", "not known"},
		{"a lone dollar", "$", "not known"},
		{"Spring's noop", "{noop}hunter2", "the password itself"},
		{"Spring's MD5", "{MD5}{AAAA}5f4dcc3b5aa765d61d8327deb882cf99", "{MD5} is not verified"},
		{"Django's unusable password", "!hunter2", "no usable password"},
		{"Django's md5", "md5$salt$5f4dcc3b5aa765d61d8327deb882cf99", "md5$ is not verified"},
		{"sha512crypt", "$6$salt$hunter2", "$6$ is not verified"},
		{"yescrypt", "$y$j9T$salt$hunter2", "$y$ is not verified"},
		{"phpass", "$P$Bhunter2", "$P$ is not verified"},
		{"bcrypt of the buggy 2x", "$2x$10$" + bc53, "2x"},
		{"the first bcrypt", "$2$10$" + bc53, "2x"},
		{"argon2d", strings.Replace(good, "argon2id", "argon2d", 1), "$argon2d$ is not verified"},
		{"argon2 of version 1.0", strings.Replace(good, "v=19", "v=16", 1), "version 1.3"},
		{"argon2 without a version", strings.Replace(good, "$v=19", "", 1), "version 1.3"},
		{"argon2 with a key id", strings.Replace(good, "p=1", "p=1,keyid=AAAA", 1), "well-formed"},
		{"argon2 in another order", strings.Replace(good, "m=64,t=1", "t=1,m=64", 1), "well-formed"},
		{"a number with a sign", strings.Replace(good, "m=64", "m=+64", 1), "well-formed"},
		{"a number with zeros", strings.Replace(good, "m=64", "m=064", 1), "well-formed"},
		{"a number beyond any integer", strings.Replace(good, "m=64", "m=18446744073709551680", 1), "well-formed"},
		{"an empty number", strings.Replace(good, "m=64", "m=", 1), "well-formed"},
		{"an empty tag", good[:strings.LastIndex(good, "$")+1], "well-formed"},
		{"a tag of three bytes", good[:strings.LastIndex(good, "$")+1] + "AAAA", "well-formed"},
		{"a tag with padding", good + "=", "well-formed"},
		{"a tag with a line break", good + "\n", "well-formed"},
		{"a tag with bits left over", good[:strings.LastIndex(good, "$")+1] + "AAAAAAAAAAAAAAAAAAAAAB", "well-formed"},
		{"something behind", good + "$", "well-formed"},
		{"bcrypt cut short", "$2b$10$" + bc53[1:], "well-formed"},
		{"bcrypt with something behind", "$2b$10$" + bc53 + "x", "well-formed"},
		{"bcrypt with a line break", "$2b$10$" + bc53[1:] + "\n", "well-formed"},
		{"bcrypt with a signed cost", "$2b$+4$" + bc53, "well-formed"},
		{"Spring's bcrypt twice", "{bcrypt}{bcrypt}$2b$10$" + bc53[8:], "well-formed"},
		{"Spring's PBKDF2 cut short", "{pbkdf2}" + strings.Repeat("00", 39), "well-formed"},
		{"Spring's PBKDF2 under the older name", "{pbkdf2}" + strings.Repeat("00", 48), "well-formed"},
		{"Spring's PBKDF2 not in digits", "{pbkdf2}" + strings.Repeat("0g", 40), "well-formed"},
		{"Spring's scrypt of a number too large", "{scrypt}$1000000000$" + salt16 + "==$" + tag32 + "=", "well-formed"},
		{"Django's PBKDF2 with the tag of another digest", "pbkdf2_sha1$1000$salt$" + tag32 + "=", "well-formed"},
		{"Django's PBKDF2 without a salt", "pbkdf2_sha256$1000$$" + tag32 + "=", "well-formed"},
		{"megabytes", strings.Repeat("$", 1<<20), "longer than 512"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkRefusal(t, tt.encoded, tt.want)
			match, outdated, err := Verify(tt.encoded, []byte("hunter2"), cheap())
			if match || outdated || err == nil {
				t.Errorf("Verify: got %t, %t, %v, want an error alone", match, outdated, err)
			}
		})
	}
}

// checkRefusal checks that Recognised answers with an error containing want, and shows nothing of the hash by it.
func checkRefusal(t *testing.T, encoded, want string) {
	t.Helper()
	err := Recognised(encoded)
	if want == "" {
		if err != nil {
			t.Fatalf("got %v, want nil", err)
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("got %v, want an error containing %q", err, want)
	}
	for _, secret := range []string{"hunter2", "AAAA", bc53[1:20], "5f4dcc3b"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error shows a part of the hash: %v", err)
		}
	}
}
