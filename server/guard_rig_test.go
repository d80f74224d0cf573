package server_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/server"
)

// guarded is a small application behind a Guard.
type guarded struct {
	r      *rig
	h      http.Handler
	served atomic.Int64
	last   atomic.Pointer[bitjang.Identity] // of the last request served; nil without one
}

// newGuarded guards app, or a page that says hello.
func newGuarded(r *rig, opt server.GuardOptions, app http.HandlerFunc) *guarded {
	g := &guarded{r: r}
	g.h = server.NewGuard(r.svc, opt).Wrap(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		g.served.Add(1)
		g.last.Store(nil)
		if id, ok := server.IdentityFrom(req.Context()); ok {
			g.last.Store(&id)
		}
		if app != nil {
			app(w, req)
			return
		}
		_, _ = w.Write([]byte("hello"))
	}))
	return g
}

func (g *guarded) get(target string, mods ...mod) *answer {
	g.r.t.Helper()
	req := httptest.NewRequestWithContext(g.r.t.Context(), "GET", target, nil)
	for _, m := range mods {
		m(req)
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", browser)
	}
	w := httptest.NewRecorder()
	g.h.ServeHTTP(w, req)
	return &answer{t: g.r.t, Status: w.Code, Header: w.Result().Header, Body: w.Body.Bytes()}
}
