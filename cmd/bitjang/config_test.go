package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bitjang/bitjang"
	"github.com/spf13/cobra"
)

func TestParseDuration(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want time.Duration // 0: refused
	}{
		{"30s", 30 * time.Second},
		{"10m", 10 * time.Minute},
		{"336h", 336 * time.Hour},
		{"14d", 336 * time.Hour},
		{"1d12h", 36 * time.Hour},
		{"0d5m", 5 * time.Minute},
		{"", 0},
		{"0s", 0},
		{"0d", 0},
		{"d", 0},
		{"-1d", 0},
		{"-5m", 0},
		{"1d-25h", 0},
		{"1.5d", 0},
		{"1d1d", 0},
		{"14", 0},
		{"soon", 0},
		{"99999999999d", 0},
		{"65000d2562047h", 0},
		{"1 h", 0},
	}
	for _, tt := range tests {
		got, err := parseDuration(tt.text)
		if got != tt.want || (err != nil) != (tt.want == 0) {
			t.Errorf("parseDuration(%q): got %v, %v, want %v", tt.text, got, err, tt.want)
		}
	}
}

// resolveFor resolves settings as a command called with args would.
func resolveFor(t *testing.T, args, environ []string) (*config, map[string]value, []problem) {
	t.Helper()
	cmd := &cobra.Command{Use: "test"}
	addSettings(cmd)
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	c, values, problems := resolve(cmd.Flags(), environ)
	byName := map[string]value{}
	for _, v := range values {
		byName[v.name] = v
	}
	return c, byName, problems
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "own.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestSettingsComeFromFlagsBeforeEnvironmentBeforeFile(t *testing.T) {
	t.Parallel()
	file := "--config=" + writeFile(t, "access_ttl: 1m\nsession_limit: 010\nsignup: closed\n")
	tests := []struct {
		name    string
		args    []string
		environ []string
		want    string
		source  string
	}{
		{"nobody says anything", nil, nil, "10m", "default"},
		{"the file does", []string{file}, nil, "1m", "file"},
		{"the environment does too", []string{file}, []string{"BITJANG_ACCESS_TTL=2m"}, "2m", "env"},
		{"an empty variable is none", []string{file}, []string{"BITJANG_ACCESS_TTL="}, "1m", "file"},
		{"a flag does too", []string{file, "--access-ttl=3m"}, []string{"BITJANG_ACCESS_TTL=2m"}, "3m", "flag"},
		{"a flag that says the default is a flag", []string{file, "--access-ttl=10m"}, nil, "10m", "flag"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, values, problems := resolveFor(t, tt.args, tt.environ)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			v := values["access-ttl"]
			if v.text != tt.want || v.source != tt.source {
				t.Errorf("got %s from %s, want %s from %s", v.text, v.source, tt.want, tt.source)
			}
			if want, _ := parseDuration(tt.want); c.service.AccessTTL != want {
				t.Errorf("got %v in the configuration, want %v", c.service.AccessTTL, want)
			}
		})
	}
	c, _, _ := resolveFor(t, []string{file}, nil)
	if c.service.SessionLimit != 10 || c.service.Signup != bitjang.SignupClosed {
		t.Errorf("got limit %d, sign-up %s, want 10, closed", c.service.SessionLimit, c.service.Signup)
	}
}

func TestProblemsNameTheirSetting(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		file    string
		args    []string
		environ []string
		want    []string
	}{
		{"a typing error in the environment", "", nil, []string{"BITJANG_ACESS_TTL=1m", "HOME=/"}, []string{"BITJANG_ACESS_TTL: there is no such setting"}},
		{"a typing error in the file", "\nacess_ttl: 1m", nil, nil, []string{"FILE:2: acess_ttl: there is no such setting"}},
		{"the flag's spelling in the file", "access-ttl: 1m", nil, nil, []string{"FILE:1: access-ttl: there is no such setting"}},
		{"a map for a word", "listen: {a: b}", nil, nil, []string{"FILE:1: listen: is neither a word nor a list of words"}},
		{"a value beyond its bounds", "", []string{"--access-ttl=25h"}, nil, []string{"access-ttl (from flag): 25h0m0s is not within 1s and 24h0m0s"}},
		{"values at odds", "", nil, []string{"BITJANG_KEY_ROTATION=1h"}, []string{"key-publication (from default): 24h0m0s is not within 1s and 1h0m0s"}},
		{"a bad issuer is named once", "", []string{"--issuer=ftp://x"}, nil, []string{`--issuer: "ftp://x" is not an http or https URL without query and fragment`}},
		{"an issuer with a password is not repeated", "", []string{"--issuer=http://a:secret@b"}, nil, []string{"--issuer: is not an http or https URL without user and password"}},
		{"an empty word", "", []string{"--data-dir="}, nil, []string{"--data-dir: must not be empty"}},
		{"a port beyond ports", "", []string{"--listen=:70000"}, nil, []string{`--listen: ":70000" is not an address like 127.0.0.1:8080 or :8080`}},
		{"no password passes", "", []string{"--password-time=0"}, nil, []string{`--password-time: "0" is not a number from 1 up`}},
		{"too little memory", "", []string{"--password-memory=64"}, nil, []string{"password-memory (from flag): 64 KiB"}},
		{"a login page that is none", "", []string{"--login-url=login"}, nil, []string{`login-url (from flag): "login" is not an http or https URL`}},
		{"neither on nor off", "", nil, []string{"BITJANG_RENEWAL=perhaps"}, []string{`BITJANG_RENEWAL: "perhaps" is neither on nor off`}},
		{"one of two master keys", "", nil, []string{"BITJANG_MASTER_KEY=" + strings.Repeat("ab", 32) + ",short"}, []string{"BITJANG_MASTER_KEY: a master key is 32 bytes, written as 64 hexadecimal digits or in base64"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := writeFile(t, tt.file)
			_, _, problems := resolveFor(t, append(tt.args, "--config="+file), tt.environ)
			var got []string
			for _, p := range problems {
				text := strings.ReplaceAll(p.String(), file, "FILE")
				if i := len(got); i < len(tt.want) && strings.HasPrefix(text, tt.want[i]) {
					text = tt.want[i] // the rest is for other packages to word
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestServiceLinksOfKubernetesAreNotOurs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		line string
		want bool
	}{
		{"BITJANG_SERVICE_HOST=10.0.0.1", true},
		{"BITJANG_SERVICE_PORT=80", true},
		{"BITJANG_SERVICE_PORT_HTTP=80", true},
		{"BITJANG_PORT=tcp://10.0.0.1:80", true},
		{"BITJANG_PORT_80_TCP=tcp://10.0.0.1:80", true},
		{"BITJANG_PORT_80_TCP_PROTO=tcp", true},
		{"BITJANG_ADMIN_PORT_80_TCP_ADDR=10.0.0.1", true},
		{"BITJANG_PORT=8080", false}, // somebody thinks it sets the port
		{"BITJANG_LISTEN_PORT=8080", false},
		{"BITJANG_SERVICE=x", false},
	}
	for _, tt := range tests {
		name, text, _ := strings.Cut(tt.line, "=")
		if got := isServiceLink(name, text); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.line, got, tt.want)
		}
	}
}

// TestSettingNames keeps the names that other people rely on.
func TestSettingNames(t *testing.T) {
	t.Parallel()
	var got []string
	for _, s := range settings {
		got = append(got, strings.TrimSpace(s.env()+" "+s.preset))
		if s.doc == "" || s.set == nil {
			t.Errorf("%s: has no doc or no set", s.name)
		}
	}
	want := strings.Split(strings.TrimSpace(settingNames), "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

const settingNames = `
BITJANG_LISTEN 127.0.0.1:8080
BITJANG_ADMIN_LISTEN
BITJANG_ISSUER http://localhost:8080
BITJANG_AUDIENCE
BITJANG_DATA_DIR ./bitjang-data
BITJANG_DATABASE
BITJANG_SESSIONS database
BITJANG_SESSIONS_ALSO
BITJANG_MASTER_KEY
BITJANG_MASTER_KEY_FILE
BITJANG_ACCESS_TTL 10m
BITJANG_REFRESH_TTL 336h
BITJANG_SESSION_TTL 2160h
BITJANG_SESSION_RETENTION 720h
BITJANG_ROTATION_GRACE 30s
BITJANG_SESSION_LIMIT 0
BITJANG_ON_REUSE revoke
BITJANG_RISK on
BITJANG_RISK_POLICY
BITJANG_RISK_HOSTING_ASNS
BITJANG_STORE_ROLLBACK accept
BITJANG_RENEWAL on
BITJANG_REQUIRE_FACTOR
BITJANG_REMEMBER_DEVICE 720h
BITJANG_HOLD_TTL 24h
BITJANG_MAIL_CODE on
BITJANG_PASSKEYS on
BITJANG_SIGNUP open
BITJANG_SIGNUP_DOMAINS
BITJANG_VERIFY_EMAIL optional
BITJANG_DELETION_GRACE 336h
BITJANG_SIGNUP_REVEAL_EXISTING off
BITJANG_RATE_LIMITS on
BITJANG_ALGORITHM ES256
BITJANG_ID_TOKEN_ALGORITHM RS256
BITJANG_RESOURCES
BITJANG_KEY_ROTATION 720h
BITJANG_KEY_PUBLICATION 24h
BITJANG_TRUSTED_PROXIES
BITJANG_CORS_ORIGINS
BITJANG_LOGIN_URL
BITJANG_RETURN_URLS
BITJANG_GEOIP
BITJANG_PAGES on
BITJANG_SMTP
BITJANG_MAIL_FROM
BITJANG_BRAND_NAME Bitjang
BITJANG_BRAND_COLOR #2f5bd8
BITJANG_BRAND_LOGO
BITJANG_BRAND_CSS
BITJANG_TEMPLATES
BITJANG_PASSWORD_MEMORY 19456
BITJANG_PASSWORD_TIME 2
BITJANG_PASSWORD_WORKERS 0
BITJANG_LOG_LEVEL info
BITJANG_LOG_FORMAT text
BITJANG_SHUTDOWN_TIMEOUT 20s
`

func TestEverySettingReachesItsField(t *testing.T) {
	t.Parallel()
	file := "listen: ':1'\nadmin_listen: ':2'\nissuer: https://i.example\naudience: a\ndata_dir: d\nmaster_key_file: k\n" +
		"access_ttl: 1m\nrefresh_ttl: 2h\nsession_ttl: 3h\nrotation_grace: 4s\nsession_limit: 5\non_reuse: hold\nstore_rollback: deny\n" +
		"renewal: off\nrequire_factor: [admin, '*']\nremember_device: 1h\nhold_ttl: 2h\nmail_code: off\npasskeys: off\nsignup: closed\nsignup_reveal_existing: on\nalgorithm: EdDSA\nid_token_algorithm: ES256\nresources: https://api.example;typ=JWT;alg=RS256\nkey_rotation: 6h\nkey_publication: 5h\n" +
		"trusted_proxies: [10.0.0.0/8, '::1/128']\ncors_origins: https://c.example\nlogin_url: https://l.example/in\n" +
		"password_memory: 8192\npassword_time: 3\npassword_workers: 4\nlog_level: warn\nlog_format: json\nshutdown_timeout: 7s\n" +
		"session_retention: 9h\nsessions: redis://localhost\nsessions_also: database\n" +
		"geoip: [a.mmdb, b.mmdb]\nsignup_domains: [example.com, example.org]\nverify_email: required\ndeletion_grace: 8h\nreturn_urls: https://app.example\npages: off\n" +
		"smtp: smtp://mail.example\nmail_from: n@m.example\nbrand_name: Gate\nbrand_color: '#123456'\nbrand_logo: l.svg\nbrand_css: x.css\ntemplates: t\nrate_limits: off\n" +
		"risk: observe\nrisk_policy: [country_changed=hold, 'kiosk:os_changed=allow']\nrisk_hosting_asns: [AS64500, 64501]\n" +
		"database: sqlite:x.db\nmaster_key: " + strings.Repeat("ab", 32) + "\n"
	if got := strings.Count(file, "\n"); got != len(settings) {
		t.Fatalf("the file sets %d of %d settings", got, len(settings))
	}
	untouched, _, _ := resolveFor(t, nil, nil)
	c, values, problems := resolveFor(t, []string{"--config=" + writeFile(t, file)}, nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for name, v := range values {
		if v.source != "file" {
			t.Errorf("%s: got %s, want file", name, v.source)
			continue
		}
		// Each setting alone must change what comes out.
		only, _, _ := resolveFor(t, nil, nil)
		if err := v.set(only, v.text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if cmp.Equal(fields(untouched), fields(only)) {
			t.Errorf("%s: setting it to %q changes nothing", name, v.shown())
		}
	}
	if len(c.masterKeys) != 1 || len(c.server.TrustedProxies) != 2 {
		t.Errorf("got %d keys and %d networks, want 1 and 2", len(c.masterKeys), len(c.server.TrustedProxies))
	}
}

// fields is a config in a form that cmp compares.
func fields(c *config) []any {
	return []any{
		c.listen, c.adminListen, c.dataDir, c.database, c.sessions, c.sessionsAlso, c.service.SessionRetention, len(c.masterKeys), c.masterKeyFile, c.logLevel, c.logJSON, c.shutdownTimeout,
		c.service.Issuer, c.service.Audience, c.service.AccessTTL, c.service.RefreshTTL, c.service.SessionTTL, c.service.RotationGrace,
		c.service.SessionLimit, c.service.OnReuse, c.service.OnRollback, c.service.NoRenewal, c.service.RequireFactor, c.service.RememberDevice, c.service.HoldTTL, c.service.NoMailCode, c.noPasskeys, c.service.Signup, c.service.SignupDomains, c.service.VerifyEmail, c.service.DeletionGrace,
		c.service.SignupRevealExisting, c.service.NoRateLimits, c.service.Algorithm, c.service.IDTokenAlgorithm, c.service.Resources, c.service.KeyRotation, c.service.KeyPublication,
		c.service.PasswordMemoryKiB, c.service.PasswordTime, c.service.PasswordWorkers,
		len(c.server.TrustedProxies), c.server.CORSOrigins, c.server.LoginURL, c.server.ReturnURLs, c.server.NoPages, c.smtp, c.mailFrom,
		c.server.Theme.Name, c.server.Theme.Color, c.brandLogo, c.brandCSS, c.templates, c.geoip,
		c.service.Risk, c.service.RiskRules, c.service.HostingASNs,
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	elsewhere := "--data-dir=" + filepath.Join(t.TempDir(), "none")
	tests := []struct {
		args []string
		want int
	}{
		{[]string{"version"}, 0},
		{[]string{"user", "list", elsewhere}, exitFailure},
		{[]string{"config", "--access-ttl=soon"}, exitFailure},
		{[]string{"frobnicate"}, exitUsage},
		{[]string{"version", "--frobnicate"}, exitUsage},
		{[]string{"user", "disable"}, exitUsage},
		{[]string{"session", "end"}, exitUsage},
	}
	for _, tt := range tests {
		var out, errs strings.Builder
		environ := func() []string { return nil }
		got := run(context.Background(), append([]string{"bitjang"}, tt.args...), environ, strings.NewReader(""), &out, &errs)
		if got != tt.want {
			t.Errorf("%v: got %d (%s), want %d", tt.args, got, errs.String(), tt.want)
		}
		if said := errs.String(); tt.want != 0 && !(strings.HasPrefix(said, "bitjang: ") && strings.Contains(said, "\nhint: ")) {
			t.Errorf("%v: got %q, want what happened and a hint", tt.args, said)
		}
	}
}
