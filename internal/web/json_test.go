package web

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

func post(body io.Reader, kind string) *http.Request {
	r := httptest.NewRequest("POST", "/", body)
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	return r
}

func TestReadJSON(t *testing.T) {
	type input struct {
		Name string `json:"name"`
		Sub  struct {
			N int `json:"n"`
		} `json:"sub"`
	}
	for _, tt := range []struct{ name, kind, body, code, detail string }{
		{"an object", "application/json", `{"name":"x","other":1}`, "", ""},
		{"parameters of the type", "application/json; charset=utf-8", `{}`, "", ""},
		{"nothing", "", "", "", ""},
		{"null", "application/json", "null", "", ""},
		{"no type", "", "{}", "media_type_unsupported", ""},
		{"a form", "application/x-www-form-urlencoded", "name=x", "media_type_unsupported", ""},
		{"text", "text/plain", `{"name":"x"}`, "media_type_unsupported", ""},
		{"a type that only begins alike", "application/json5", `{}`, "media_type_unsupported", ""},
		{"not UTF-8", "application/json", "{\"name\":\"\xc3\x28\"}", "json_malformed", "The request body is not UTF-8."},
		{"trailing garbage", "application/json", "{}{}", "json_malformed", "The request body is not JSON."},
		{"an array", "application/json", "[]", "json_malformed", "The request body is not a JSON object."},
		{"a wrong type", "application/json", `{"sub":{"n":"x"}}`, "json_malformed", "The member sub.n has the wrong type."},
		{"a number too large", "application/json", `{"sub":{"n":1e99}}`, "json_malformed", "The member sub.n has the wrong type."},
	} {
		var in input
		err := ReadJSON(post(strings.NewReader(tt.body), tt.kind), &in)
		if tt.code == "" {
			if err != nil {
				t.Errorf("%s: got %v", tt.name, err)
			}
			continue
		}
		p, ok := errors.AsType[*Problem](err)
		if !ok || p.Code != tt.code || tt.detail != "" && p.Detail != tt.detail {
			t.Errorf("%s: got %v, want %s: %s", tt.name, err, tt.code, tt.detail)
		}
	}
}

func TestReadJSONOfABodyThatCannotBeRead(t *testing.T) {
	p, ok := errors.AsType[*Problem](ReadJSON(post(iotest.ErrReader(errors.New("gone")), "application/json"), new(any)))
	if !ok || p.Status != http.StatusBadRequest || p.Code != "body_unreadable" || strings.Contains(p.Detail, "gone") {
		t.Errorf("got %+v", p)
	}
}

func TestWriteJSONOfWhatCannotBeWritten(t *testing.T) {
	w := httptest.NewRecorder()
	if err := WriteJSON(w, 200, func() {}); err == nil || w.Body.Len() > 0 {
		t.Errorf("got %v and body %q", err, w.Body)
	}
}

func FuzzReadJSON(f *testing.F) {
	for _, body := range []string{"", "{}", "null", `{"name":"x","sub":{"n":7}}`, `{"name":7}`, `[[[`, "{\"name\":\"\xff\"}", `{"name":"\ud800"}`, "\ufeff{}"} {
		f.Add(body, "application/json")
	}
	f.Add("{}", "text/plain")
	f.Fuzz(func(t *testing.T, body, kind string) {
		var in struct {
			Name string `json:"name"`
			Sub  struct {
				N    int  `json:"n"`
				Flag bool `json:"flag"`
			} `json:"sub"`
		}
		r := post(strings.NewReader(body), kind)
		r.Body = http.MaxBytesReader(nil, r.Body, 1<<10)
		err := ReadJSON(r, &in)
		if err == nil {
			if len(body) > 1<<10 || body != "" && !json.Valid([]byte(body)) {
				t.Errorf("%q was read", body)
			}
			if !utf8.ValidString(in.Name) {
				t.Errorf("got name %q", in.Name)
			}
			return
		}
		p, ok := errors.AsType[*Problem](err)
		if !ok || p.Status != 400 && p.Status != 413 && p.Status != 415 {
			t.Fatalf("%q: got %v, want a problem", body, err)
		}
		w := httptest.NewRecorder()
		WriteProblem(w, r, p)
		if !json.Valid(w.Body.Bytes()) || w.Code != p.Status {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	})
}
