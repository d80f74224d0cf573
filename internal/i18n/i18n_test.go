package i18n

import (
	"encoding/json"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// messages reads one file as translators' tools do: texts, or objects of plural
// forms.
func messages(t *testing.T, name string) map[string][]string {
	t.Helper()
	raw, err := files.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var entries map[string]any
	if err := json.Unmarshal(raw, &entries); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	all := map[string][]string{}
	for id, v := range entries {
		switch v := v.(type) {
		case string:
			all[id] = []string{v}
		case map[string]any:
			for form, text := range v {
				if form != "description" {
					all[id] = append(all[id], text.(string))
				}
			}
		}
	}
	return all
}

var variable = regexp.MustCompile(`{{\s*\.(\w+)\s*}}`)

func variables(texts []string) []string {
	var names []string
	for _, m := range variable.FindAllStringSubmatch(strings.Join(texts, " "), -1) {
		names = append(names, m[1])
	}
	return slices.Compact(slices.Sorted(slices.Values(names)))
}

// TestEveryMessageIsInEveryLanguage compares the files of each language with the
// English ones: the same ids, the same variables, and no text forgotten or left
// in English.
func TestEveryMessageIsInEveryLanguage(t *testing.T) {
	entries, err := files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	if len(entries)%len(Languages) != 0 {
		t.Errorf("%d files for %d languages", len(entries), len(Languages))
	}
	hangul := regexp.MustCompile(`\p{Hangul}`)
	for _, e := range entries {
		base, ok := strings.CutSuffix(e.Name(), ".en.json")
		if !ok {
			continue
		}
		english, korean := messages(t, e.Name()), messages(t, base+".ko.json")
		for id, texts := range english {
			theirs, ok := korean[id]
			if !ok {
				t.Errorf("%s: %q is missing in Korean", base, id)
				continue
			}
			if got, want := variables(theirs), variables(texts); !slices.Equal(got, want) {
				t.Errorf("%s: %q has the variables %v in Korean, %v in English", base, id, got, want)
			}
			for _, text := range theirs {
				if strings.TrimSpace(text) == "" || (!hangul.MatchString(text) && regexp.MustCompile(`[a-z]{3} [a-z]{3}`).MatchString(text)) {
					t.Errorf("%s: %q is not Korean: %q", base, id, text)
				}
			}
		}
		for id := range korean {
			if _, ok := english[id]; !ok {
				t.Errorf("%s: %q is missing in English", base, id)
			}
		}
	}
}

func TestLanguageOfARequest(t *testing.T) {
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ header, chosen, want string }{
		{"", "", "en"},
		{"ko-KR,ko;q=0.9,en;q=0.8", "", "ko"},
		{"de-DE,ko;q=0.5", "", "ko"},
		{"fr", "", "en"},
		{"ko", "en", "en"},
		{"en", "ko", "ko"},
		{"en", "xx-nonsense-\x00", "en"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Language", tt.header)
		if got := c.ForRequest(r, tt.chosen).Language; got != tt.want {
			t.Errorf("Accept-Language %q and chosen %q: got %s, want %s", tt.header, tt.chosen, got, tt.want)
		}
	}
}

func TestTextsAndDates(t *testing.T) {
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	en, ko := c.For("en"), c.For("ko")
	if got := ko.T("language.name"); got != "한국어" {
		t.Errorf("got %q", got)
	}
	if got := en.T("no.such.message"); got != "no.such.message" || en.Has("no.such.message") || !en.Has("language.name") {
		t.Errorf("got %q for a message that does not exist", got)
	}
	at := time.Date(2026, 11, 23, 14, 5, 0, 0, time.UTC)
	for got, want := range map[string]string{
		en.Date(at): "23 November 2026", ko.Date(at): "2026년 11월 23일",
		en.Time(at): "23 November 2026, 14:05 UTC", ko.Time(at): "2026년 11월 23일 오후 2:05 UTC",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
