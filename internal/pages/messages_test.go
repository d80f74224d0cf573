package pages

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/bitjang/bitjang/internal/i18n"
)

func readAll(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(files), err)
	}
	var all strings.Builder
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// TestEverythingThatIsSaidHasWords looks for every event, reason and refusal of
// the rules and every message of the pages in both languages.
func TestEverythingThatIsSaidHasWords(t *testing.T) {
	t.Parallel()
	catalogue, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	rules, own := readAll(t, "../../*.go"), readAll(t, "*.go")+readAll(t, "templates/*.html")
	n := 0
	for _, source := range []struct{ text, pattern, prefix string }{
		{rules, `EndReason = "(\w+)"`, "reason."},
		{rules, `EndReason = "(\w+)"`, "why."},
		{`x.Reason = "idle" x.Reason = "too_old"`, `x.Reason = "(\w+)"`, "why."},
		{`"risk" "refresh_token_reuse" "retry_from_other_device"`, `"(\w+)"`, "why.held."},
		{rules, `signal\w+ += "(\w+)"`, "signal."},
		{rules, `EventType = "(\w+)"`, "event."},
		{rules, `Reason: "(\w+)", Message`, "error."},
		{rules, `invalid\("(\w+)"`, "error."},
		{own, `\.T "([a-z_.]+[a-z])"`, ""},
		{own, `\.T\("([a-z_.]+[a-z])"`, ""},
	} {
		for _, m := range regexp.MustCompile(source.pattern).FindAllStringSubmatch(source.text, -1) {
			n++
			for _, lang := range []string{"en", "ko"} {
				if id := source.prefix + m[1]; !catalogue.For(lang).Has(id) {
					t.Errorf("no message %s in %s", id, lang)
				}
			}
		}
	}
	for _, notice := range notices {
		if !catalogue.For("ko").Has("notice." + notice) {
			t.Errorf("no message notice.%s", notice)
		}
	}
	if n < 150 {
		t.Errorf("only %d messages were looked for", n)
	}
}

// FuzzLocalPath has a browser's eyes: whatever is accepted must stay on the site.
func FuzzLocalPath(f *testing.F) {
	for _, text := range []string{"/", "/account?x=1", "//evil", `/\evil`, "/%2f%2fevil", "/\t/evil", "/a/../../b", "https:evil", "/a?b=//c#d"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := parseLocalPath(text).String()
		if !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") || strings.ContainsAny(got, "\\\t\r\n ") {
			t.Errorf("%q: got %q", text, got)
		}
		if path, _, _ := strings.Cut(got, "?"); strings.Contains(path, "//") {
			t.Errorf("%q: got %q", text, got)
		}
	})
}
