// A resource server in Go: every request to /orders needs an access token from
// Bitjang. Only the issuer's URL is configured; package verify fetches the keys
// and uses nothing beside the standard library.
//
//	BITJANG_ISSUER=https://auth.example.com PORT=3000 go run .
package main

import (
	"cmp"
	"encoding/json"
	"log"
	"net/http"
	"os"

	"github.com/bitjang/bitjang/verify"
)

func main() {
	issuer := cmp.Or(os.Getenv("BITJANG_ISSUER"), "http://localhost:8080")
	verifier, err := verify.New(verify.Config{Issuer: issuer, Audience: cmp.Or(os.Getenv("BITJANG_AUDIENCE"), issuer)})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { answer(w, map[string]any{"ok": true}) })
	mux.Handle("GET /orders", verifier.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		me, _ := verify.FromContext(r.Context())
		answer(w, map[string]any{"user": me.Subject, "session": me.SessionID, "roles": me.Roles})
	})))
	log.Fatal(http.ListenAndServe("127.0.0.1:"+cmp.Or(os.Getenv("PORT"), "3000"), mux))
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // the caller is gone: nobody to tell
}
