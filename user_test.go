package bitjang

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestAMailAddressHasOneSpelling(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("a", 64) + "@" + strings.Repeat(strings.Repeat("b", 58)+".", 3) + strings.Repeat("c", 12)
	for _, tt := range []struct{ name, text, want string }{
		{"it stays as it is", "ada@example.com", "ada@example.com"},
		{"the domain is lower-cased", "ada@EXAMPLE.com", "ada@example.com"},
		{"the local part too", "Ada@example.com", "ada@example.com"},
		{"blanks about it go", " \tada@example.com\r\n", "ada@example.com"},
		{"tags stay", "ada+shop@example.com", "ada+shop@example.com"},
		{"dots stay", "a.d.a@example.com", "a.d.a@example.com"},
		{"full-width letters are the plain ones", "ａｄａ@ｅｘａｍｐｌｅ.com", "ada@example.com"},
		{"a full-width at sign is one", "ada＠example.com", "ada@example.com"},
		{"decomposed letters are composed", "e\u0301va@example.com", "\u00e9va@example.com"},
		{"composed letters stay", "\u00e9va@example.com", "\u00e9va@example.com"},
		{"Hangul is composed", "\u1112\u1161\u11ab@example.com", "\ud55c@example.com"},
		{"a Kelvin sign is a k", "\u212aim@example.com", "kim@example.com"},
		{"an address literal is one", "ada@[192.0.2.1]", "ada@[192.0.2.1]"},
		{"254 bytes are the most", longest, longest},
		{"255 are too many", "a" + longest, ""},
		{"a name is not part of it", "Ada <ada@example.com>", ""},
		{"nor are angle brackets", "<ada@example.com>", ""},
		{"nor a comment", "ada@example.com (Ada)", ""},
		{"nor a comment before it", "(Ada) ada@example.com", ""},
		{"quoted local parts are refused", `"ada"@example.com`, ""},
		{"and those with blanks in them", `"a da"@example.com`, ""},
		{"two addresses are not one", "ada@example.com,eve@example.com", ""},
		{"two at signs are not one", "ada@eve@example.com", ""},
		{"a line break is no part of one", "ada@example.com\nBcc: eve@example.com", ""},
		{"nor is one in front of the at sign", "ada\n@example.com", ""},
		{"nor a NUL", "ada\x00@example.com", ""},
		{"nor a blank", "a da@example.com", ""},
		{"nor an ideographic blank", "a\u3000da@example.com", ""},
		{"invalid UTF-8 is refused", "ada\xff@example.com", ""},
		{"nothing is none", "", ""},
		{"blanks are none", "  ", ""},
		{"an at sign is none", "@", ""},
		{"no local part is none", "@example.com", ""},
		{"no domain is none", "ada@", ""},
		{"no at sign is none", "ada", ""},
		{"a group is none", "friends: ada@example.com;", ""},
		{"a trailing dot is refused", "ada@example.com.", ""},
		{"a leading dot is refused", ".ada@example.com", ""},
	} {
		got, err := normalizeEmail(tt.text)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: got %q and %v, want %q", tt.name, got, err, tt.want)
		}
		if err != nil && (AsError(err).Code != Invalid || AsError(err).Reason != "email_invalid") {
			t.Errorf("%s: got %v, want email_invalid", tt.name, err)
		}
	}
}

func FuzzNormalizeEmail(f *testing.F) {
	for _, seed := range []string{"ada@example.com", "ＡＤＡ＠example.com", "\u0130@x.y", "\u1e9e@x.y", "a@[1.2.3.4]", "\u03f4\u0345@x.y"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once, err := normalizeEmail(text)
		if err != nil {
			return
		}
		if twice, err := normalizeEmail(once); err != nil || twice != once {
			t.Errorf("%q became %q and that %q (%v): one spelling is not the last", text, once, twice, err)
		}
		if len(once) > maxEmail || !utf8.ValidString(once) || strings.ContainsAny(once, " \r\n\t\x00<>") {
			t.Errorf("%q became %q", text, once)
		}
	})
}

func TestNamesAreShortAndPrintable(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text, want string
		good             bool
	}{
		{"no name is fine", "", "", true},
		{"blanks about it go", "  Ada Lovelace ", "Ada Lovelace", true},
		{"any script is fine", "홍길동 Ада 🔑", "홍길동 Ада 🔑", true},
		{"128 bytes are the most", strings.Repeat("x", 128), strings.Repeat("x", 128), true},
		{"129 are too many", strings.Repeat("x", 129), "", false},
		{"bytes are counted, not characters", strings.Repeat("홍", 43), "", false},
		{"line breaks are refused", "Ada\nLovelace", "", false},
		{"NUL is refused", "Ada\x00", "", false},
		{"escape sequences are refused", "\x1b[31mAda", "", false},
		{"so are the escapes of C1", "\u009b31mAda", "", false},
		{"DEL is refused", "Ada\x7f", "", false},
		{"invalid UTF-8 is refused", "Ada\xff", "", false},
	} {
		got, err := checkName(tt.text)
		if got != tt.want || (err == nil) != tt.good {
			t.Errorf("%s: got %q and %v", tt.name, got, err)
		}
	}
}

func TestRolesAreSortedWordsThatFitIntoAHeader(t *testing.T) {
	t.Parallel()
	many := strings.Split(strings.Repeat("r,", 32)+"r", ",")
	for _, tt := range []struct {
		name  string
		roles []string
		want  []string
		good  bool
	}{
		{"none is fine", nil, nil, true},
		{"they are sorted and each is there once", []string{"b", "a", "b"}, []string{"a", "b"}, true},
		{"signs are fine", []string{"org:admin", "x/y"}, []string{"org:admin", "x/y"}, true},
		{"64 characters are the most", []string{strings.Repeat("r", 64)}, []string{strings.Repeat("r", 64)}, true},
		{"65 are too many", []string{strings.Repeat("r", 65)}, nil, false},
		{"32 are the most", many[:32], []string{"r"}, true},
		{"33 are too many", many, nil, false},
		{"an empty one is refused", []string{"a", ""}, nil, false},
		{"a comma is refused", []string{"a,b"}, nil, false},
		{"a blank is refused", []string{"a b"}, nil, false},
		{"a line break is refused", []string{"a\r\nX-Auth-User: eve"}, nil, false},
		{"a quote is refused", []string{`a"b`}, nil, false},
		{"a backslash is refused", []string{`a\b`}, nil, false},
		{"other scripts are refused", []string{"관리자"}, nil, false},
		{"DEL is refused", []string{"a\x7f"}, nil, false},
	} {
		got, err := checkRoles(tt.roles)
		if diff := cmp.Diff(tt.want, got); diff != "" || (err == nil) != tt.good {
			t.Errorf("%s: got %v (-want +got)\n%s", tt.name, err, diff)
		}
	}
}

func TestThePasswordPolicy(t *testing.T) {
	t.Parallel()
	const email = "adalovelace@example.com"
	for _, tt := range []struct {
		name, text, want string // want is the reason; "" means accepted
	}{
		{"8 characters are enough", "h7#kQ2!z", ""},
		{"7 are not", "h7#kQ2!", "password_too_short"},
		{"256 are not too many", strings.Repeat("h7#kQ2!z", 32), ""},
		{"257 are", strings.Repeat("h7#kQ2!z", 32) + "x", "password_too_long"},
		{"characters count, not bytes", "비밀번호입니다요", ""},
		{"7 of three bytes are not enough", "비밀번호입니다", "password_too_short"},
		{"256 of three bytes are not too many", strings.Repeat("힣가", 128), ""},
		{"257 of three bytes are", strings.Repeat("힣가", 128) + "힣", "password_too_long"},
		{"8 emoji are enough", "🔑🐎🔋📎🎸🌵🦔🧿", ""},
		{"7 emoji are not", "🔑🐎🔋📎🎸🌵🦔", "password_too_short"},
		{"256 emoji are not too many", strings.Repeat("🔑🐎", 128), ""},
		{"characters count after they were composed", strings.Repeat("e\u0301", 7), "password_too_short"},
		{"and 8 composed ones are enough", strings.Repeat("e\u0301", 8), ""},
		{"256 that take two code points before are not too many", strings.Repeat("e\u0301", 256), ""},
		{"characters count after they were taken apart", "\ufdfa", ""}, // 18 characters in one
		{"and too many are too many", strings.Repeat("\ufdfa", 15), "password_too_long"},
		{"all kinds are accepted", "     a b     ", ""},
		{"letters alone are accepted", "purplegiraffelamp", ""},
		{"NUL is a character", "h7#k\x00Q2!", ""},
		{"invalid UTF-8 is refused", "h7#kQ2!z\xff", "password_invalid"},
		{"lone surrogates are refused", "h7#kQ2!z\xed\xa0\x80", "password_invalid"},
		{"a huge one is refused before any work", strings.Repeat("x", 1<<20), "password_invalid"},
		{"nothing is too short", "", "password_too_short"},
		{"common ones are refused", "password", "password_common"},
		{"in any case", "PassWord", "password_common"},
		{"in any width", "ｐａｓｓｗｏｒｄ", "password_common"},
		{"digits are common", "12345678", "password_common"},
		{"the own address is refused", email, "password_common"},
		{"the own address in any case is refused", "AdaLovelace@Example.COM", "password_common"},
		{"the own address in any width is refused", "ａdalovelace＠example.com", "password_common"},
	} {
		normal, err := checkNewPassword(NewSecret(tt.text), email)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: got %v", tt.name, err)
		case tt.want != "" && (err == nil || AsError(err).Reason != tt.want || AsError(err).Code != Invalid):
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		case err != nil && (normal != nil || tt.text != "" && tt.text != "password" && strings.Contains(err.Error(), tt.text)):
			t.Errorf("%s: the refusal gave or showed the password", tt.name)
		}
	}
}

func TestOneKeyPressIsOnePassword(t *testing.T) {
	t.Parallel()
	for _, same := range [][2]string{
		{"caf\u00e9 caf\u00e9", "cafe\u0301 cafe\u0301"},
		{"\ud55c\uae00 password", "\u1112\u1161\u11ab\u1100\u1173\u11af password"},
		{"ｈ７＃ｋＱ２！ｚ", "h7#kQ2!z"},
		{"h7#k\u00a0Q2!z", "h7#k Q2!z"},
	} {
		if a, b := normalizePassword(NewSecret(same[0])), normalizePassword(NewSecret(same[1])); string(a) != string(b) {
			t.Errorf("%q and %q: got two passwords", same[0], same[1])
		}
	}
	if a, b := normalizePassword(NewSecret("h7#kQ2!z")), normalizePassword(NewSecret("H7#kQ2!z")); string(a) == string(b) {
		t.Error("upper and lower case are one password")
	}
}

func TestWhatACallerSaysIsClipped(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text string
		limit      int
		want       string
	}{
		{"short text stays", "Firefox", 10, "Firefox"},
		{"text of just the limit stays", "Firefox", 7, "Firefox"},
		{"longer text is cut", "Firefox", 4, "Fire"},
		{"other scripts stay", "삼성 인터넷", 100, "삼성 인터넷"},
		{"no character is cut in two", "삼성", 4, "삼"},
		{"nor one of four bytes", "🔑🔑", 7, "🔑"},
		{"nor the first", "🔑", 3, ""},
		{"line breaks go", "a\r\nb", 10, "ab"},
		{"NUL goes", "a\x00b", 10, "ab"},
		{"escape goes", "a\x1b[2Jb", 10, "a[2Jb"},
		{"tabs and DEL go", "a\tb\x7fc", 10, "abc"},
		{"the controls of C1 go, a terminal obeys them", "a\u009b2Jb\u0085c", 10, "a2Jbc"},
		{"invalid UTF-8 goes", "a\xff\xfeb\xc3", 10, "ab"},
		{"surrogates go", "a\xed\xa0\x80b", 10, "ab"},
		{"what goes does not count", "\x00\x00\x00abc", 3, "abc"},
		{"nothing stays nothing", "", 10, ""},
		{"10 kB are cut", strings.Repeat("ab\x00", 10<<10), 512, strings.Repeat("ab", 256)},
	} {
		if got := clip(tt.text, tt.limit); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func FuzzClip(f *testing.F) {
	f.Add("a\x00\xff\u009b삼성🔑", 5)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit = max(limit%1000, -limit%1000)
		got := clip(text, limit)
		if len(got) > limit || !utf8.ValidString(got) || strings.ContainsAny(got, "\x00\n\r\x1b\x7f\u0085\u009b") || clip(got, limit) != got {
			t.Errorf("clip(%q, %d): got %q", text, limit, got)
		}
	})
}

func TestEveryFieldOfADeviceIsClipped(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x\x00", 10<<10)
	short, ua := strings.Repeat("x", 128), strings.Repeat("x", 512)
	got := Device{ID: long, Name: long, UserAgent: long, Hints: ClientHints{Brand: long, Platform: long, PlatformVersion: long, Model: long, Mobile: true}}.bounded()
	want := Device{ID: short, Name: short, UserAgent: ua, Hints: ClientHints{Brand: short, Platform: short, PlatformVersion: short, Model: short, Mobile: true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestASessionIDIsAUUID(t *testing.T) {
	t.Parallel()
	id := NewSessionID("u")
	got, err := ParseSessionID(id.String())
	if err != nil || got != id {
		t.Errorf("got %v and %v, want it back", got, err)
	}
	for _, text := range []string{
		"", "x", strings.ReplaceAll(id.String(), "-", ""), id.String() + "0", id.String()[1:], "{" + id.String()[1:35] + "}",
		strings.Replace(id.String(), "-", "_", 1), "g" + id.String()[1:], "0000000-00000-0000-0000-000000000000", "------------------------------------",
		"00000000-0000-0000-0000-00000000000-",
	} {
		if got, err := ParseSessionID(text); err == nil || !got.IsZero() {
			t.Errorf("%q: got %v and %v, want an error", text, got, err)
		}
	}
	if (SessionID{}).String() != "" || !(SessionID{}).IsZero() || id.IsZero() {
		t.Error("the zero id is not told apart")
	}
	if a, b := newUUID(), newUUID(); a == b || len(a) != 36 || a[14] != '4' || !strings.Contains("89ab", a[19:20]) {
		t.Errorf("got %s and %s, want two random UUIDs of version 4", a, b)
	}
}
