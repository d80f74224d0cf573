// A resource server in Go: every request to /orders needs an access token from
// Bitjang. Only the issuer's URL is configured; package verify fetches the keys
// and uses nothing beside the standard library.
//
//	BITJANG_ISSUER=https://auth.example.com PORT=3000 go run .
//
// With CLIENT_ID and CLIENT_SECRET of a client that has the scope "revocations"
// it follows the revocation feed, and refuses ended sessions within a second.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"

	"github.com/bitjang/bitjang/verify"
)

func main() {
	issuer := cmp.Or(os.Getenv("BITJANG_ISSUER"), "http://localhost:8080")
	config := verify.Config{Issuer: issuer, Audience: cmp.Or(os.Getenv("BITJANG_AUDIENCE"), issuer)}
	if id := os.Getenv("CLIENT_ID"); id != "" {
		config.Feed = &verify.Feed{Authorize: verify.ClientSecret(id, os.Getenv("CLIENT_SECRET")), WhenStale: verify.FailClosed}
	}
	verifier, err := verify.New(config)
	if err != nil {
		log.Fatal(err)
	}
	if config.Feed != nil {
		go func() { log.Fatal(verifier.Run(context.Background())) }()
		if err := verifier.Ready(context.Background()); err != nil {
			log.Fatal(err)
		}
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
