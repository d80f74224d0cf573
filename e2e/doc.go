// Package e2e holds the end-to-end tests: the real bitjang program as a process
// of its own, behind a real nginx and a real Caddy, killed, starved and stolen
// from. It decides nothing and nothing imports it.
//
// nginx comes from the system, Caddy and bitjang are built once per run:
//
//	cd e2e && go test -race -count=1 .
//
// Go does not notice that bitjang has changed, hence -count=1. And not ./...,
// which would compile all of Caddy a second time for the race detector.
package e2e
