// Package i18n says things in the reader's language. The catalogues are the
// files *.LANGUAGE.json beside this one, in the JSON format of go-i18n, which
// translators' tools read. It knows no HTML and no mail; those that show text
// to people import it.
package i18n

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"time"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
)

//go:embed *.json
var files embed.FS

// Languages are those that every message exists in, the default one first.
var Languages = []language.Tag{language.English, language.Korean}

// Catalogue holds all messages in all languages.
type Catalogue struct {
	bundle  *i18n.Bundle
	matcher language.Matcher
}

// Load reads the catalogues that are compiled in.
func Load() (*Catalogue, error) {
	c := &Catalogue{bundle: i18n.NewBundle(Languages[0]), matcher: language.NewMatcher(Languages)}
	c.bundle.RegisterUnmarshalFunc("json", json.Unmarshal)
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if _, err := c.bundle.LoadMessageFileFS(files, path.Clean(e.Name())); err != nil {
			return nil, fmt.Errorf("i18n: %s: %w", e.Name(), err)
		}
	}
	return c, nil
}

// Printer says things in one language.
type Printer struct {
	Language string // "en" or "ko", for the lang attribute
	local    *i18n.Localizer
}

// For finds the language that a reader likes best, given wishes in the order of
// their weight: language tags or whole Accept-Language headers.
func (c *Catalogue) For(wishes ...string) *Printer {
	_, index := language.MatchStrings(c.matcher, wishes...)
	tag := Languages[index].String()
	return &Printer{Language: tag, local: i18n.NewLocalizer(c.bundle, tag)}
}

// ForRequest finds the language of a request: the first of those chosen that there
// is, if any, else what Accept-Language says.
func (c *Catalogue) ForRequest(r *http.Request, chosen ...string) *Printer {
	return c.For(append(chosen, r.Header.Get("Accept-Language"))...)
}

// T returns a message. data are pairs of a name and its value; a pair named
// Count also chooses the plural. A message that does not exist comes back as its
// id: the tests find it, a reader is told something at least.
func (p *Printer) T(id string, data ...any) string {
	values := map[string]any{}
	for pair := range slices.Chunk(data, 2) {
		if name, ok := pair[0].(string); ok && len(pair) == 2 {
			values[name] = pair[1]
		}
	}
	text, err := p.local.Localize(&i18n.LocalizeConfig{MessageID: id, TemplateData: values, PluralCount: values["Count"]})
	if err != nil {
		return id
	}
	return text
}

// Has reports whether a message exists.
func (p *Printer) Has(id string) bool {
	_, err := p.local.Localize(&i18n.LocalizeConfig{MessageID: id, TemplateData: map[string]any{}, PluralCount: 1})
	_, missing := errors.AsType[*i18n.MessageNotFoundErr](err)
	return !missing
}

// Date writes a day.
func (p *Printer) Date(t time.Time) string {
	if p.Language == "ko" {
		return t.Format("2006년 1월 2일")
	}
	return t.Format("2 January 2006")
}

// Time writes a moment to the minute, in t's time zone.
func (p *Printer) Time(t time.Time) string {
	if p.Language != "ko" {
		return t.Format("2 January 2006, 15:04 MST")
	}
	half := "오전"
	if t.Hour() >= 12 {
		half = "오후"
	}
	return t.Format("2006년 1월 2일 ") + half + t.Format(" 3:04 MST")
}
