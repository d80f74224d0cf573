package server_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"mime"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/bitjang/bitjang/server"
)

// document is openapi.json, read once.
var document = sync.OnceValue(func() *apiDocument {
	raw, err := os.ReadFile("openapi.json")
	if err != nil {
		panic(err)
	}
	d := &apiDocument{schemas: map[string]*jsonschema.Schema{}}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		panic(err)
	}
	d.root = parsed.(object)
	// What is not in the document must not be in an answer either.
	for _, schema := range d.at("components", "schemas") {
		if s := schema.(object); s["properties"] != nil {
			s["additionalProperties"] = false
		}
	}
	d.compiler = jsonschema.NewCompiler()
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource("openapi.json", d.root); err != nil {
		panic(err)
	}
	return d
})

type apiDocument struct {
	root     object
	mu       sync.Mutex
	compiler *jsonschema.Compiler
	schemas  map[string]*jsonschema.Schema
}

// at walks down the document, following a $ref at each step.
func (d *apiDocument) at(keys ...string) object {
	o, _ := d.find(keys...)
	return o
}

// find is at, with the JSON pointer of where it got to.
func (d *apiDocument) find(keys ...string) (object, string) {
	o, pointer := d.root, ""
	for _, k := range keys {
		next, ok := o[k].(object)
		if !ok {
			return nil, ""
		}
		o, pointer = next, pointer+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(k)
		if ref, ok := o["$ref"].(string); ok && k != "schema" {
			o, pointer = d.find(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
		}
	}
	return o, pointer
}

func (d *apiDocument) validate(pointer string, body []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	schema := d.schemas[pointer]
	if schema == nil {
		var err error
		if schema, err = d.compiler.Compile("openapi.json#" + pointer); err != nil {
			return fmt.Errorf("compile: %w", err)
		}
		d.schemas[pointer] = schema
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("the body is not JSON: %w", err)
	}
	return schema.Validate(v)
}

// pathOf is the documented path that a request went to, "" if there is none.
func pathOf(urlPath string) string {
	for path := range document().at("paths") {
		prefix, rest, templated := strings.Cut(path, "{id}")
		id, ok := strings.CutPrefix(urlPath, prefix)
		id, end := strings.CutSuffix(id, rest)
		if path == urlPath || templated && ok && end && id != "" && !strings.Contains(id, "/") {
			return path
		}
	}
	return ""
}

// seen are the answers that tests have met: "post /v1/login 401 invalid_credentials".
var seen sync.Map

// checkAgainstDocument fails the test unless the document knows the answer, and
// unless it keeps what every answer promises.
func checkAgainstDocument(t *testing.T, r *http.Request, a *answer) {
	t.Helper()
	keepsGeneralPromises(t, r, a)
	path, method := pathOf(r.URL.Path), strings.ToLower(r.Method)
	if r.Method == http.MethodHead || r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
		return // one has no body, the other never reaches an operation
	}
	d := document()
	if path == "" || r.Method == method || d.at("paths", path, method) == nil {
		if a.Status != http.StatusNotFound && a.Status != http.StatusMethodNotAllowed && a.Status != http.StatusMovedPermanently {
			t.Fatalf("%s %s answers %d and is not in the document", r.Method, r.URL.Path, a.Status)
		}
		return
	}
	where := []string{"paths", path, method, "responses", fmt.Sprint(a.Status)}
	response := d.at(where...)
	if response == nil {
		t.Fatalf("%s %s: status %d is not in the document\n%s", r.Method, path, a.Status, a.Body)
	}
	code := a.text("code")
	if isOAuth(path) {
		code = a.text("error")
	}
	seen.Store(fmt.Sprintf("%s %s %d %s", method, path, a.Status, code), true)
	checkHeaders(t, response, a)
	if response["content"] == nil {
		if len(a.Body) != 0 {
			t.Fatalf("%s %s %d has a body: %s", r.Method, path, a.Status, a.Body)
		}
		return
	}
	kind, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type"))
	_, pointer := d.find(append(where, "content", kind, "schema")...)
	if pointer == "" {
		t.Fatalf("%s %s %d: media type %q is not in the document", r.Method, path, a.Status, kind)
	}
	if strings.HasSuffix(kind, "+jwt") {
		return
	}
	if err := d.validate(pointer, a.Body); err != nil {
		t.Fatalf("%s %s %d: %v\n%s", r.Method, path, a.Status, err, a.Body)
	}
}

// isOAuth tells the endpoints whose errors are RFC 6749's.
func isOAuth(path string) bool {
	return slices.Contains([]string{"/oauth2/token", "/oauth2/revoke", "/oauth2/introspect"}, path)
}

// checkHeaders validates the documented headers that are there, and finds
// undocumented ones among those that matter.
func checkHeaders(t *testing.T, response object, a *answer) {
	t.Helper()
	d := document()
	known, _ := response["headers"].(object)
	for name, h := range known {
		ref, shared := h.(object)["$ref"].(string)
		if !shared {
			continue
		}
		_, pointer := d.find(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
		for _, value := range a.Header.Values(name) {
			body, _ := json.Marshal(value)
			if name == "Retry-After" {
				body = []byte(value)
			}
			if err := d.validate(pointer+"/schema", body); err != nil {
				t.Fatalf("header %s: %q: %v", name, value, err)
			}
		}
	}
	for name := range a.Header {
		matters := strings.HasPrefix(name, "X-Auth-") || slices.Contains([]string{"Set-Cookie", "Retry-After", "Ratelimit", "Ratelimit-Policy", "Www-Authenticate", "Location"}, name)
		cleared := name == "Set-Cookie" && a.Status == http.StatusUnauthorized // checked by keepsGeneralPromises
		if matters && !cleared && !hasKey(known, name) {
			t.Fatalf("header %s is not in the document", name)
		}
	}
}

func hasKey(m object, name string) bool {
	for k := range m {
		if http.CanonicalHeaderKey(k) == name {
			return true
		}
	}
	return false
}

var aToken = regexp.MustCompile(`bjr_[A-Za-z0-9_-]{72}`)

// keepsGeneralPromises is what holds for every answer of the server.
func keepsGeneralPromises(t *testing.T, r *http.Request, a *answer) {
	t.Helper()
	what := fmt.Sprintf("%s %s %d", r.Method, r.URL.Path, a.Status)
	cors := r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
	if a.Status == http.StatusMovedPermanently || cors {
		return // the mux cleaned a path; the CORS layer answered
	}
	for name, value := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
	} {
		if got := a.Header.Get(name); got != value {
			t.Fatalf("%s: got %s %q, want %q", what, name, got, value)
		}
	}
	control := a.Header.Get("Cache-Control")
	if control != "public, max-age=300" && !strings.HasSuffix(control, "no-store") {
		t.Fatalf("%s: got Cache-Control %q", what, control)
	}
	if aToken.Match(a.Body) && control != "no-store" {
		t.Fatalf("%s: got tokens with Cache-Control %q", what, control)
	}
	if a.Status < 400 {
		return
	}
	wantKind, challenged := "application/problem+json", a.Status == 401 || a.text("code") == "insufficient_scope" && !strings.HasPrefix(r.Header.Get("Authorization"), "Basic")
	if isOAuth(r.URL.Path) && a.Status != 405 {
		wantKind, challenged = "application/json", a.Status == 401 && r.Header.Get("Authorization") != ""
	}
	if kind := a.Header.Get("Content-Type"); kind != wantKind {
		t.Fatalf("%s: got Content-Type %q", what, kind)
	}
	if len(a.cookies()) > 0 && r.URL.Path != "/v1/logout" && a.text("code") != "mfa_required" {
		t.Fatalf("%s: a refusal sets cookies: %v", what, a.cookies())
	}
	if challenged != (a.Header.Get("WWW-Authenticate") != "") {
		t.Fatalf("%s: got WWW-Authenticate %q", what, a.Header.Get("WWW-Authenticate"))
	}
	if (a.Status == 503 || a.Status == 429) != (a.Header.Get("Retry-After") != "") {
		t.Fatalf("%s: got Retry-After %q", what, a.Header.Get("Retry-After"))
	}
	if bytes.Contains(a.Body, []byte("secret-host")) {
		t.Fatalf("%s: the cause is shown: %s", what, a.Body)
	}
}

func TestTheDocumentHasEveryRouteAndNoOther(t *testing.T) {
	var routed, documented []string
	for _, rt := range server.Routes() {
		if rt.Audience != "page" && rt.Audience != "front" {
			routed = append(routed, rt.Pattern)
		}
	}
	for path, item := range document().at("paths") {
		for method := range item.(object) {
			documented = append(documented, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(routed)
	slices.Sort(documented)
	if diff := cmp.Diff(routed, documented); diff != "" {
		t.Errorf("routes.go (-) and openapi.json (+) differ:\n%s", diff)
	}
}

func TestEveryReferenceInTheDocumentLeadsSomewhere(t *testing.T) {
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case object:
			if ref, ok := v["$ref"].(string); ok {
				if o, _ := document().find(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...); o == nil {
					t.Errorf("%s leads nowhere", ref)
				}
			}
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(document().root)
}

func TestRoutesTxtIsTheRoutes(t *testing.T) {
	var b strings.Builder
	for _, rt := range server.Routes() {
		fmt.Fprintf(&b, "%-48s%s\n", rt.Pattern, rt.Audience)
	}
	const file = "../docs/routes.txt"
	want, err := os.ReadFile(file)
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		if os.Getenv("UPDATE") != "" {
			err = os.WriteFile(file, []byte(b.String()), 0o644)
		}
		t.Errorf("docs/routes.txt (-) and routes.go (+) differ; UPDATE=1 rewrites it (%v):\n%s", err, diff)
	}
}

// unseen are documented answers that no test can provoke through the front door.
var unseen = []string{"internal", "server_error", "body_unreadable", "keys_unavailable", "overloaded", "contended", "user_unknown"}

// TestMain looks, after all tests, for documented answers that none of them met:
// the document must not promise what the server never says.
func TestMain(m *testing.M) {
	status := m.Run()
	run, list := flag.Lookup("test.run").Value.String(), flag.Lookup("test.list").Value.String()
	fuzz := flag.Lookup("test.fuzz").Value.String()
	if status == 0 && run == "" && list == "" && fuzz == "" && flag.Lookup("test.skip").Value.String() == "" {
		for _, missing := range unmet() {
			fmt.Println("documented, but met by no test:", missing)
			status = 1
		}
	}
	os.Exit(status)
}

func unmet() (list []string) {
	d := document()
	for path, item := range d.at("paths") {
		for method := range item.(object) {
			for status := range d.at("paths", path, method, "responses") {
				for _, code := range documentedCodes(path, method, status) {
					answer := fmt.Sprintf("%s %s %s %s", method, path, status, code)
					if _, ok := seen.Load(answer); !ok && !slices.Contains(unseen, code) {
						list = append(list, answer)
					}
				}
			}
		}
	}
	slices.Sort(list)
	return list
}

// documentedCodes are those of one status; [""] when it has none.
func documentedCodes(path, method, status string) []string {
	kind, member := "application/problem+json", "code"
	if isOAuth(path) {
		kind, member = "application/json", "error"
	}
	schema := document().at("paths", path, method, "responses", status, "content", kind, "schema")
	if schema == nil || schema["allOf"] == nil {
		return []string{""}
	}
	var codes []string
	for _, part := range schema["allOf"].([]any) {
		if p, ok := part.(object)["properties"].(object); ok {
			for _, c := range p[member].(object)["enum"].([]any) {
				codes = append(codes, c.(string))
			}
		}
	}
	return codes
}
