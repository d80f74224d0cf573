package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/store/redisstore"
	"github.com/bitjang/bitjang/store/sqlstore"
)

func (p *program) checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Try everything that serve needs and name all problems at once",
		Long: `Check tries the settings, the master key, the database, where the sessions are,
the signing keys and the addresses, also beside a running server. It makes neither
database nor key; a database that is there is opened as serve does, which brings
it up to date. A warning is no failure: it says what a crash or a full memory
would cost.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, values, problems := resolve(cmd.Flags(), p.environ())
			k := &checker{config: c, t: newTable(p.out, "RESULT", "WHAT", "DETAIL")}
			k.settings(values, problems)
			k.checkIssuer()
			k.data(cmd.Context())
			k.tryMail(cmd.Context())
			k.address(cmd.Context(), "listen", c.listen)
			if c.adminListen != "" {
				k.address(cmd.Context(), "admin-listen", c.adminListen)
			}
			if err := k.t.Flush(); err != nil {
				return err
			}
			if k.failed > 0 {
				return fmt.Errorf("%d of %d checks failed", k.failed, k.total)
			}
			return nil
		},
	}
	addSettings(cmd)
	return cmd
}

// checker tries one thing after the other and goes on whatever it finds.
type checker struct {
	*config
	t             table
	total, failed int
}

func (k *checker) ok(what, format string, args ...any) {
	k.total++
	k.t.row("ok", what, fmt.Sprintf(format, args...))
}

func (k *checker) fail(what string, err error) {
	k.total++
	k.failed++
	text := describe(err)
	if hint := hintFor(err); hint != "" {
		text += "; hint: " + hint
	}
	k.t.row("failed", what, strings.ReplaceAll(text, "\n", "; "))
}

func (k *checker) skip(what, why string) { k.t.row("skipped", what, why) }

func (k *checker) settings(values []value, problems []problem) {
	for _, p := range problems {
		k.fail("setting", errors.New(p.String()))
	}
	if len(problems) > 0 {
		return
	}
	given := 0
	for _, v := range values {
		if v.source != "default" {
			given++
		}
	}
	k.ok("settings", "%d given, %d by default", given, len(values)-given)
}

func (k *checker) checkIssuer() {
	switch issuer := k.service.Issuer; {
	case issuer == "":
		k.skip("issuer", "the setting cannot be used")
	case isPlainPublic(issuer):
		k.fail("issuer", hinted(fmt.Errorf("%s is plain http: passwords and tokens cross the network readable, and browsers drop our cookies", issuer),
			"put a TLS proxy in front and set BITJANG_ISSUER to its https URL"))
	case strings.HasPrefix(issuer, "http://"):
		k.ok("issuer", "%s (plain http: for development on this machine only)", issuer)
	default:
		k.ok("issuer", "%s", issuer)
	}
}

// data tries the database, and what depends on it.
func (k *checker) data(ctx context.Context) {
	if k.database == "" {
		k.skip("database", "the setting cannot be used")
		k.masterKey(nil)
		return
	}
	if !databaseExists(k.config) {
		if err := canMake(databasePath(k.config)); err != nil {
			k.fail("database", err)
		} else {
			k.ok("database", "%s is made when serve starts", databaseName(k.config))
		}
		k.masterKey(nil)
		k.elsewhere(ctx)
		return
	}
	store, err := sqlstore.Open(ctx, k.database)
	if err != nil {
		k.fail("database", err)
		k.masterKey(nil)
		k.elsewhere(ctx)
		return
	}
	defer store.Close()
	if version, err := store.Version(ctx); err != nil {
		k.fail("database", err)
	} else {
		k.ok("database", "%s at schema version %d", databaseName(k.config), version)
	}
	k.elsewhere(ctx)
	sealed, err := store.Keys(ctx)
	if err != nil {
		k.fail("signing keys", err)
		return
	}
	k.signingKeys(ctx, store, sealed, k.masterKey(sealed))
}

// elsewhere tries the stores of sessions that are not the database.
func (k *checker) elsewhere(ctx context.Context) {
	for _, where := range []struct{ what, address string }{{"sessions", k.sessions}, {"sessions-also", k.sessionsAlso}} {
		switch {
		case where.address == "" || where.address == inDatabase:
		case isRedis(where.address):
			k.redis(ctx, where.what, where.address)
		default:
			store, err := sqlstore.Open(ctx, where.address)
			if err != nil {
				k.fail(where.what, err)
				continue
			}
			k.ok(where.what, "%s answers", redacted(where.address))
			_ = store.Close() // nothing was written
		}
	}
}

// redis also says how the servers would lose sessions.
func (k *checker) redis(ctx context.Context, what, address string) {
	store, err := redisstore.Open(ctx, address, redisstore.Options{})
	if err != nil {
		k.fail(what, err)
		return
	}
	defer store.Close()
	findings, err := store.Check(ctx)
	if err != nil {
		k.fail(what, err)
		return
	}
	k.ok(what, "%s answers", redacted(address))
	for _, f := range findings {
		if f.Hint == "" {
			k.ok(what, "%s: %s", f.Node, f.Text)
		} else {
			k.t.row("warning", what, fmt.Sprintf("%s: %s; hint: %s", f.Node, f.Text, f.Hint))
		}
	}
}

// canMake says whether serve could make the file: in the nearest directory
// above it that exists.
func canMake(path string) error {
	dir := filepath.Dir(path)
	for {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			return fmt.Errorf("make %s: %w", path, syscall.ENOTDIR)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("make %s: %w", path, err)
		}
		dir = filepath.Dir(dir)
	}
	probe, err := os.CreateTemp(dir, ".bitjang-check-*")
	if err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// masterKey finds the master keys as serve would, but makes none.
func (k *checker) masterKey(sealed []bitjang.SigningKey) []bitjang.Secret {
	if len(k.masterKeys) > 0 {
		k.ok("master key", "%d from the setting", len(k.masterKeys))
		return k.masterKeys
	}
	found, err := readMasterKeys(k.masterKeyFile)
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(sealed) == 0:
		if err := canMake(k.masterKeyFile); err != nil {
			k.fail("master key", err)
		} else {
			k.ok("master key", "%s is made when serve starts", k.masterKeyFile)
		}
	case errors.Is(err, fs.ErrNotExist):
		k.fail("master key", missingMasterKey(k.config))
	case err != nil:
		k.fail("master key", err)
	case found.loose:
		k.fail("master key", hinted(fmt.Errorf("others than its owner may read %s", k.masterKeyFile), "chmod 600 %s", k.masterKeyFile))
	default:
		k.ok("master key", "%d in %s", len(found.keys), k.masterKeyFile)
	}
	return found.keys
}

// oneKey shows a Service a single signing key and keeps it from changing any.
type oneKey struct {
	bitjang.Store
	key bitjang.SigningKey
}

func (o *oneKey) Keys(context.Context) ([]bitjang.SigningKey, error) {
	return []bitjang.SigningKey{o.key}, nil
}
func (o *oneKey) InsertKey(context.Context, bitjang.SigningKey) error { return nil }
func (o *oneKey) UpdateKey(context.Context, bitjang.SigningKey) error { return nil }
func (o *oneKey) DeleteKey(context.Context, string) error             { return nil }

// signingKeys opens the seals one by one: serve would go on with those that
// open, and tokens signed with the others would fail.
func (k *checker) signingKeys(ctx context.Context, store bitjang.Store, sealed []bitjang.SigningKey, masters []bitjang.Secret) {
	if len(sealed) == 0 {
		k.ok("signing keys", "none yet; serve makes the first")
		return
	}
	if len(masters) == 0 {
		k.skip("signing keys", "there is no master key to open them with")
		return
	}
	for _, key := range sealed {
		svc, err := bitjang.New(bitjang.Config{Issuer: "http://localhost", MasterKeys: masters, Store: &oneKey{store, key}})
		if err == nil {
			err = svc.LoadKeys(ctx)
		}
		if err != nil {
			k.fail("signing key "+key.ID, err)
		} else {
			k.ok("signing key "+key.ID, "%s, opens, %s", key.Algorithm, key.KeyState(sealed, time.Now()))
		}
	}
}

func (k *checker) address(ctx context.Context, what, address string) {
	if address == "" {
		k.skip(what, "the setting cannot be used")
		return
	}
	l, err := listenOn(ctx, address)
	switch {
	case err == nil:
		closeAll(l)
		k.ok(what, "%s is free", address)
	case errors.Is(err, syscall.EADDRINUSE) && k.runs(ctx):
		k.ok(what, "%s is in use, by this service as it seems: it answers on %s", address, k.listen)
	default:
		k.fail(what, err)
	}
}

// runs says whether a Bitjang of this issuer answers on the public address.
func (k *checker) runs(ctx context.Context) bool {
	host, port, err := net.SplitHostPort(k.listen)
	if err != nil {
		return false
	}
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = "localhost"
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	url := "http://" + net.JoinHostPort(host, port) + "/.well-known/openid-configuration"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	var metadata struct {
		Issuer string `json:"issuer"`
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&metadata)
	return err == nil && metadata.Issuer == k.service.Issuer
}
