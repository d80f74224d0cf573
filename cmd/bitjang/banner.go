package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"
)

// banner is what serve says once it is ready.
type banner struct {
	*config
	origin  masterKeyOrigin
	tables  int64
	address string // where it listens, with the real port
	admin   string // "": off
}

func (b *banner) print(w io.Writer, took time.Duration) {
	issuer := b.service.Issuer
	fmt.Fprintf(w, "bitjang %s is ready on %s (started in %d ms)\n\n", buildVersion().Version, b.address, took.Milliseconds())
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(t, "  %s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	line("issuer", "%s", issuer)
	if !b.server.NoPages {
		line("pages", "%s/account", issuer)
	}
	if b.server.Mailbox != nil {
		line("mails", "%s/dev/mail (kept here: no mail server is set)", issuer)
	}
	line("public keys", "%s/.well-known/jwks.json", issuer)
	line("API", "%s/openapi.json", issuer)
	line("readiness", "%s/readyz", issuer)
	if b.admin != "" {
		line("metrics", "http://%s/metrics", b.admin)
	}
	line("database", "%s (schema version %d)", b.database(), b.tables)
	if b.sessions != inDatabase {
		line("sessions", "%s", redacted(b.sessions))
	}
	if b.sessionsAlso != "" {
		line("", "and %s, while they move", redacted(b.sessionsAlso))
	}
	line("master key", "%s", b.masterKeyLine())
	if b.file != "" {
		line("settings", "%s", absolute(b.file))
	}
	_ = t.Flush() // standard output is gone: nobody to tell
	if notes := b.notes(); len(notes) > 0 {
		fmt.Fprintf(w, "\nFit for development only, as it stands:\n")
		for _, n := range notes {
			fmt.Fprintf(w, "  - %s\n", n)
		}
	}
	fmt.Fprintf(w, walk, issuer, os.Args[0])
}

// walk is to be pasted into another terminal: sign up, log in, refresh three
// times, come back with the first token, and see the session ended.
const walk = `
Paste this into another terminal:

  api=%s/v1; json='Content-Type: application/json'
  token() { sed -E 's/.*"refresh_token":"([^"]+)".*/\1/'; }
  curl -s $api/signup -H "$json" -d '{"email":"ann@example.com","password":"seven grey geese"}'
  first=$(curl -s $api/login -H "$json" -d '{"identifier":"ann@example.com","password":"seven grey geese"}' | token)
  second=$(curl -s $api/refresh -H "$json" -d "{\"refresh_token\":\"$first\"}" | token)
  third=$(curl -s $api/refresh -H "$json" -d "{\"refresh_token\":\"$second\"}" | token)
  fourth=$(curl -s $api/refresh -H "$json" -d "{\"refresh_token\":\"$third\"}" | token)
  curl -s $api/refresh -H "$json" -d "{\"refresh_token\":\"$first\"}"    # an old token comes back: theft
  curl -s $api/refresh -H "$json" -d "{\"refresh_token\":\"$fourth\"}"   # the session has ended for both
  %s session list --ended   # and this says why

`

func (b *banner) database() string {
	if path := databasePath(b.config); path != "" {
		return absolute(path)
	}
	return databaseName(b.config)
}

func (b *banner) masterKeyLine() string {
	switch {
	case b.origin.file == "":
		return "from BITJANG_MASTER_KEY or the configuration"
	case b.origin.fresh:
		return absolute(b.origin.file) + " (made just now: keep a copy, without it everybody is logged out)"
	}
	return absolute(b.origin.file)
}

// notes says honestly what is not for production.
func (b *banner) notes() []string {
	var notes []string
	if u, _ := url.Parse(b.service.Issuer); u.Scheme == "http" && isLoopback(u.Hostname()) {
		notes = append(notes, "The issuer is plain http on this machine. Browsers keep our cookies over https only,\n    localhost excepted: put a TLS proxy in front and set BITJANG_ISSUER to its https URL.")
		if port := u.Port(); port != portOf(b.address) {
			notes = append(notes, fmt.Sprintf("The issuer %s is not where we listen, so the links above may lead nowhere.\n    Without a proxy in front: BITJANG_ISSUER=http://localhost:%s", b.service.Issuer, portOf(b.address)))
		}
	}
	if path := databasePath(b.config); path != "" && b.origin.file != "" && filepath.Dir(b.origin.file) == filepath.Dir(path) {
		notes = append(notes, "The master key lies beside the database: whoever copies the directory has both.\n    Set BITJANG_MASTER_KEY, or BITJANG_MASTER_KEY_FILE to a place of its own.")
	}
	return notes
}

// warn logs what should not wait for somebody to read standard output.
func (b *banner) warn(log *slog.Logger) {
	if isPlainPublic(b.service.Issuer) {
		log.Error("the issuer is plain http: passwords and tokens cross the network readable, and browsers drop our cookies; use https", "issuer", b.service.Issuer)
	}
	if b.service.NoRateLimits {
		log.Warn("rate limits are off: nothing slows anybody who guesses passwords; for benchmarks and tests only")
	}
	if b.origin.loose {
		log.Warn("others than its owner may read the master key; run chmod 600", "file", b.origin.file)
	}
	if info, err := os.Stat(b.file); err == nil && len(b.masterKeys) > 0 && info.Mode().Perm()&0o077 != 0 {
		log.Warn("others than its owner may read the configuration, should the master key stand in it; run chmod 600", "file", b.file)
	}
	if host, _, err := net.SplitHostPort(b.admin); err == nil && !isLoopback(host) {
		log.Warn("the admin listener has no password and is reachable from other machines", "address", b.admin)
	}
}

// isPlainPublic says that tokens for this issuer travel unencrypted between
// machines.
func isPlainPublic(issuer string) bool {
	u, err := url.Parse(issuer)
	return err == nil && u.Scheme == "http" && !isLoopback(u.Hostname())
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// absolute is for people who wonder which directory this was.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
