package main

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bitjang/bitjang"
)

type setFunc = func(c *config, text string) error

// optional lets an empty text stand for "not at all".
func optional(set setFunc) setFunc {
	return func(c *config, text string) error {
		if text == "" {
			return nil
		}
		return set(c, text)
	}
}

func word(field func(*config) *string) setFunc {
	return func(c *config, text string) error {
		if text == "" {
			return errors.New("must not be empty")
		}
		*field(c) = text
		return nil
	}
}

func address(field func(*config) *string) setFunc {
	return func(c *config, text string) error {
		_, port, err := net.SplitHostPort(text)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		if err != nil {
			return fmt.Errorf("%q is not an address like 127.0.0.1:8080 or :8080", text)
		}
		*field(c) = text
		return nil
	}
}

// issuer refuses what the root package does, for other defaults build on it,
// and what tokens could carry but links could not be built on.
func issuer(c *config, text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.User != nil: // without the text: there may be a password in it
		return errors.New("is not an http or https URL without user and password")
	case u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%q is not an http or https URL without query and fragment", text)
	case strings.HasSuffix(text, "/"):
		return fmt.Errorf("%q ends in a slash; leave it off, for verifiers compare the issuer letter by letter", text)
	}
	c.service.Issuer = text
	return nil
}

// database never repeats the text in an error: an address has a password in it.
func database(c *config, text string) error {
	if !isSQL(text) {
		return errors.New("is none of sqlite:PATH, postgres://USER:PASSWORD@HOST/DATABASE and mysql://USER:PASSWORD@HOST/DATABASE")
	}
	c.database = text
	return nil
}

func isSQL(address string) bool {
	scheme, rest, _ := strings.Cut(address, ":")
	if scheme == "sqlite" {
		return rest != ""
	}
	return slices.Contains([]string{"postgres", "postgresql", "mysql", "mariadb"}, scheme) && strings.HasPrefix(rest, "//")
}

func sessions(field func(*config) *string) setFunc {
	return func(c *config, text string) error {
		if text != inDatabase && !isRedis(text) && !isSQL(text) {
			return errors.New("is none of database, redis://HOST, rediss://HOST, redis+cluster://HOST,HOST and redis+sentinel://HOST,HOST/NAME")
		}
		*field(c) = text
		return nil
	}
}

func masterKeys(c *config, text string) error {
	keys := secrets(list(text))
	if err := checkMasterKeys(keys); err != nil {
		return err
	}
	c.masterKeys = keys
	return nil
}

func secrets(texts []string) []bitjang.Secret {
	keys := make([]bitjang.Secret, len(texts))
	for i, t := range texts {
		keys[i] = bitjang.NewSecret(t)
	}
	return keys
}

// noStore stands in where a Service is made only to hear what it thinks of its
// configuration. New does no I/O.
type noStore struct{ bitjang.Store }

// checkMasterKeys asks the root package, which alone knows what a key looks like.
func checkMasterKeys(keys []bitjang.Secret) error {
	_, err := bitjang.New(bitjang.Config{Issuer: "http://localhost", MasterKeys: keys, Store: noStore{}})
	if err != nil {
		return errors.New("a master key is 32 bytes, written as 64 hexadecimal digits or in base64")
	}
	return nil
}

func duration(field func(*config) *time.Duration) setFunc {
	return func(c *config, text string) error {
		d, err := parseDuration(text)
		if err != nil {
			return err
		}
		*field(c) = d
		return nil
	}
}

// parseDuration reads Go's syntax with days before it: 10m, 336h, 14d, 1d12h.
// Zero is refused, because it would silently stand for the default.
func parseDuration(text string) (time.Duration, error) {
	bad := fmt.Errorf("%q is not a duration above zero like 30s, 10m, 12h or 14d", text)
	days, rest, found := strings.Cut(text, "d")
	var total time.Duration
	if found {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, bad
		}
		total = time.Duration(n) * 24 * time.Hour
	} else {
		rest = text
	}
	if rest != "" || !found {
		d, err := time.ParseDuration(rest)
		if err != nil || d < 0 || d > math.MaxInt64-total {
			return 0, bad
		}
		total += d
	}
	if total <= 0 {
		return 0, bad
	}
	return total, nil
}

func number(store func(*config, int)) setFunc {
	return func(c *config, text string) error {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return fmt.Errorf("%q is not a number from 0 up", text)
		}
		store(c, int(n))
		return nil
	}
}

func positive(store func(*config, int)) setFunc {
	return func(c *config, text string) error {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil || n == 0 {
			return fmt.Errorf("%q is not a number from 1 up", text)
		}
		store(c, int(n))
		return nil
	}
}

func choice(store func(*config, string), words ...string) setFunc {
	return func(c *config, text string) error {
		for _, w := range words {
			if text == w {
				store(c, w)
				return nil
			}
		}
		return fmt.Errorf("%q is none of %s", text, strings.Join(words, ", "))
	}
}

// onOff takes what YAML writers and shells call yes and no as well.
func onOff(store func(*config, bool)) setFunc {
	return func(c *config, text string) error {
		switch text {
		case "on", "true":
			store(c, true)
		case "off", "false":
			store(c, false)
		default:
			return fmt.Errorf("%q is neither on nor off", text)
		}
		return nil
	}
}

func logLevel(c *config, text string) error {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	level, ok := levels[text]
	if !ok {
		return fmt.Errorf("%q is none of debug, info, warn, error", text)
	}
	c.logLevel = level
	return nil
}

func proxies(c *config, text string) error {
	var prefixes []netip.Prefix
	for _, t := range list(text) {
		p, err := netip.ParsePrefix(t)
		if err != nil {
			return fmt.Errorf("%q is not a network like 10.0.0.0/8 or 192.0.2.7/32", t)
		}
		prefixes = append(prefixes, p)
	}
	c.server.TrustedProxies = prefixes
	return nil
}

func riskRules(c *config, text string) (err error) {
	c.service.RiskRules, err = bitjang.ParseRiskRules(text)
	return err
}

// hostingASNs reads 16509 and AS16509.
func hostingASNs(c *config, text string) error {
	for _, t := range list(text) {
		n, err := strconv.ParseUint(strings.TrimPrefix(strings.ToUpper(t), "AS"), 10, 32)
		if err != nil || n == 0 {
			return fmt.Errorf("%q is not an AS number like AS16509", t)
		}
		c.service.HostingASNs = append(c.service.HostingASNs, uint32(n))
	}
	return nil
}

// resources reads audiences with how their tokens look: URI;typ=JWT;alg=RS256.
func resources(c *config, text string) error {
	for _, t := range list(text) {
		parts := strings.Split(t, ";")
		r := bitjang.Resource{Audience: parts[0]}
		for _, part := range parts[1:] {
			switch name, value, _ := strings.Cut(part, "="); name {
			case "typ":
				r.Type = value
			case "alg":
				r.Algorithm = value
			default:
				return fmt.Errorf("%q: %q is neither typ= nor alg=", t, part)
			}
		}
		c.service.Resources = append(c.service.Resources, r)
	}
	return nil
}

// list reads words separated by commas.
func list(text string) []string {
	var words []string
	for w := range strings.SplitSeq(text, ",") {
		if w = strings.TrimSpace(w); w != "" {
			words = append(words, w)
		}
	}
	return words
}

// rememberDevice is a duration, and 0 for never.
func rememberDevice(c *config, text string) error {
	if text == "0" {
		c.service.RememberDevice = -1
		return nil
	}
	return duration(func(c *config) *time.Duration { return &c.service.RememberDevice })(c, text)
}
