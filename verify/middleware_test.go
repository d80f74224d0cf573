package verify

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// answer is what the tests look at in a response.
type answer struct {
	Status    int
	Challenge string
	Code      string
	Detail    string
}

// ask sends a request through h and checks what every refusal has.
func ask(t *testing.T, h http.Handler, edit func(*http.Request)) (answer, *httptest.ResponseRecorder) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "https://api.example.com/orders", nil)
	if edit != nil {
		edit(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	a := answer{Status: w.Code, Challenge: w.Header().Get("WWW-Authenticate")}
	if w.Code == http.StatusOK {
		return a, w
	}
	var body struct {
		Title, Code, Detail string
		Status              int
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("got body %q: %v", w.Body, err)
	}
	if body.Status != w.Code || body.Title != http.StatusText(w.Code) {
		t.Errorf("got status %d and title %q in the body of a %d", body.Status, body.Title, w.Code)
	}
	if got := w.Header().Get("Content-Type") + ", " + w.Header().Get("Cache-Control"); got != "application/problem+json, no-store" {
		t.Errorf("got %s", got)
	}
	a.Code, a.Detail = body.Code, body.Detail
	return a, w
}

// whoAmI answers with the subject of the token.
var whoAmI = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if c, ok := FromContext(r.Context()); ok {
		_, _ = w.Write([]byte(c.Subject))
	}
})

const realm = `Bearer realm="` + testAudience + `"`

func invalid(detail string) answer {
	return answer{401, realm + `, error="invalid_token", error_description="` + detail + `"`, "invalid_token", detail}
}

func badRequest(detail string) answer {
	return answer{400, realm + `, error="invalid_request", error_description="` + detail + `"`, "invalid_request", detail}
}

func TestMiddlewareAnswersAsRFC6750(t *testing.T) {
	t.Parallel()
	good := mint(t, "es", claimsJSON(t, nil))
	other := mint(t, "es", claimsJSON(t, map[string]any{"sub": "user-2"}))
	expired := mint(t, "es", claimsJSON(t, map[string]any{"exp": testNow.Unix() - 3600}))
	none := answer{401, realm, "", "an access token is needed"}
	ok := answer{Status: 200}
	auth := func(values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header["Authorization"] = values }
	}
	cookie := func(edit func(*http.Request), name, value string) func(*http.Request) {
		return func(r *http.Request) {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
			if edit != nil {
				edit(r)
			}
		}
	}
	const name = "__Host-bitjang_at"
	crossSite := func(method string) func(*http.Request) {
		return func(r *http.Request) {
			r.Method = method
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		}
	}
	both := func(edits ...func(*http.Request)) func(*http.Request) {
		return func(r *http.Request) {
			for _, e := range edits {
				e(r)
			}
		}
	}
	tests := []struct {
		name     string
		noCookie bool // the verifier takes no cookie
		edit     func(*http.Request)
		want     answer
	}{
		{"a good token", false, auth("Bearer " + good), ok},
		{"the scheme in small letters", false, auth("bearer " + good), ok},
		{"the scheme in capitals and more space", false, auth("BEARER   " + good + " "), ok},
		{"no token", false, nil, none},
		{"another scheme", false, auth("Basic dXNlcjpwYXNz"), none},
		{"a scheme that begins like ours", false, auth("BearerX " + good), none},
		{"a scheme without a token", false, auth("Bearer"), badRequest("an empty token")},
		{"a scheme with spaces", false, auth("Bearer  "), badRequest("an empty token")},
		{"two headers", false, auth("Bearer "+good, "Bearer "+good), badRequest("more than one token")},
		{"two headers of two schemes", false, auth("Basic dXNlcjpwYXNz", "Bearer "+good), badRequest("more than one token")},
		{"two tokens in a header", false, auth("Bearer " + good + " " + good), invalid("the token is malformed")},
		{"nonsense", false, auth("Bearer nonsense"), invalid("the token is malformed")},
		{"an expired token", false, auth("Bearer " + expired), invalid("the token has expired")},
		{"a token in the query", false, func(r *http.Request) { r.URL.RawQuery = "access_token=" + good }, none},
		{"a token in a form", false, func(r *http.Request) { r.Form = map[string][]string{"access_token": {good}} }, none},

		{"a token in the cookie", false, cookie(nil, name, good), ok},
		{"a token in the cookie, which is off", true, cookie(nil, name, good), none},
		{"a token in another cookie", false, cookie(nil, "token", good), none},
		{"an empty cookie", false, cookie(nil, name, ""), none},
		{"an empty cookie beside a header", false, cookie(auth("Bearer "+good), name, ""), ok},
		{"an expired token in the cookie", false, cookie(nil, name, expired), invalid("the token has expired")},
		{"header and cookie with one token", false, cookie(auth("Bearer "+good), name, good), ok},
		{"header and cookie that differ", false, cookie(auth("Bearer "+good), name, other), badRequest("more than one token")},
		{"header and cookie that differ, where the cookie is off", true, cookie(auth("Bearer "+good), name, other), ok},
		{"another scheme beside the cookie", false, cookie(auth("Basic dXNlcjpwYXNz"), name, good), ok},
		{"two cookies", false, cookie(cookie(nil, name, other), name, good), badRequest("more than one token")},
		{
			"a cookie that another site sent along", false, both(cookie(nil, name, good), crossSite("POST")),
			answer{403, "", "", "a cookie does not count in a request from another site"},
		},
		{"a cookie in a GET that another site caused", false, both(cookie(nil, name, good), crossSite("GET")), ok},
		{"a header in a request of another site", false, both(auth("Bearer "+good), crossSite("POST")), ok},
		{"header and cookie in a request of another site", false, both(cookie(auth("Bearer "+good), name, good), crossSite("POST")), ok},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := newVerifier(t, func(c *Config) {
				if !tt.noCookie {
					c.Cookie = name
				}
			})
			got, w := ask(t, v.Middleware(whoAmI), tt.edit)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
			if tt.want.Status == http.StatusOK && w.Body.String() != "user-1" {
				t.Errorf("got %q behind the middleware, want user-1", w.Body)
			}
			if strings.Contains(w.Body.String(), "eyJ") || strings.Contains(got.Challenge, "eyJ") {
				t.Error("the answer has a piece of the token")
			}
		})
	}
}

func TestEveryRefusalHasItsWords(t *testing.T) {
	t.Parallel()
	for err, detail := range map[error]string{
		ErrExpired: "the token has expired", ErrNotYetValid: "the token is not valid yet", ErrMalformed: "the token is malformed",
		ErrWrongIssuer: "the token is from another issuer", ErrWrongAudience: "the token is for another audience",
		ErrWrongType: "the token is not an access token", ErrAlgorithm: "the algorithm is not allowed",
		ErrUnknownKey: "the signing key is unknown", ErrBadSignature: "the signature is not valid",
		ErrMissingClaim: "a required claim is missing", errors.New("anything else"): "the token is not valid",
	} {
		got := refusalOf(err)
		if got.status != 401 || got.code != "invalid_token" || got.detail != detail {
			t.Errorf("%v: got %+v, want 401 invalid_token, %s", err, got, detail)
		}
	}
}

func TestKeysThatCannotBeHadAreNotTheClientsFault(t *testing.T) {
	t.Parallel()
	keys := keysFor()
	keys.err = errors.New("dial tcp 10.0.0.1: refused")
	v := newVerifier(t, func(c *Config) { c.Keys = keys })
	token := mint(t, "es", claimsJSON(t, nil))
	got, w := ask(t, v.Middleware(whoAmI), func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) })
	want := answer{503, "", "", "signing keys are unavailable, try again"}
	if got != want || w.Header().Get("Retry-After") != "10" {
		t.Errorf("got %+v and Retry-After %q, want %+v and 10", got, w.Header().Get("Retry-After"), want)
	}
}

func TestRequireScopeAndRequireRole(t *testing.T) {
	t.Parallel()
	v := newVerifier(t, nil)
	c := goodClaims()
	scope := func(scopes string) answer {
		return answer{
			403, realm + `, error="insufficient_scope", error_description="the token lacks a scope", scope="` + scopes + `"`,
			"insufficient_scope", "the token lacks a scope",
		}
	}
	role := answer{403, realm + `, error="insufficient_scope", error_description="the user lacks a role"`, "insufficient_scope", "the user lacks a role"}
	for _, tt := range []struct {
		name  string
		guard func(http.Handler) http.Handler
		want  answer
	}{
		{"the scope", v.RequireScope("orders:read"), answer{Status: 200}},
		{"both scopes", v.RequireScope("orders:write", "orders:read"), answer{Status: 200}},
		{"no scope in particular", v.RequireScope(), answer{Status: 200}},
		{"another scope", v.RequireScope("users:read"), scope("users:read")},
		{"one scope of two", v.RequireScope("orders:read", "users:read"), scope("orders:read users:read")},
		{"the beginning of a scope", v.RequireScope("orders"), scope("orders")},
		{"the empty scope", v.RequireScope(""), scope("")},
		{"the role", v.RequireRole("admin"), answer{Status: 200}},
		{"another role", v.RequireRole("owner"), role},
		{"the empty role", v.RequireRole(""), role},
	} {
		got, _ := ask(t, tt.guard(whoAmI), func(r *http.Request) { *r = *r.WithContext(NewContext(r.Context(), c)) })
		if tt.name == "the empty scope" {
			got.Challenge += `, scope=""` // left out, as there is none to name
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: want -, got +:\n%s", tt.name, diff)
		}
	}
	for name, guard := range map[string]func(http.Handler) http.Handler{"scope": v.RequireScope(), "role": v.RequireRole("admin")} {
		if got, _ := ask(t, guard(whoAmI), nil); got.Status != 401 {
			t.Errorf("%s without the middleware before it: got %d, want 401", name, got.Status)
		}
	}
}

func TestFromContextWithoutClaims(t *testing.T) {
	t.Parallel()
	for _, ctx := range []context.Context{t.Context(), NewContext(t.Context(), nil)} {
		if c, ok := FromContext(ctx); ok || c != nil {
			t.Errorf("got %v, %v, want none", c, ok)
		}
	}
}

func TestTheRealmCannotBreakTheHeader(t *testing.T) {
	t.Parallel()
	v := newVerifier(t, func(c *Config) { c.Audience = "a\"b\\c\r\nX: 빗" })
	got, _ := ask(t, v.Middleware(whoAmI), nil)
	if want := `Bearer realm="a\"b\\c??X: ?"`; got.Challenge != want {
		t.Errorf("got %s, want %s", got.Challenge, want)
	}
}
