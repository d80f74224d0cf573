package bitjang

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// treasure is what must never come out; hex and base64 of it neither.
const treasure = "tr3asure-do-not-print"

// checkHidden fails if text holds the treasure, whole or in an encoding that a
// verb could have made of it.
func checkHidden(t *testing.T, how, text string) {
	t.Helper()
	for _, form := range []string{
		treasure, fmt.Sprintf("%x", treasure), fmt.Sprintf("%X", treasure), fmt.Sprintf("% x", treasure),
		strings.Trim(fmt.Sprint([]byte(treasure)), "[]"), "dHIzYXN1cmUtZG8tbm90LXByaW50",
	} {
		if strings.Contains(text, form) {
			t.Errorf("%s shows the secret", how)
		}
	}
}

// holders are all the ways in which values hold secrets.
func holders(t *testing.T) map[string]any {
	t.Helper()
	type exported struct{ S Secret }
	type unexported struct{ s Secret }
	type deep struct {
		a []Secret
		m map[string]Secret
		p *Secret
		i any
	}
	s := NewSecret(treasure)
	svc, err := New(Config{Issuer: "https://auth.example.com", MasterKeys: []Secret{NewMasterKey()}, Store: noStore{}})
	if err != nil {
		t.Fatal(err)
	}
	svc.cfg.MasterKeys = []Secret{s} // after New, which would not take such a key
	return map[string]any{
		"a secret": s, "a pointer": &s, "an exported field": exported{s}, "an unexported field": unexported{s},
		"a pointer to a struct": &unexported{s}, "deep": deep{[]Secret{s}, map[string]Secret{"k": s}, &s, s},
		"a slice": []Secret{s}, "a map": map[string]Secret{"k": s}, "an any": []any{s},
		"Tokens": Tokens{Access: s, Refresh: s}, "*Tokens": &Tokens{Access: s, Refresh: s},
		"Config": svc.cfg, "*Service": svc, "LoginInput": LoginInput{Password: s},
		"an error": invalid("x", "%v %+v %#v", s, s, &s).because(fmt.Errorf("%w %v", ErrConflict, s)),
	}
}

type noStore struct{ Store }

func TestNoVerbPrintsASecret(t *testing.T) {
	t.Parallel()
	for name, v := range holders(t) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%c", "%U", "%e", "%08.3v", "%w"} {
			checkHidden(t, name+" with "+verb, fmt.Sprintf(verb, v))
		}
		checkHidden(t, name+" with Sprint", fmt.Sprint(v))
		checkHidden(t, name+" with Errorf", fmt.Errorf("x: %v", v).Error())
	}
	s := NewSecret(treasure)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(verb, s); got != "REDACTED" {
			t.Errorf("%s: got %q, want REDACTED", verb, got)
		}
	}
	if got := s.String(); got != "REDACTED" {
		t.Errorf("String: got %q, want REDACTED", got)
	}
}

func TestNoLogHandlerWritesASecret(t *testing.T) {
	t.Parallel()
	for name, v := range holders(t) {
		var text, js bytes.Buffer
		for _, log := range []*slog.Logger{slog.New(slog.NewTextHandler(&text, nil)), slog.New(slog.NewJSONHandler(&js, nil))} {
			log.Info("m", "v", v, slog.Group("g", "v", v))
			log.With("v", v).WithGroup("g").Info("m")
			if s, ok := v.(Secret); ok {
				log.Info("m", "v", &s, slog.Any("w", s.LogValue()))
			}
		}
		checkHidden(t, name+" in a text log", text.String())
		checkHidden(t, name+" in a JSON log", js.String())
	}
}

func TestNoEncoderWritesASecret(t *testing.T) {
	t.Parallel()
	s := NewSecret(treasure)
	type exported struct{ S Secret }
	type embedded struct{ Secret }
	for name, v := range map[string]any{
		"a secret": s, "a field": exported{s}, "embedded": embedded{s}, "a slice": []Secret{s}, "a key": map[Secret]int{s: 1},
		"Tokens": Tokens{Access: s}, "an empty secret": Secret{}, "an empty field": exported{},
	} {
		var out bytes.Buffer
		if err := json.NewEncoder(&out).Encode(v); err == nil {
			t.Errorf("json, %s: got no error, want a refusal", name)
		}
		if _, err := json.Marshal(v); err == nil {
			t.Errorf("json, %s: got no error, want a refusal", name)
		}
		if err := gob.NewEncoder(&out).Encode(v); err == nil {
			t.Errorf("gob, %s: got no error, want a refusal", name)
		}
		if err := xml.NewEncoder(&out).Encode(v); err == nil {
			t.Errorf("xml, %s: got no error, want a refusal", name)
		}
		checkHidden(t, name+" encoded", out.String())
	}
	if text, err := s.MarshalText(); err == nil || text != nil {
		t.Errorf("MarshalText: got %q and %v, want a refusal", text, err)
	}
}

// TestNoPanicPrintsASecret runs itself as a child that panics.
func TestNoPanicPrintsASecret(t *testing.T) {
	t.Parallel()
	const variable = "BITJANG_TEST_PANIC"
	names := []string{"a secret", "an exported field", "an unexported field", "Tokens", "*Service", "an error", "Config"}
	if name := os.Getenv(variable); name != "" {
		panic(holders(t)[name])
	}
	for _, name := range names {
		child := exec.Command(os.Args[0], "-test.run=^TestNoPanicPrintsASecret$")
		child.Env = append(os.Environ(), variable+"="+name)
		out, err := child.CombinedOutput()
		if err == nil || !bytes.Contains(out, []byte("panic")) {
			t.Errorf("%s: the child did not panic: %v", name, err)
		}
		checkHidden(t, name+" in a panic", string(out))
	}
}

func TestASecretEqualsOnlyItsLike(t *testing.T) {
	t.Parallel()
	s := NewSecret(treasure)
	for _, tt := range []struct {
		name string
		a, b Secret
		want bool
	}{
		{"the same text is equal", s, NewSecret(treasure), true},
		{"a copy is equal", s, s, true},
		{"another text is not", s, NewSecret("other"), false},
		{"a longer text is not", s, NewSecret(treasure + "x"), false},
		{"a shorter text is not", s, NewSecret(treasure[1:]), false},
		{"zero equals nothing", Secret{}, s, false},
		{"nothing equals zero", s, Secret{}, false},
		{"zero does not equal itself", Secret{}, Secret{}, false},
		{"an empty text is zero and does not equal zero", NewSecret(""), Secret{}, false},
		{"an empty text does not equal itself", NewSecret(""), NewSecret(""), false},
	} {
		if got := tt.a.Equal(tt.b); got != tt.want {
			t.Errorf("%s: got %v", tt.name, got)
		}
	}
	if !NewSecret("").IsZero() || !(Secret{}).IsZero() || s.IsZero() {
		t.Error("IsZero: got it the wrong way round")
	}
	if got := (Secret{}).Reveal(); got != "" {
		t.Errorf("Reveal of zero: got %q, want nothing", got)
	}
	if got := s.Reveal(); got != treasure {
		t.Errorf("Reveal: got another text")
	}
}
