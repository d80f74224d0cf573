// Package web is the edge of a request: who sent it, what it carries, and how
// an answer or an error is written. It decides no rule. The handlers below
// internal/ and package server import it; it imports only the root package.
package web

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"
)

// Handler is an http.Handler that may fail. Only Edge.Handle writes errors.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Edge holds what every request needs.
type Edge struct {
	Log     *slog.Logger
	Proxies Proxies
	MaxBody int64         // bytes of a request body
	Timeout time.Duration // for one request, waiting for stores included
	Secure  bool          // the issuer is https: send HSTS
	Issuer  string        // the URL that clients send requests to
	Nonce   func() string // for the DPoP proofs of the next requests
}

// Handle turns h into an http.Handler: headers for safety, limits, one log
// line, and every error rendered in the same way.
func (e *Edge) Handle(h Handler) http.Handler {
	return e.Stream(func(w http.ResponseWriter, r *http.Request) error {
		ctx, cancel := context.WithTimeout(r.Context(), e.Timeout)
		defer cancel()
		return h(w, r.WithContext(ctx))
	})
}

// Stream is Handle for answers that take as long as they take. Their handlers
// bound each step themselves.
func (e *Edge) Stream(h Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		r.Body = http.MaxBytesReader(w, r.Body, e.MaxBody)
		e.safeHeaders(w.Header())
		if len(r.Header.Values(ProofHeader)) > 0 && e.Nonce != nil {
			w.Header().Set(NonceHeader, e.Nonce()) // RFC 9449 section 8.2
		}
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler {
					panic(p)
				}
				e.Log.Error("panic", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
				WriteProblem(w, r, internalProblem)
			}
		}()
		if err := h(w, r); err != nil {
			e.fail(w, r, err)
		}
		e.Log.Debug("request", "method", r.Method, "path", r.URL.Path, "took", time.Since(started), "ip", ClientAddr(r, e.Proxies))
	})
}

func (e *Edge) safeHeaders(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	if e.Secure {
		h.Set("Strict-Transport-Security", "max-age=63072000")
	}
}

// NoStore forbids every cache: for answers that carry tokens or personal data.
func NoStore(w http.ResponseWriter) { w.Header().Set("Cache-Control", "no-store") }
