package api

import (
	"net/http"

	"github.com/bitjang/bitjang/internal/web"
)

// Healthz is GET /healthz: the process answers.
func (a *API) Healthz(w http.ResponseWriter, _ *http.Request) error {
	web.NoStore(w)
	return web.WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// Readyz is GET /readyz: stores reachable, keys loaded.
func (a *API) Readyz(w http.ResponseWriter, r *http.Request) error {
	if err := a.Service.Ready(r.Context()); err != nil {
		return err
	}
	web.NoStore(w)
	return web.WriteJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}
