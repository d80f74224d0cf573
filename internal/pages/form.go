package pages

import (
	"html/template"
	"strings"
)

// wrongField is the name of the input that a problem is about, "login" for both
// of a login's, and "" where it is about no input.
func wrongField(code string) string {
	switch {
	case code == "invalid_credentials":
		return "login"
	case strings.HasPrefix(code, "password_"):
		return "password"
	case strings.HasPrefix(code, "email_"), code == "signup_domain", code == "signup_invite_required":
		return "email"
	case code == "name_invalid":
		return "name"
	case code == "code_invalid":
		return "code"
	}
	return ""
}

// Wrong marks an input when the problem is about it, so that a screen reader
// starts there and reads it out. hints are the ids of texts that describe the
// input in any case.
func (f *frame) Wrong(field string, hints ...string) template.HTMLAttr {
	wrong := f.Problem != "" && f.Field == field
	var out strings.Builder
	if wrong {
		out.WriteString(` aria-invalid="true"`)
		hints = append([]string{"problem"}, hints...)
	}
	if len(hints) > 0 {
		out.WriteString(` aria-describedby="` + strings.Join(hints, " ") + `"`)
	}
	if wrong && field != "login" {
		out.WriteString(" autofocus")
	}
	return template.HTMLAttr(out.String())
}
