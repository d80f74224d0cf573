//go:build linux

package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"os"
)

// limit is the least that such a server can do: net/http reads the form and answers
// with as many bytes, and signs what has to be signed. It checks nothing and keeps
// nothing. It runs in this process, beside the callers.
func (s *stage) limit(context.Context, int) (contestant, error) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return contestant{}, err
	}
	rs, err := rsa.GenerateKey(rand.Reader, 3072) // as Bitjang's
	if err != nil {
		return contestant{}, err
	}
	sum, answer := sha256.Sum256([]byte("claims")), make([]byte, 1600)
	for i := range answer {
		answer[i] = ' '
	}
	answer[0], answer[len(answer)-1] = '{', '}'
	mux := http.NewServeMux()
	reply := func(size int, sign func()) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			sign()
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(append(answer[:size-1:size-1], '}'))
		}
	}
	mux.HandleFunc("/small", reply(300, func() {}))
	mux.HandleFunc("/both", reply(1600, func() {
		_, _ = ecdsa.SignASN1(rand.Reader, ec, sum[:])
		_, _ = rsa.SignPKCS1v15(rand.Reader, rs, crypto.SHA256, sum[:])
	}))
	server := httptest.NewServer(mux)
	s.stop = append(s.stop, server.Close)
	post := func(path string) func(int, int) error {
		return func(int, int) error {
			return form(server.URL+path, nil, "token", string(answer[:600]), "client_id", "bench", "client_secret", "bench-secret")
		}
	}
	return contestant{name: "limit", cpu: cpuOf(os.Getpid()), ops: map[string]op{
		"introspect": {send: post("/small")}, "userinfo": {send: post("/small")}, "exchange a code": {send: post("/both")}, "refresh": {send: post("/both")},
	}}, nil
}
