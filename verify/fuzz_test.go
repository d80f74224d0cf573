package verify

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzVerify tries texts as tokens, and as the claims of tokens that the issuer
// did sign. Nothing may panic, and what is accepted has to be what it says.
func FuzzVerify(f *testing.F) {
	good := mint(f, "es", claimsJSON(f, nil))
	f.Add(good)
	f.Add(claimsJSON(f, nil))
	f.Add(claimsJSON(f, map[string]any{"aud": []string{testAudience, "x"}, "nbf": 1, "x": []any{map[string]any{"y": "z"}}}))
	f.Add(strings.Replace(good, "eyJ", "eyA", 1))
	f.Add(`{"iss":null,"\u0069ss":"x"}`)
	v := newVerifier(f, nil)
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := v.Verify(t.Context(), text); err == nil && text != good {
			t.Errorf("a token that nobody minted is accepted: %q", text)
		}
		if len(text) > 4000 {
			return // Sign would refuse it
		}
		got, err := v.Verify(t.Context(), mint(t, "es", text))
		if err != nil {
			return
		}
		if got.Issuer != testIssuer || got.Subject == "" || got.ClientID == "" || got.ID == "" || got.ExpiresAt <= testNow.Unix()-30 {
			t.Errorf("accepted: %+v", got)
		}
		// encoding/json may be laxer, but where we accept it must see the same,
		// unless the text has names that only it takes for ours.
		var loose Claims
		var names map[string]json.RawMessage
		if json.Unmarshal([]byte(text), &names) != nil {
			t.Fatalf("accepted, but no object: %q", text)
		}
		for name := range names {
			if name != strings.ToLower(name) || strings.ContainsFunc(name, func(r rune) bool { return r > 127 }) {
				return
			}
		}
		if err := json.Unmarshal([]byte(text), &loose); err != nil {
			t.Fatalf("accepted, but encoding/json says %v: %q", err, text)
		}
		if diff := cmp.Diff(&loose, got); diff != "" {
			t.Errorf("encoding/json -, we +:\n%s", diff)
		}
	})
}

func FuzzAuthorization(f *testing.F) {
	f.Add("Bearer abc")
	f.Add("bearer  a b ")
	f.Add("Basic abc")
	f.Add("DPoP abc")
	f.Fuzz(func(t *testing.T, header string) {
		token, scheme, err := authorization([]string{header})
		if token != "" && !strings.EqualFold(scheme, header[:len(scheme)]) {
			t.Errorf("%q: got scheme %q", header, scheme)
		}
		if err != nil && token != "" || token != "" && !strings.HasSuffix(strings.TrimRight(header, " "), token) {
			t.Errorf("%q: got %q, %v", header, token, err)
		}
	})
}
