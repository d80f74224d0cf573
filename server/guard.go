package server

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/web"
)

// GuardOptions make a Guard. Every zero value has the stated default.
type GuardOptions struct {
	TrustedProxies []netip.Prefix // as in Options
	Static         []string       // path prefixes that pass untouched, like "/static/"; default: none
	Optional       bool           // let requests without a session pass too, without an identity
	Timeout        time.Duration  // for the check, not for the handler behind it; default 15 s
	Logger         *slog.Logger   // default: discard
	// Refused answers requests without a valid session, 401 or 403; for
	// instance with a redirect to a login page. A late request whose refresh
	// token is superseded is a 409: the browser has newer cookies already and
	// only needs to try again. Default: problem+json.
	Refused func(w http.ResponseWriter, r *http.Request, err error)
}

// Guard protects an application that embeds a Service: it admits requests with
// a valid access token, refreshes transparently when only the refresh token is
// valid, and hands the identity to the handler. Tokens travel in cookies; an
// Authorization header is checked but never rotated.
type Guard struct {
	svc  *bitjang.Service
	opt  GuardOptions
	edge *web.Edge
}

// NewGuard returns a Guard.
func NewGuard(svc *bitjang.Service, opt GuardOptions) *Guard {
	g := &Guard{svc: svc, opt: opt, edge: newEdge(svc, Options{TrustedProxies: opt.TrustedProxies, Timeout: opt.Timeout, Logger: opt.Logger})}
	if g.opt.Refused == nil {
		g.opt.Refused = func(w http.ResponseWriter, r *http.Request, err error) { web.WriteProblem(w, r, web.ProblemOf(err)) }
	}
	return g
}

type identityKey struct{}

// IdentityFrom returns whom the request in ctx speaks for.
func IdentityFrom(ctx context.Context) (bitjang.Identity, bool) {
	id, ok := ctx.Value(identityKey{}).(bitjang.Identity)
	return id, ok
}

// Wrap puts the guard before next.
func (g *Guard) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.isStatic(r) {
			next.ServeHTTP(w, r)
			return
		}
		admission, err := g.admit(r)
		out := &careful{ResponseWriter: w}
		defer out.finish()
		switch {
		case err == nil:
			if admission.Tokens != nil {
				web.SetTokens(out, *admission.Tokens)
			}
			r = r.WithContext(context.WithValue(r.Context(), identityKey{}, admission.Identity))
		case web.ProblemOf(err).Status >= 500:
			// Neither logged in nor out: nobody can tell now.
			g.edge.Log.Error("guard", "path", r.URL.Path, "error", err)
			web.WriteProblem(w, r, web.ProblemOf(err))
			return
		case !g.opt.Optional:
			g.opt.Refused(out, r, err)
			return
		}
		next.ServeHTTP(out, r)
	})
}

// isStatic is for paths that look the same to everybody. A path that climbs
// out of its prefix does not count.
func (g *Guard) isStatic(r *http.Request) bool {
	for _, prefix := range g.opt.Static {
		if strings.HasPrefix(r.URL.Path, prefix) && !strings.Contains(r.URL.Path, "..") {
			return true
		}
	}
	return false
}

func (g *Guard) admit(r *http.Request) (bitjang.Admission, error) {
	ctx, cancel := context.WithTimeout(r.Context(), g.edge.Timeout)
	defer cancel()
	return g.svc.Admit(ctx, g.edge.AdmitInput(r))
}

// careful marks every answer that sets a cookie as private, whatever the
// handler behind the guard said about caching: a cache that kept it would log
// strangers in as each other.
type careful struct {
	http.ResponseWriter
	wrote bool
}

func (c *careful) WriteHeader(status int) {
	if status >= 200 {
		c.finish()
	}
	c.ResponseWriter.WriteHeader(status)
}

// finish looks at the headers for the last time. A handler that writes nothing
// leaves it to the guard. Shared caches obey the other headers before
// Cache-Control (RFC 9213 section 2.2; nginx, Varnish).
func (c *careful) finish() {
	h := c.Header()
	written := c.wrote
	c.wrote = true
	if written || len(h.Values("Set-Cookie")) == 0 {
		return
	}
	maps.DeleteFunc(h, func(name string, _ []string) bool {
		return strings.HasSuffix(name, "-Cache-Control") || name == "Surrogate-Control" || name == "X-Accel-Expires"
	})
	h.Set("Cache-Control", "private, no-store")
}

func (c *careful) Write(b []byte) (int, error) {
	if !c.wrote {
		c.WriteHeader(http.StatusOK)
	}
	return c.ResponseWriter.Write(b)
}

// Flush is for handlers that ask for http.Flusher.
func (c *careful) Flush() {
	if !c.wrote {
		c.WriteHeader(http.StatusOK)
	}
	_ = http.NewResponseController(c.ResponseWriter).Flush() // best effort, as Flusher is
}

// Unwrap is for http.ResponseController.
func (c *careful) Unwrap() http.ResponseWriter { return c.ResponseWriter }
