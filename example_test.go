package bitjang_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/server"
	"github.com/bitjang/bitjang/store/sqlstore"
)

// An application that embeds Bitjang: its API under /v1, and the application
// itself behind a guard that keeps people logged in.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	dir, err := os.MkdirTemp("", "bitjang")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	store, err := sqlstore.Open(ctx, "sqlite:"+filepath.Join(dir, "app.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	svc, err := bitjang.New(bitjang.Config{
		Issuer: "http://localhost:8080", Store: store,
		MasterKeys: []bitjang.Secret{bitjang.NewMasterKey()}, // in earnest: one that is kept
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := svc.LoadKeys(ctx); err != nil {
		log.Fatal(err)
	}
	go func() { _ = svc.Run(ctx) }()
	api, err := server.New(svc, server.Options{})
	if err != nil {
		log.Fatal(err)
	}
	app := http.NewServeMux()
	app.Handle("/v1/", api)
	app.Handle("/", server.NewGuard(svc, server.GuardOptions{}).Wrap(http.HandlerFunc(hello)))

	// Somebody signs up, logs in and comes back with the cookies.
	do := func(method, path, body string, cookies []*http.Cookie) *http.Response {
		r := httptest.NewRequest(method, "http://localhost:8080"+path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		for _, c := range cookies {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		app.ServeHTTP(w, r)
		fmt.Println(method, path, w.Code)
		return w.Result()
	}
	do("GET", "/", "", nil)
	do("POST", "/v1/signup", `{"email": "ada@example.com", "password": "correct horse battery"}`, nil)
	login := do("POST", "/v1/login", `{"identifier": "ada@example.com", "password": "correct horse battery", "transport": "cookie"}`, nil)
	do("GET", "/", "", login.Cookies())
	// Output:
	// GET / 401
	// POST /v1/signup 201
	// POST /v1/login 200
	// hello, I know you
	// GET / 200
}

func hello(w http.ResponseWriter, r *http.Request) {
	if id, ok := server.IdentityFrom(r.Context()); ok && id.Claims.Subject == id.Session.UserID {
		fmt.Println("hello, I know you")
	}
}
