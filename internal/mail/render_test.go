package mail

import (
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/i18n"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

func newRenderer(t *testing.T, theme Theme) *Renderer {
	t.Helper()
	catalogue, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRenderer(catalogue, theme)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func example(t *testing.T) *Renderer {
	t.Helper()
	return newRenderer(t, Theme{Name: "Acme", IssuerURL: "https://id.example.com"})
}

// full has every field set that the root package sets for a kind.
func full(kind bitjang.MailKind, language string) bitjang.Mail {
	m := bitjang.Mail{
		ID: "019389a4-0000-7000-8000-000000000001", Kind: kind, To: "minji@example.com", Name: "Minji", Language: language,
		Link:      bitjang.NewSecret("https://id.example.com/some-page?token=bjl_AAAA-bbbb_CCCC&x=1"),
		ExpiresAt: time.Date(2026, 11, 24, 14, 5, 0, 0, time.UTC),
	}
	switch kind {
	case bitjang.MailInvite:
		m.Name = ""
	case bitjang.MailSignupRepeated, bitjang.MailSessionReuse, bitjang.MailSessionHeld, bitjang.MailUnusual, bitjang.MailPasswordChanged, bitjang.MailDeletion, bitjang.MailEmailChanged,
		bitjang.MailFactorAdded, bitjang.MailFactorRemoved, bitjang.MailCode:
		m.ExpiresAt = time.Time{}
	}
	switch kind {
	case bitjang.MailEmailChange, bitjang.MailEmailChanged:
		m.Email = "new@example.org"
	case bitjang.MailEmailChangeNew:
		m.To, m.Email = "new@example.org", "minji@example.com"
	case bitjang.MailDeletion:
		m.At = time.Date(2026, 12, 7, 9, 30, 0, 0, time.UTC)
	}
	switch kind {
	case bitjang.MailCode:
		m.Code = bitjang.NewSecret("042137")
		fallthrough
	case bitjang.MailEmailChanged:
		m.Link = bitjang.Secret{}
		fallthrough
	case bitjang.MailNewDevice, bitjang.MailSessionReuse, bitjang.MailPasswordChanged, bitjang.MailFactorAdded, bitjang.MailFactorRemoved, bitjang.MailSessionHeld, bitjang.MailUnusual:
		// Korea's clock; mails speak UTC.
		m.At = time.Date(2026, 11, 23, 23, 5, 0, 0, time.FixedZone("KST", 9*60*60))
		m.Device, m.IP = bitjang.Device{UserAgent: firefox}, netip.MustParseAddr("203.0.113.7")
	}
	if kind == bitjang.MailSessionHeld || kind == bitjang.MailUnusual {
		m.Signals = []bitjang.Signal{{Name: "ip_changed", Value: "192.0.2.1>203.0.113.7"}, {Name: "country_changed", Value: "KR>US"}, {Name: "os_changed", Value: "evil.example>x"}}
	}
	return m
}

func render(t *testing.T, r *Renderer, m bitjang.Mail) Message {
	t.Helper()
	got, err := r.Render(m)
	if err != nil {
		t.Fatalf("%s: %v", m.Kind, err)
	}
	return got
}

func TestMailsLookAsTheyDid(t *testing.T) {
	r := example(t)
	for _, kind := range bitjang.MailKinds {
		for _, language := range []string{"en", "ko"} {
			got := render(t, r, full(kind, language))
			name := filepath.Join("testdata", string(kind)+"."+language)
			golden(t, name+".txt", "Subject: "+got.Subject+"\n\n"+got.Text)
			golden(t, name+".html", got.HTML)
		}
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got); if that is meant, run with -update:\n%s", file, diff)
	}
}

// TestEveryKindHasItsWords reads the catalogue as it is: no kind lacks a word,
// no word lacks a kind.
func TestEveryKindHasItsWords(t *testing.T) {
	raw, err := os.ReadFile("../i18n/mail.en.json")
	if err != nil {
		t.Fatal(err)
	}
	var words map[string]string
	if err := json.Unmarshal(raw, &words); err != nil {
		t.Fatal(err)
	}
	for _, kind := range bitjang.MailKinds {
		parts := []string{"subject", "heading", "text", "note", "button"}
		if kind == bitjang.MailEmailChanged || kind == bitjang.MailCode { // have no link
			parts = parts[:4]
		}
		for _, part := range parts {
			if id := "mail." + string(kind) + "." + part; words[id] == "" {
				t.Errorf("%s is missing", id)
			}
		}
	}
	for id := range words {
		parts := strings.Split(id, ".")
		shared := slices.Contains([]string{"greeting", "copy", "expires", "footer", "device", "fact"}, parts[1])
		if !shared && !slices.Contains(bitjang.MailKinds, bitjang.MailKind(parts[1])) {
			t.Errorf("%s belongs to no kind of mail", id)
		}
	}
}

func TestFullAndEmptyMailsHaveNoHoles(t *testing.T) {
	for _, r := range []*Renderer{example(t), newRenderer(t, Theme{})} {
		for _, kind := range bitjang.MailKinds {
			for _, language := range []string{"en", "ko"} {
				for _, m := range []bitjang.Mail{full(kind, language), {Kind: kind, Language: language}} {
					got := render(t, r, m)
					for _, text := range []string{got.Subject, got.Text, got.HTML} {
						for _, hole := range []string{"mail.", "<no value>", "&lt;no value", "{{", "ZgotmplZ", "0001", "invalid IP", "REDACTED"} {
							if strings.Contains(text, hole) {
								t.Errorf("%s in %s: %q in %q", kind, language, hole, text)
							}
						}
					}
					if got.Subject == "" || got.Language != language || !strings.Contains(got.HTML, `<html lang="`+language+`"`) {
						t.Errorf("%s in %s: subject %q, language %q", kind, language, got.Subject, got.Language)
					}
					if has := strings.Contains(got.HTML, "<a href=\"https://id.example.com/some-page?token=bjl_AAAA-bbbb_CCCC&amp;x=1\""); has == m.Link.IsZero() {
						t.Errorf("%s in %s: link in HTML: %t", kind, language, has)
					}
					if has := strings.Contains(got.Text, "\nhttps://id.example.com/some-page?token=bjl_AAAA-bbbb_CCCC&x=1\n"); has == m.Link.IsZero() {
						t.Errorf("%s in %s: link in text: %t", kind, language, has)
					}
				}
			}
		}
	}
}

func TestTimesAreUTC(t *testing.T) {
	got := render(t, example(t), full(bitjang.MailNewDevice, "en"))
	if want := "Time: 23 November 2026, 14:05 UTC\n"; !strings.Contains(got.Text, want) {
		t.Errorf("got %q, want %q in it", got.Text, want)
	}
}

// hostile are texts that strangers can choose: names, user agents, addresses.
var hostile = []string{
	`<script>alert(1)</script>`,
	`"><img src=x onerror=alert(1)>`,
	"Eve\r\nBcc: victim@example.com\r\n\r\nbody",
	"Eve\n\n-- \nhttps://evil.example",
	"Eve\u2028Bcc: x\u2029\u0085\v\f",
	"\u202egnp.exe\u2066\u200f",
	"{{.Link}}{{template \"x\"}}",
	strings.Repeat("가나다라", 2500),
	strings.Repeat("\u202e", 10000),
	"\xff\xfe\x00",
}

// TestStrangersTextIsOnlyRead compares each mail with hostile text in it with
// one whose text is harmless: the same subject, lines and tags.
func TestStrangersTextIsOnlyRead(t *testing.T) {
	r := example(t)
	for _, kind := range bitjang.MailKinds {
		for _, bad := range hostile {
			plain := full(kind, "en")
			if plain.Email == "" {
				plain.Email = "new@example.org"
			}
			m := plain
			m.Name, m.Email = bad, "e"+bad
			m.Device = bitjang.Device{UserAgent: bad + "/1.0 (" + bad + ")", Hints: bitjang.ClientHints{Brand: bad, Platform: bad}}
			if m.IP.IsValid() {
				m.IP = netip.MustParseAddr("fe80::1").WithZone(bad)
			}
			got, want := render(t, r, m), render(t, r, plain)
			if got.Subject != want.Subject || strings.ContainsAny(got.Subject, "\r\n") {
				t.Errorf("%s with %.20q: got the subject %q, want %q", kind, bad, got.Subject, want.Subject)
			}
			if a, b := strings.Count(got.Text, "\n"), strings.Count(want.Text, "\n"); a != b {
				t.Errorf("%s with %.20q: got %d lines of text, want %d: %q", kind, bad, a, b, got.Text)
			}
			if strings.ContainsAny(got.Text, "\r\v\f\u0085\u2028\u2029\u202e\u2066\u200f\x00\ufffd") || strings.ContainsAny(got.HTML, "\r\v\f\u0085\u2028\u2029\u202e\u2066\u200f\x00\ufffd") {
				t.Errorf("%s with %.20q: control characters are left", kind, bad)
			}
			for _, mark := range []string{"<", ">", "href="} {
				if a, b := strings.Count(got.HTML, mark), strings.Count(want.HTML, mark); a != b {
					t.Errorf("%s with %.20q: got %d times %q in the HTML, want %d", kind, bad, a, mark, b)
				}
			}
			if more := len(got.HTML) - len(want.HTML); more > 16*maxEmail {
				t.Errorf("%s with %.20q: the mail grew by %d bytes", kind, bad, more)
			}
		}
	}
}

func TestNamesAreNotAdvertisements(t *testing.T) {
	r := example(t)
	for name, want := range map[string]string{
		"Minji":                        "Hello Minji,",
		"Dr. Kim":                      "Hello Dr. Kim,",
		"J.R.R. Tolkien":               "Hello J.R.R. Tolkien,",
		"Jean-Luc O'Neill":             "Hello Jean-Luc O'Neill,",
		"김민지":                          "Hello 김민지,",
		"":                             "Hello,",
		" \t ":                         "Hello,",
		"You won evil.example":         "Hello,",
		"http://evil":                  "Hello,",
		"evil。com":                     "Hello,",
		"eve@evil":                     "Hello,",
		"ev\u200eil.ex\u202eample":     "Hello,",
		strings.Repeat("a", maxName+1): "Hello " + strings.Repeat("a", maxName-1) + "…,",
	} {
		m := full(bitjang.MailVerifyEmail, "en")
		m.Name = name
		if got := render(t, r, m); !strings.Contains(got.Text, "\n"+want+"\n") {
			t.Errorf("%q: got %q, want %q in it", name, got.Text, want)
		}
	}
	m := full(bitjang.MailNewDevice, "en")
	m.Device.Hints = bitjang.ClientHints{Brand: "Call evil.example", Platform: "//evil"}
	if got := render(t, r, m); !strings.Contains(got.Text, "\nDevice: Unknown device\n") {
		t.Errorf("got %q, want an unknown device", got.Text)
	}
}

func TestLinksThatAreNone(t *testing.T) {
	for _, link := range []string{"javascript:alert(1)//SECRET", "/verify?token=SECRET", "https://", "https://id.example.com/\nSECRET", "https://id.example.com/ SECRET", "https://id.example.com/\u202eSECRET"} {
		m := full(bitjang.MailVerifyEmail, "en")
		m.Link = bitjang.NewSecret(link)
		if got, err := example(t).Render(m); err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%q: got %q, %v, want an error that does not tell the link", link, got.Text, err)
		}
	}
}

func TestUnknownKindMayBeKnownElsewhere(t *testing.T) {
	if _, err := example(t).Render(bitjang.Mail{Kind: "not_yet"}); err == nil {
		t.Error("got no error")
	}
}

func TestTheme(t *testing.T) {
	catalogue, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []Theme{
		{Color: "red"}, {Color: "#12345"}, {Color: "#123456;background:url(//evil)"}, {Color: "#123456\n"},
		{IssuerURL: "id.example.com"}, {IssuerURL: "javascript:alert(1)"}, {Name: "\u200f"},
	} {
		if _, err := NewRenderer(catalogue, bad); err == nil {
			t.Errorf("%+v: got no error", bad)
		}
	}
	if _, err := NewRenderer(nil, Theme{}); err == nil {
		t.Error("no catalogue: got no error")
	}
	got := render(t, newRenderer(t, Theme{Name: "A\r\nBcc: <b>&", Color: "#ffDD00"}), full(bitjang.MailVerifyEmail, "en"))
	if want := "Confirm your email address for A Bcc: <b>&"; got.Subject != want {
		t.Errorf("got the subject %q, want %q", got.Subject, want)
	}
	for _, want := range []string{`bgcolor="#ffDD00"`, "background-color:#ffDD00;", "color:#000000;", "A Bcc: &lt;b&gt;&amp;"} {
		if !strings.Contains(got.HTML, want) {
			t.Errorf("%q is not in the HTML", want)
		}
	}
	for color, want := range map[string]string{"#ffffff": "#000000", "#000000": "#ffffff", "#2458c5": "#ffffff", "#ffdd00": "#000000", "#c00000": "#ffffff", "#00cc66": "#000000"} {
		if got := inkOn(color); got != want {
			t.Errorf("on %s: got %s, want %s", color, got, want)
		}
	}
}

func FuzzLine(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := line(s, 20)
		if strings.ContainsAny(got, "\r\n\u2028\u2029\u0085\u202e") || len([]rune(got)) > 20 || line(got, 20) != got || strings.ContainsRune(got, '\ufffd') {
			t.Errorf("%q became %q", s, got)
		}
	})
}
