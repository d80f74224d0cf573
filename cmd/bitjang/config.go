package main

import (
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/server"
)

// config is what the settings come to.
type config struct {
	listen          string
	adminListen     string // "": off
	dataDir         string
	database        string
	sessions        string           // an address, or inDatabase
	sessionsAlso    string           // the same; "": sessions are not moving
	masterKeys      []bitjang.Secret // from the setting; empty: from the file
	masterKeyFile   string
	service         bitjang.Config
	server          server.Options
	smtp            string // "": mails are kept in memory
	mailFrom        string
	brandLogo       string // files
	brandCSS        string
	templates       string // folder
	geoip           []string
	noPasskeys      bool
	logLevel        slog.Level
	logJSON         bool
	shutdownTimeout time.Duration

	file string // the configuration file read, if any
}

// setting is one line of the table. Its flag is the name, its variable and its
// key in the file follow from it.
type setting struct {
	name   string
	preset string // what holds when nobody says anything
	doc    string
	secret bool // never printed; no flag either, for a command line is no secret
	// address says that there may be a password in it, which is not printed.
	address bool
	set     func(c *config, text string) error
	// derived gives the default where it depends on other settings; "" if
	// those are of no use.
	derived func(c *config) string
	// field is what the packages behind call it when they refuse a value.
	field string
}

func (s *setting) env() string { return "BITJANG_" + strings.ToUpper(s.key()) }
func (s *setting) key() string { return strings.ReplaceAll(s.name, "-", "_") }

// settings is the one table of everything that can be set.
var settings = []setting{
	{name: "listen", preset: "127.0.0.1:8080", doc: "address of the public listener",
		set: address(func(c *config) *string { return &c.listen })},
	{name: "admin-listen", doc: "address for /metrics and /debug/pprof, without a password; off unless given",
		set: optional(address(func(c *config) *string { return &c.adminListen }))},
	{name: "issuer", preset: "http://localhost:8080", doc: "public base URL, the iss claim of tokens", field: "Issuer",
		set: issuer},
	{name: "audience", doc: "the aud claim of access tokens; the issuer unless given", field: "Audience",
		set:     word(func(c *config) *string { return &c.service.Audience }),
		derived: func(c *config) string { return c.service.Issuer }},
	{name: "data-dir", preset: "./bitjang-data", doc: "directory of the embedded database and the master key",
		set: word(func(c *config) *string { return &c.dataDir })},
	{name: "database", doc: "sqlite:PATH, postgres://... or mysql://... (MariaDB too); bitjang.db in the data directory unless given", address: true,
		set:     database,
		derived: func(c *config) string { return "sqlite:" + filepath.Join(c.dataDir, "bitjang.db") }},
	{name: "sessions", preset: inDatabase, doc: "where sessions are: database, redis://..., rediss://..., redis+cluster://... or redis+sentinel://...", address: true,
		set: sessions(func(c *config) *string { return &c.sessions })},
	{name: "sessions-also", doc: "where sessions may be as well while they move from one place to another; see docs/stores.md", address: true,
		set: optional(sessions(func(c *config) *string { return &c.sessionsAlso }))},
	{name: "master-key", doc: "the master key, 32 bytes as 64 hex digits or base64; several separated by commas, newest first", secret: true, field: "MasterKeys",
		set: masterKeys},
	{name: "master-key-file", doc: "file with a master key per line, newest first; master.key in the data directory unless given",
		set:     word(func(c *config) *string { return &c.masterKeyFile }),
		derived: func(c *config) string { return filepath.Join(c.dataDir, "master.key") }},

	{name: "access-ttl", preset: "10m", doc: "lifetime of an access token", field: "AccessTTL",
		set: duration(func(c *config) *time.Duration { return &c.service.AccessTTL })},
	{name: "refresh-ttl", preset: "336h", doc: "how long a session may go unused; starts anew with each refresh", field: "RefreshTTL",
		set: duration(func(c *config) *time.Duration { return &c.service.RefreshTTL })},
	{name: "session-ttl", preset: "2160h", doc: "how long a session lasts at most", field: "SessionTTL",
		set: duration(func(c *config) *time.Duration { return &c.service.SessionTTL })},
	{name: "session-retention", preset: "720h", doc: "how long a dead session is kept to explain itself", field: "SessionRetention",
		set: duration(func(c *config) *time.Duration { return &c.service.SessionRetention })},
	{name: "rotation-grace", preset: "30s", doc: "how late a refresh may be that another one has overtaken", field: "RotationGrace",
		set: duration(func(c *config) *time.Duration { return &c.service.RotationGrace })},
	{name: "session-limit", preset: "0", doc: "live sessions per user, the longest unseen ends beyond it; 0: no limit", field: "SessionLimit",
		set: number(func(c *config, n int) { c.service.SessionLimit = n })},
	{name: "on-reuse", preset: "revoke", doc: "when an old refresh token comes back: revoke the session, or hold it until the user logs in again", field: "OnReuse",
		set: choice(func(c *config, v string) { c.service.OnReuse = bitjang.OnReuse(v) }, "revoke", "hold")},
	{name: "risk", preset: "on", doc: "what becomes of unusual use of a session: on, observe (only recorded) or off; see docs/risk.md", field: "Risk",
		set: choice(func(c *config, v string) { c.service.Risk = bitjang.RiskMode(v) }, "on", "observe", "off")},
	{name: "risk-policy", doc: "changes to the risk policy (comma separated), as country_changed=hold or CLIENT:os_changed+country_changed=notify", field: "RiskRules",
		set: riskRules},
	{name: "risk-hosting-asns", doc: "AS numbers (comma separated) of data centres from which nobody browses, beside those that are built in", field: "HostingASNs",
		set: hostingASNs},
	{name: "store-rollback", preset: "accept", doc: "when a refresh token is newer than the store: accept or deny it", field: "OnRollback",
		set: choice(func(c *config, v string) { c.service.OnRollback = bitjang.OnRollback(v) }, "accept", "deny")},
	{name: "renewal", preset: "on", doc: "whether a valid access token renews an expired refresh token of the same device", field: "NoRenewal",
		set: onOff(func(c *config, on bool) { c.service.NoRenewal = !on })},
	{name: "require-factor", doc: "roles (comma separated) whose users log in with a second factor only; * for everybody", field: "RequireFactor",
		set: func(c *config, text string) error { c.service.RequireFactor = list(text); return nil }},
	{name: "remember-device", preset: "720h", doc: "how long a device may do without a second factor if its user asks for that; 0: never", field: "RememberDevice",
		set: rememberDevice},
	{name: "hold-ttl", preset: "24h", doc: "how long a session on hold waits for its user", field: "HoldTTL",
		set: duration(func(c *config) *time.Duration { return &c.service.HoldTTL })},
	{name: "mail-code", preset: "on", doc: "whether a code by mail proves who somebody is who has nothing better", field: "NoMailCode",
		set: onOff(func(c *config, on bool) { c.service.NoMailCode = !on })},
	{name: "passkeys", preset: "on", doc: "whether there are passkeys; they work under the issuer's host name only", field: "Passkeys",
		set: onOff(func(c *config, on bool) { c.noPasskeys = !on })},
	{name: "signup", preset: "open", doc: "who makes accounts: open (anybody), invite (see bitjang user invite) or closed (the operator)", field: "Signup",
		set: choice(func(c *config, v string) { c.service.Signup = bitjang.SignupPolicy(v) }, "open", "invite", "closed")},
	{name: "signup-domains", doc: "mail domains (comma separated) whose addresses may sign up; any unless given", field: "SignupDomains",
		set: func(c *config, text string) error { c.service.SignupDomains = list(text); return nil }},
	{name: "verify-email", preset: "optional", doc: "whether users must verify their mail address before they can log in: optional or required", field: "VerifyEmail",
		set: choice(func(c *config, v string) { c.service.VerifyEmail = bitjang.VerifyEmail(v) }, "optional", "required")},
	{name: "deletion-grace", preset: "336h", doc: "how long an account that its user deleted can be had back by logging in", field: "DeletionGrace",
		set: duration(func(c *config) *time.Duration { return &c.service.DeletionGrace })},
	{name: "signup-reveal-existing", preset: "off", doc: "whether signing up says that an address has an account already", field: "SignupRevealExisting",
		set: onOff(func(c *config, on bool) { c.service.SignupRevealExisting = on })},
	{name: "rate-limits", preset: "on", doc: "off: no limits on guessing, signing up, mails and refreshes; for benchmarks and tests only", field: "NoRateLimits",
		set: onOff(func(c *config, on bool) { c.service.NoRateLimits = !on })},

	{name: "algorithm", preset: "ES256", doc: "signature of access tokens: ES256, EdDSA or RS256", field: "Algorithm",
		set: choice(func(c *config, v string) { c.service.Algorithm = v }, "ES256", "EdDSA", "RS256")},
	{name: "id-token-algorithm", preset: "RS256", doc: "signature of ID tokens and logout tokens: RS256, ES256 or EdDSA", field: "IDTokenAlgorithm",
		set: choice(func(c *config, v string) { c.service.IDTokenAlgorithm = v }, "RS256", "ES256", "EdDSA")},
	{name: "resources", doc: "audiences (comma separated) whose access tokens look different, as https://api.example.com;typ=JWT;alg=RS256", field: "Resources",
		set: resources},
	{name: "key-rotation", preset: "720h", doc: "how long a signing key signs", field: "KeyRotation",
		set: duration(func(c *config) *time.Duration { return &c.service.KeyRotation })},
	{name: "key-publication", preset: "24h", doc: "how long a signing key is published before it signs", field: "KeyPublication",
		set: duration(func(c *config) *time.Duration { return &c.service.KeyPublication })},

	{name: "trusted-proxies", doc: "networks (CIDR, comma separated) whose Forwarded and X-Forwarded-For are believed",
		set: optional(proxies)},
	{name: "cors-origins", doc: "origins (comma separated) whose scripts may call /v1 with cookies", field: "CORSOrigins",
		set: func(c *config, text string) error { c.server.CORSOrigins = list(text); return nil }},
	{name: "login-url", doc: "where a browser goes to log in; /login below the issuer unless given", field: "LoginURL",
		set: word(func(c *config) *string { return &c.server.LoginURL }),
		derived: func(c *config) string {
			if c.service.Issuer == "" {
				return ""
			}
			return c.service.Issuer + "/login"
		}},

	{name: "return-urls", doc: "where a login may lead back to: URLs (comma separated), each with everything below it", field: "ReturnURLs",
		set: func(c *config, text string) error { c.server.ReturnURLs = list(text); return nil }},

	{name: "geoip", doc: "databases (comma separated files in MaxMind's format) that tell where addresses are, their countries, places and networks; shown beside them, and for the risk policy",
		set: func(c *config, text string) error { c.geoip = list(text); return nil }},
	{name: "pages", preset: "on", doc: "off: no pages at all, for applications that have their own; the API stays",
		set: onOff(func(c *config, on bool) { c.server.NoPages = !on })},
	{name: "smtp", doc: "mail server: smtp://USER:PASSWORD@HOST:587 or smtps://...; without it mails go to the log and, on localhost, to /dev/mail", address: true,
		set: optional(word(func(c *config) *string { return &c.smtp }))},
	{name: "mail-from", doc: "sender of mails, as NAME <ADDRESS>; no-reply at the issuer's host unless given",
		set:     word(func(c *config) *string { return &c.mailFrom }),
		derived: defaultSender},
	{name: "brand-name", preset: "Bitjang", doc: "name of the service on pages and in mails", field: "Theme.Name",
		set: word(func(c *config) *string { return &c.server.Theme.Name })},
	{name: "brand-color", preset: "#2f5bd8", doc: "accent colour of pages and mails, #rrggbb", field: "Theme.Color",
		set: word(func(c *config) *string { return &c.server.Theme.Color })},
	{name: "brand-logo", doc: "file with the logo of pages, SVG, PNG, WebP or JPEG",
		set: optional(word(func(c *config) *string { return &c.brandLogo }))},
	{name: "brand-css", doc: "file with style sheets to add to the pages' own",
		set: optional(word(func(c *config) *string { return &c.brandCSS }))},
	{name: "templates", doc: "folder with templates instead of the pages' own, by the same names", field: "Theme.Templates",
		set: optional(word(func(c *config) *string { return &c.templates }))},

	{name: "password-memory", preset: "19456", doc: "memory of one password hash, in KiB", field: "PasswordMemoryKiB",
		set: positive(func(c *config, n int) { c.service.PasswordMemoryKiB = uint32(n) })},
	{name: "password-time", preset: "2", doc: "passes of one password hash", field: "PasswordTime",
		set: positive(func(c *config, n int) { c.service.PasswordTime = uint32(n) })},
	{name: "password-workers", preset: "0", doc: "password hashes computed at once; 0: half of the processors", field: "PasswordWorkers",
		set: number(func(c *config, n int) { c.service.PasswordWorkers = n })},

	{name: "log-level", preset: "info", doc: "debug, info, warn or error",
		set: logLevel},
	{name: "log-format", preset: "text", doc: "text or json, one line each on standard error",
		set: choice(func(c *config, v string) { c.logJSON = v == "json" }, "text", "json")},
	{name: "shutdown-timeout", preset: "20s", doc: "how long requests under way may take after SIGTERM",
		set: duration(func(c *config) *time.Duration { return &c.shutdownTimeout })},
}
