package verify

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestClaimsMarshalAsRFC9068HasThem(t *testing.T) {
	t.Parallel()
	full := goodClaims()
	full.NotBefore = full.IssuedAt
	raw, err := json.Marshal(full)
	want := `{"iss":"https://auth.example.com","sub":"user-1","aud":"https://api.example.com","exp":1795349340,"iat":1795348740,"nbf":1795348740,` +
		`"jti":"jti-1","sid":"session-1","client_id":"web","scope":"orders:read orders:write","roles":["admin"],"auth_time":1795345200,` +
		`"amr":["pwd","otp"],"acr":"aal2","gen":7}`
	if err != nil || string(raw) != want {
		t.Errorf("got %s, %v, want %s", raw, err, want)
	}
	least := Claims{Issuer: "i", Subject: "s", Audience: Audience{"a", "b"}, ExpiresAt: 2, IssuedAt: 1, ID: "j", ClientID: "c"}
	raw, err = json.Marshal(least)
	want = `{"iss":"i","sub":"s","aud":["a","b"],"exp":2,"iat":1,"jti":"j","client_id":"c","gen":0}`
	if err != nil || string(raw) != want {
		t.Errorf("got %s, %v, want %s", raw, err, want)
	}
}

// TestNoClaimIsForgotten fills every field, so that one added later fails here
// until parseClaims and clone know it.
func TestNoClaimIsForgotten(t *testing.T) {
	t.Parallel()
	var want Claims
	for _, f := range reflect.ValueOf(&want).Elem().Fields() {
		switch f.Kind() {
		case reflect.String:
			f.SetString("x")
		case reflect.Int64:
			f.SetInt(1)
		case reflect.Uint32:
			f.SetUint(1)
		case reflect.Slice:
			f.Set(reflect.Append(f, reflect.ValueOf("x").Convert(f.Type().Elem())))
		case reflect.Struct:
			f.Set(reflect.ValueOf(Confirmation{KeyThumbprint: "x"}))
		default:
			t.Fatalf("a field of kind %v", f.Kind())
		}
	}
	raw, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseClaims(raw)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
	var plain Claims
	if err := json.Unmarshal(raw, &plain); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, plain); diff != "" {
		t.Errorf("by encoding/json: want -, got +:\n%s", diff)
	}
	for _, f := range reflect.ValueOf(want.clone()).Elem().Fields() {
		if f.Kind() == reflect.Slice {
			f.Index(0).SetString("changed")
		}
	}
	if diff := cmp.Diff(got, &want); diff != "" {
		t.Errorf("a clone shares its slices: want -, got +:\n%s", diff)
	}
}

func TestHasScopeAndHasRoleWantWholeWords(t *testing.T) {
	t.Parallel()
	c := &Claims{Scope: "orders:read  openid", Roles: []string{"admin", ""}}
	for scope, want := range map[string]bool{"orders:read": true, "openid": true, "orders": false, "": false, "orders:read  openid": false, "OPENID": false} {
		if got := c.HasScope(scope); got != want {
			t.Errorf("scope %q: got %v, want %v", scope, got, want)
		}
	}
	for role, want := range map[string]bool{"admin": true, "adm": false, "": false, "Admin": false} {
		if got := c.HasRole(role); got != want {
			t.Errorf("role %q: got %v, want %v", role, got, want)
		}
	}
	if (&Claims{}).HasScope("") || (&Claims{}).HasRole("") {
		t.Error("claims without scope and role have the empty one")
	}
}
