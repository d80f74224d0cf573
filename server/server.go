// Package server speaks HTTP for a bitjang.Service: New for the whole service,
// NewGuard to protect an application that embeds it. It translates and decides
// no rule. Programs import it; nothing below it may.
package server

import (
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/api"
	"github.com/bitjang/bitjang/internal/oauth"
	"github.com/bitjang/bitjang/internal/pages"
	"github.com/bitjang/bitjang/internal/web"
)

// Options make a server. Every zero value has the stated default.
type Options struct {
	TrustedProxies []netip.Prefix // whose X-Forwarded-For and Forwarded are believed; default: nobody's
	CORSOrigins    []string       // exact origins whose scripts may call /v1 with credentials; default: none
	LoginURL       string         // where a browser goes to log in; default: issuer + "/login"
	ReturnURLs     []string       // where a login may lead back to beside the server's own pages: URLs, each with all below it
	Theme          Theme          // of the pages
	Mailbox        *Mailbox       // shown at /dev/mail; default: none
	Places         *Places        // where addresses are, shown beside them; default: nowhere
	NoPages        bool           // switches the pages off, for applications with their own
	MaxBody        int64          // bytes of a request body; default 64 KiB
	Timeout        time.Duration  // for one request; default 15 s
	Logger         *slog.Logger   // default: discard
}

// New returns the HTTP surface of svc. The error names every problem of opt.
func New(svc *bitjang.Service, opt Options) (http.Handler, error) {
	var errs []error
	protection := http.NewCrossOriginProtection()
	for _, origin := range opt.CORSOrigins {
		if u, err := url.Parse(origin); err != nil || u.Host == "" || u.Scheme+"://"+u.Host != origin || strings.Contains(origin, "*") {
			errs = append(errs, fmt.Errorf("CORSOrigins: %q is not an exact origin like https://app.example.com", origin))
		} else if err := protection.AddTrustedOrigin(origin); err != nil {
			errs = append(errs, fmt.Errorf("CORSOrigins: %w", err))
		}
	}
	if opt.LoginURL == "" {
		opt.LoginURL = svc.Issuer() + "/login"
	}
	if u, err := url.Parse(opt.LoginURL); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		errs = append(errs, fmt.Errorf("LoginURL: %q is not an http or https URL", opt.LoginURL))
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("server: %w", errors.Join(errs...))
	}
	edge := newEdge(svc, opt)
	programs := &oauth.OAuth{Service: svc, Edge: edge, NoPages: opt.NoPages, Path: issuerPath(svc)}
	endpoints := &api.API{Service: svc, Edge: edge, LoginURL: opt.LoginURL, StepUpURL: stepUpURL(svc, opt), Places: opt.Places.Of}
	people, err := newPages(svc, edge, endpoints, opt)
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	mux := http.NewServeMux()
	for _, rt := range routes(endpoints, programs, people) {
		handle := edge.Handle
		if rt.audience == stream {
			handle = edge.Stream
		}
		mux.Handle(rt.pattern, handle(guarded(rt, protection, programs, people)))
	}
	return withCORS(opt.CORSOrigins, svc, orNotFound(mux, edge, people)), nil
}

// issuerPath is what stands behind the host in the issuer's URL, if anything does.
func issuerPath(svc *bitjang.Service) string {
	u, err := url.Parse(svc.Issuer())
	if err != nil {
		return "" // New of the service has looked
	}
	return u.EscapedPath()
}

// stepUpURL is where a browser proves more; without pages that is the
// application's business.
func stepUpURL(svc *bitjang.Service, opt Options) string {
	if opt.NoPages {
		return opt.LoginURL
	}
	return svc.Issuer() + "/login/step-up"
}

// guarded puts before a handler what its audience needs. Pages trust no other
// origin at all, not even those whose scripts may call the API.
func guarded(rt route, protection *http.CrossOriginProtection, programs *oauth.OAuth, people *pages.Pages) web.Handler {
	switch rt.audience {
	case apiUse:
		return sameSite(protection, rt.handle)
	case client:
		return forClients(programs, rt.handle)
	case page:
		return forPeople(people, sameSite(http.NewCrossOriginProtection(), rt.handle))
	case front:
		return forPeople(people, rt.handle)
	}
	return rt.handle
}

// newPages returns nil where there are to be none.
func newPages(svc *bitjang.Service, edge *web.Edge, endpoints *api.API, opt Options) (*pages.Pages, error) {
	if opt.NoPages {
		return nil, nil
	}
	theme := opt.Theme.withDefaults()
	return pages.New(pages.Options{
		Service: svc, Edge: edge, ReturnURLs: opt.ReturnURLs, Mailbox: opt.Mailbox, Export: endpoints.WriteExport, Places: opt.Places.Of,
		Theme: pages.Theme{Name: theme.Name, Color: theme.Color, Logo: theme.Logo, LogoType: theme.LogoType, CSS: theme.CSS, Templates: theme.Templates},
	})
}

// forPeople shows errors as pages.
func forPeople(people *pages.Pages, next web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		err := next(w, r)
		if err == nil {
			return nil
		}
		return people.Fail(w, r, err)
	}
}

// forClients tells errors in the words of OAuth.
func forClients(programs *oauth.OAuth, next web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := next(w, r); err != nil {
			programs.Fail(w, r, err)
		}
		return nil
	}
}

func newEdge(svc *bitjang.Service, opt Options) *web.Edge {
	edge := &web.Edge{
		Log: opt.Logger, Proxies: opt.TrustedProxies, MaxBody: opt.MaxBody, Timeout: opt.Timeout,
		Secure: strings.HasPrefix(svc.Issuer(), "https://"), Issuer: svc.Issuer(), Nonce: svc.DPoPNonce,
	}
	if edge.Log == nil {
		edge.Log = slog.New(slog.DiscardHandler)
	}
	if edge.MaxBody == 0 {
		edge.MaxBody = 64 << 10
	}
	if edge.Timeout == 0 {
		edge.Timeout = 15 * time.Second
	}
	return edge
}

// sameSite refuses requests that another site's page made a browser send, with
// the user's cookies in it or to plant a stranger's.
func sameSite(protection *http.CrossOriginProtection, next web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := protection.Check(r); err != nil {
			return web.Refuse(http.StatusForbidden, "cross_origin", "Requests from other sites are refused. Allow the origin in the configuration, or send the request from this one.")
		}
		return next(w, r)
	}
}

// orNotFound gives what the mux does not know the same problem+json as
// everything else. The mux itself decides between 404 and 405.
func orNotFound(mux *http.ServeMux, edge *web.Edge, people *pages.Pages) http.Handler {
	missing := func(_ http.ResponseWriter, r *http.Request) error {
		h, _ := mux.Handler(r)
		answer := &discard{header: http.Header{}}
		h.ServeHTTP(answer, r)
		if answer.status == http.StatusMethodNotAllowed {
			p := web.Refuse(answer.status, "method_not_allowed", "This resource has other methods; see Allow.")
			p.Allow = answer.header.Get("Allow")
			return p
		}
		return web.Refuse(http.StatusNotFound, "not_found", "There is nothing here. /openapi.json lists what there is.")
	}
	unknown := edge.Handle(missing)
	if people != nil {
		asPage := edge.Handle(forPeople(people, missing))
		unknown = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if web.IsNavigation(r) {
				asPage.ServeHTTP(w, r)
				return
			}
			edge.Handle(missing).ServeHTTP(w, r)
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern == "" {
			unknown.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// discard keeps the status and headers of an answer and drops its body.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

//go:embed openapi.json
var openAPIDocument []byte

// openAPI is GET /openapi.json.
func openAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(openAPIDocument) // the caller is gone: nobody to tell
	return nil
}
