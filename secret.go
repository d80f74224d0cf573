package bitjang

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Secret holds a bearer secret or a password: something that must never be
// printed, logged or encoded by accident. The text sits behind a pointer,
// because fmt ignores String methods on unexported fields and would print a
// plain string from any struct that holds one.
//
// The zero value is the empty secret. It equals nothing, not even itself.
type Secret struct{ text *string }

// NewSecret wraps text.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{&text}
}

// Reveal returns the text. It is the only way to it: call it where the secret
// leaves the process on purpose, and nowhere else.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.text == nil }

// Equal compares in constant time. Two empty secrets are not equal: an absent
// credential must never match an absent record.
func (s Secret) Equal(other Secret) bool {
	if s.IsZero() || other.IsZero() {
		return false
	}
	return subtle.ConstantTimeCompare([]byte(*s.text), []byte(*other.text)) == 1
}

const redacted = "REDACTED"

// String returns a fixed word.
func (Secret) String() string { return redacted }

// Format prints a fixed word whatever the verb, %#v and %x included.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue logs a fixed word.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText refuses, and with it encoding/json and every other encoder.
func (Secret) MarshalText() ([]byte, error) {
	return nil, errors.New("bitjang: refusing to encode a Secret")
}
