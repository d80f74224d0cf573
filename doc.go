// Package bitjang keeps people logged in, safely: it checks passwords, opens a
// session per device, hands out short-lived access tokens and rotating refresh
// tokens, recognises stolen ones, and ends one session or all.
//
// It decides every rule and touches no bytes: stores persist (store/sqlstore,
// store/memory), package server speaks HTTP, package verify checks access
// tokens elsewhere. It may be imported by anything but verify and the packages
// below internal/ that it uses itself; it never imports a store or a server.
//
// To embed it, see the example: open a store, make a Service, load the keys,
// run it, and put server.New in front.
package bitjang
