package server_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/server"
	"github.com/bitjang/bitjang/store/sqlstore"
)

func TestSmoke(t *testing.T) {
	st, err := sqlstore.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "b.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	svc, err := bitjang.New(bitjang.Config{Issuer: "http://localhost:8080", MasterKeys: []bitjang.Secret{bitjang.NewMasterKey()}, Store: st})
	if err != nil {
		t.Fatal(err)
	}
	if err := svc.LoadKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	h, err := server.New(svc, server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	do := func(method, path, body string, hdr ...string) string {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		for i := 0; i+1 < len(hdr); i += 2 {
			r.Header.Add(hdr[i], hdr[i+1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		t.Log(method, path, w.Code, w.Header(), w.Body.String())
		return w.Body.String()
	}
	do("POST", "/v1/signup", `{"email":"a@example.com","password":"correct horse"}`)
	b := do("POST", "/v1/login", `{"identifier":"a@example.com","password":"correct horse"}`)
	get := func(b, k string) string { _, x, _ := strings.Cut(b, `"`+k+`":"`); v, _, _ := strings.Cut(x, `"`); return v }
	rt := get(b, "refresh_token")
	at := get(b, "access_token")
	do("GET", "/v1/sessions", "", "Authorization", "Bearer "+at)
	b = do("POST", "/v1/refresh", `{"refresh_token":"`+rt+`"}`)
	b = do("POST", "/v1/refresh", `{"refresh_token":"`+get(b, "refresh_token")+`"}`)
	do("GET", "/forward-auth", "", "Authorization", "Bearer "+get(b, "access_token"))
	b = do("POST", "/v1/refresh", `{"refresh_token":"`+get(b, "refresh_token")+`"}`)
	do("POST", "/v1/refresh", `{"refresh_token":"`+rt+`"}`)
	do("POST", "/v1/refresh", `{"refresh_token":"`+get(b, "refresh_token")+`"}`)
	do("GET", "/v1/me", "", "Authorization", "Bearer "+get(b, "access_token"))
	do("GET", "/v1/refresh", "")
	do("GET", "/nope", "")
	_ = http.MethodGet
}
