package passhash

import (
	"embed"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

//go:embed testdata/*.json
var testdata embed.FS

// vector is one hash made by another program.
type vector struct {
	MadeWith string `json:"made_with"`
	Scheme   string `json:"scheme"`
	Password string `json:"password"`
	Encoded  string `json:"encoded"`
}

func vectors(t testing.TB) []vector {
	t.Helper()
	var all []vector
	for _, name := range []string{"python.json", "spring.json"} {
		b, err := testdata.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		var some []vector
		if err := json.Unmarshal(b, &some); err != nil {
			t.Fatal(err)
		}
		all = append(all, some...)
	}
	return all
}

// cheap is a cost that tests can pay many times.
func cheap() Params { return Params{MemoryKiB: 64, Time: 1, Threads: 1} }

// cheapOnly is a ceiling under which no check takes more than a few milliseconds.
func cheapOnly() ceiling {
	return ceiling{memoryKiB: 2048, argon2KiB: 4096, scryptKiB: 128, bcryptCost: 5, iterations: 2000}
}

type result struct {
	Match, Outdated bool
	Failed          bool
}

func resultOf(match, outdated bool, err error) result {
	return result{match, outdated, err != nil}
}

func TestHashesOfOtherProgramsVerify(t *testing.T) {
	for i, v := range vectors(t) {
		t.Run(fmt.Sprintf("%s by %s (%d)", v.Scheme, v.MadeWith, i), func(t *testing.T) {
			t.Parallel()
			if err := Recognised(v.Encoded); err != nil {
				t.Fatalf("Recognised: got %v, want nil", err)
			}
			got := resultOf(Verify(v.Encoded, []byte(v.Password), Default()))
			if diff := cmp.Diff(result{Match: true, Outdated: true}, got); diff != "" {
				t.Errorf("the password itself (-want +got):\n%s", diff)
			}
			if _, err := parse(v.Encoded, cheapOnly()); err != nil {
				return // too dear to pay twice; the same scheme has a cheap one, or a test of its own
			}
			got = resultOf(Verify(v.Encoded, []byte("x"+v.Password), Default()))
			if diff := cmp.Diff(result{Outdated: true}, got); diff != "" {
				t.Errorf("another password (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEverySchemeHasVectorsOfEveryKindOfPassword(t *testing.T) {
	kinds := make(map[string]map[string]bool)
	for _, v := range vectors(t) {
		if kinds[v.Scheme] == nil {
			kinds[v.Scheme] = make(map[string]bool)
		}
		switch {
		case len(v.Password) > 72:
			kinds[v.Scheme]["longer than 72 bytes"] = true
		case strings.ContainsFunc(v.Password, func(r rune) bool { return r > 0x7f }):
			kinds[v.Scheme]["not ASCII"] = true
		case v.Password != "":
			kinds[v.Scheme]["plain"] = true
		}
	}
	want := make(map[string]map[string]bool)
	for _, scheme := range []string{
		"argon2", "argon2id", "argon2i", "argon2@SpringSecurity_v5_8", "bcrypt", "bcrypt_sha256", "scrypt",
		"scrypt@SpringSecurity_v5_8", "pbkdf2", "pbkdf2@SpringSecurity_v5_8", "pbkdf2_sha1", "pbkdf2_sha256",
	} {
		want[scheme] = map[string]bool{"plain": true, "not ASCII": true, "longer than 72 bytes": true}
	}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("vectors (-want +got):\n%s", diff)
	}
}

func TestHashMakesWhatVerifyAccepts(t *testing.T) {
	for _, password := range []string{"", "correct horse", "비밀번호", strings.Repeat("long ", 100), "with\x00nul"} {
		encoded := Hash([]byte(password), cheap())
		got := resultOf(Verify(encoded, []byte(password), cheap()))
		if diff := cmp.Diff(result{Match: true}, got); diff != "" {
			t.Errorf("the password itself (-want +got):\n%s", diff)
		}
		got = resultOf(Verify(encoded, []byte(password+"x"), cheap()))
		if diff := cmp.Diff(result{}, got); diff != "" {
			t.Errorf("another password (-want +got):\n%s", diff)
		}
	}
}

func TestHashWritesThePHCFormWithAFreshSalt(t *testing.T) {
	form := regexp.MustCompile(`^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$`)
	a, b := Hash([]byte("secret"), Default()), Hash([]byte("secret"), Default())
	if !form.MatchString(a) {
		t.Errorf("got %s, want the form %s", a, form)
	}
	if strings.Split(a, "$")[4] == strings.Split(b, "$")[4] {
		t.Error("two hashes have the same salt")
	}
}

func TestOutdatedMeansNotWhatHashWouldMakeToday(t *testing.T) {
	ours := Hash([]byte("secret"), cheap())
	tests := []struct {
		name    string
		encoded string
		today   Params
		want    bool
	}{
		{"the same parameters are of today", ours, cheap(), false},
		{"less memory than today's is outdated", ours, Params{128, 1, 1}, true},
		{"more memory than today's is outdated", ours, Params{32, 1, 1}, true},
		{"fewer passes are outdated", ours, Params{64, 2, 1}, true},
		{"other parallelism is outdated", ours, Params{64, 1, 2}, true},
		{"Spring's prefix is outdated", "{argon2}" + ours, cheap(), true},
		{"Django's prefix is outdated", "argon2" + ours, cheap(), true},
		{"argon2i is outdated", strings.Replace(ours, "argon2id", "argon2i", 1), cheap(), true},
		{"a shorter salt is outdated",
			"$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAA$" + strings.Split(ours, "$")[5], cheap(), true},
		{"a shorter tag is outdated", ours[:strings.LastIndex(ours, "$")] + "$AAAAAAAAAAAAAAAAAAAAAA", cheap(), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, password := range []string{"secret", "wrong"} {
				_, got, err := Verify(tt.encoded, []byte(password), tt.today)
				if err != nil || got != tt.want {
					t.Errorf("password %q: got %t, %v, want %t, nil", password, got, err, tt.want)
				}
			}
		})
	}
}

func TestAChangedByteNeverMatches(t *testing.T) {
	t.Parallel()
	examples := []vector{{Scheme: "ours", Password: "secret", Encoded: Hash([]byte("secret"), cheap())}}
	seen := make(map[string]bool)
	for _, v := range vectors(t) {
		match, _, err := verify(v.Encoded, []byte(v.Password), cheap(), cheapOnly())
		if kind := v.Scheme + v.MadeWith; match && err == nil && !seen[kind] {
			seen[kind] = true
			examples = append(examples, v)
		}
	}
	if len(examples) < 12 {
		t.Fatalf("got %d cheap examples, want at least 12", len(examples))
	}
	for _, v := range examples {
		for i := range len(v.Encoded) {
			changed := []byte(v.Encoded)
			changed[i] ^= 1
			match, _, err := verify(string(changed), []byte(v.Password), cheap(), cheapOnly())
			if !match || err != nil {
				continue
			}
			if at := i - strings.Index(v.Encoded, "$2"); strings.HasPrefix(v.Scheme, "bcrypt") && at == 28 {
				continue // the last character of the salt has four bits that bcrypt does not use
			}
			t.Errorf("%s: matches with byte %d of %s changed", v.Scheme, i, v.Encoded)
		}
	}
}

func TestAChangedSaltOrTagOfSpringPBKDF2NeverMatches(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, v := range vectors(t) {
		if !strings.HasPrefix(v.Scheme, "pbkdf2") || !strings.HasPrefix(v.Encoded, "{") || seen[v.Scheme] {
			continue
		}
		seen[v.Scheme] = true
		for _, i := range []int{len(v.Scheme) + 2, len(v.Encoded) - 1} {
			changed := []byte(v.Encoded)
			changed[i] = "123456789abcdef0"[strings.IndexByte("0123456789abcdef", changed[i])]
			if match, _, err := Verify(string(changed), []byte(v.Password), cheap()); match || err != nil {
				t.Errorf("%s, byte %d: got %t, %v, want false, nil", v.Scheme, i, match, err)
			}
		}
	}
}

func TestParamsAreCheckedBeforeTheyReachArgon2(t *testing.T) {
	tests := []struct {
		name string
		p    Params
		ok   bool
	}{
		{"the default is usable", Default(), true},
		{"the zero value is not", Params{}, false},
		{"no passes are not", Params{64, 0, 1}, false},
		{"no threads are not", Params{64, 1, 0}, false},
		{"less than 8 KiB a thread is not", Params{15, 1, 2}, false},
		{"8 KiB a thread is", Params{16, 1, 2}, true},
		{"1 GiB in four passes is", Params{1 << 20, 4, 1}, true},
		{"1 GiB in five passes is not", Params{1 << 20, 5, 1}, false},
		{"more than 1 GiB is not", Params{1<<20 + 1, 1, 1}, false},
		{"the largest of everything is not", Params{1<<32 - 1, 1<<32 - 1, 255}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.p.Check(); (err == nil) != tt.ok {
				t.Errorf("got %v, want ok %t", err, tt.ok)
			}
		})
	}
	defer func() {
		if recover() == nil {
			t.Error("Hash with unusable parameters did not panic")
		}
	}()
	Hash([]byte("secret"), Params{})
}
