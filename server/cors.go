package server

import (
	"net/http"
	"strings"

	"github.com/rs/cors"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/web"
)

// exposed are the headers of answers that scripts may read.
var exposed = []string{"WWW-Authenticate", "Retry-After", "RateLimit", "RateLimit-Policy", web.NonceHeader}

// clientPaths are what clients in browsers call from their own origin. The
// authorization endpoint is not among them (RFC 9700 section 2.6).
var clientPaths = map[string]bool{"/oauth2/token": true, "/oauth2/revoke": true, "/oauth2/userinfo": true}

// withCORS lets scripts of other origins in: at /v1 those that the operator lists,
// with cookies; at the endpoints of clients those of registered public clients,
// without. The documents are for everybody, and say so themselves. No script reads
// a page.
func withCORS(origins []string, svc *bitjang.Service, next http.Handler) http.Handler {
	forClients := cors.New(cors.Options{
		AllowOriginVaryRequestFunc: func(r *http.Request, origin string) (bool, []string) {
			ok, err := svc.ClientOrigin(r.Context(), origin)
			return ok && err == nil, nil
		},
		AllowedMethods: []string{http.MethodGet, http.MethodPost},
		AllowedHeaders: []string{"Authorization", "Content-Type", web.DeviceHeader, web.ProofHeader},
		ExposedHeaders: exposed,
		MaxAge:         600,
	}).Handler(next)
	listed := next // without any, not at all
	if len(origins) > 0 {
		listed = cors.New(cors.Options{
			AllowedOrigins:   origins,
			AllowedMethods:   []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete},
			AllowedHeaders:   []string{"Authorization", "Content-Type", web.RefreshHeader, web.DeviceHeader, web.ProofHeader},
			ExposedHeaders:   exposed,
			AllowCredentials: true,
			MaxAge:           600,
		}).Handler(next)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case clientPaths[r.URL.Path]:
			forClients.ServeHTTP(w, r)
		case strings.HasPrefix(r.URL.Path, "/v1/"):
			listed.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}
