package verify_test

import (
	"fmt"
	"log"
	"net/http"

	"github.com/bitjang/bitjang/verify"
)

func Example() {
	v, err := verify.New(verify.Config{Issuer: "https://auth.example.com", Audience: "https://api.example.com"})
	if err != nil {
		log.Fatal(err)
	}
	orders := func(w http.ResponseWriter, r *http.Request) {
		claims, _ := verify.FromContext(r.Context())
		fmt.Fprintf(w, "orders of %s\n", claims.Subject)
	}
	http.Handle("GET /orders", v.Middleware(v.RequireScope("orders:read")(http.HandlerFunc(orders))))
}
