package web

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"unicode/utf8"
)

// ReadJSON decodes the body into v. Unknown members are ignored; an empty body
// leaves v as it is.
func ReadJSON(r *http.Request, v any) error {
	body, err := io.ReadAll(r.Body)
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return Refuse(http.StatusRequestEntityTooLarge, "body_too_large", "The request body is too large.")
	} else if err != nil {
		return Refuse(http.StatusBadRequest, "body_unreadable", "The request body could not be read.")
	}
	if len(body) == 0 {
		return nil
	}
	// A form or text/plain needs no preflight, so another site could send it.
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return Refuse(http.StatusUnsupportedMediaType, "media_type_unsupported", "Send JSON with Content-Type: application/json.")
	}
	if !utf8.Valid(body) {
		return Refuse(http.StatusBadRequest, "json_malformed", "The request body is not UTF-8.")
	}
	if err := json.Unmarshal(body, v); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field == "" {
			return Refuse(http.StatusBadRequest, "json_malformed", "The request body is not a JSON object.")
		} else if ok {
			return Refuse(http.StatusBadRequest, "json_malformed", "The member "+wrong.Field+" has the wrong type.")
		}
		return Refuse(http.StatusBadRequest, "json_malformed", "The request body is not JSON.")
	}
	return nil
}

// WriteJSON answers with v.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the caller is gone: nobody to tell
	return nil
}
