package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/store/redisstore"
	"github.com/bitjang/bitjang/store/sqlstore"
)

// stores are where a command's data lives.
type stores struct {
	database *sqlstore.Store
	sessions bitjang.SessionStore // the database too, unless set otherwise
	others   []io.Closer
}

// Close closes all of them.
func (s *stores) Close() error {
	var errs []error
	for _, c := range append(s.others, s.database) {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// openDatabase opens the database alone. Unless it may be made, a missing one is
// an error: a command in the wrong directory must not leave an empty one behind
// and say that there are no users.
func openDatabase(ctx context.Context, c *config, create bool) (*stores, error) {
	if !create && !databaseExists(c) {
		return nil, hinted(fmt.Errorf("there is no database at %s", databaseName(c)),
			`"bitjang serve" or "bitjang migrate" makes it; if there is one elsewhere, name it with --data-dir or --database`)
	}
	database, err := sqlstore.Open(ctx, c.database)
	if err != nil {
		return nil, err
	}
	return &stores{database: database, sessions: database}, nil
}

// openStores opens the database and where the sessions are.
func openStores(ctx context.Context, c *config, create bool) (*stores, error) {
	s, err := openDatabase(ctx, c, create)
	if err != nil {
		return nil, err
	}
	s.sessions, err = s.open(ctx, c, c.sessions)
	if err == nil && c.sessionsAlso != "" {
		var other bitjang.SessionStore
		other, err = s.open(ctx, c, c.sessionsAlso)
		s.sessions = bitjang.Moving{Home: s.sessions, Other: other}
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// inDatabase is the address of sessions that are kept in the database.
const inDatabase = "database"

// open opens a store of sessions.
func (s *stores) open(ctx context.Context, c *config, address string) (bitjang.SessionStore, error) {
	switch {
	case address == inDatabase || address == c.database:
		return s.database, nil
	case isRedis(address):
		store, err := redisstore.Open(ctx, address, redisstore.Options{Retention: c.service.SessionRetention + 24*time.Hour})
		if err != nil {
			return nil, err
		}
		s.others = append(s.others, store)
		return store, nil
	}
	store, err := sqlstore.Open(ctx, address)
	if err != nil {
		return nil, err
	}
	s.others = append(s.others, store)
	return store, nil
}

func isRedis(address string) bool {
	return strings.HasPrefix(address, "redis") || strings.HasPrefix(address, "valkey")
}

// databasePath is the file of the database, or "".
func databasePath(c *config) string {
	path, _ := strings.CutPrefix(c.database, "sqlite:")
	if path == c.database {
		return ""
	}
	return path
}

// databaseName is the database as people may see it.
func databaseName(c *config) string {
	if path := databasePath(c); path != "" {
		return path
	}
	return redacted(c.database)
}

func databaseExists(c *config) bool {
	path := databasePath(c)
	if path == "" {
		return true // a server's has been made by its administrator
	}
	_, err := os.Stat(path)
	return err == nil
}

// masterKeyOrigin says where the master keys came from.
type masterKeyOrigin struct {
	keys  []bitjang.Secret
	file  string // "" if they came from the setting
	fresh bool   // the file was made just now
	loose bool   // others than the owner may read the file
}

// loadMasterKeys finds the master keys. With nothing set and no file, it makes
// the file, but never beside signing keys that another master key sealed: a
// new one would log everybody out.
func loadMasterKeys(ctx context.Context, c *config, keys bitjang.KeyStore) (masterKeyOrigin, error) {
	if len(c.masterKeys) > 0 {
		return masterKeyOrigin{keys: c.masterKeys}, nil
	}
	found, err := readMasterKeys(c.masterKeyFile)
	if !errors.Is(err, fs.ErrNotExist) {
		return found, err
	}
	sealed, err := keys.Keys(ctx)
	if err != nil {
		return masterKeyOrigin{}, fmt.Errorf("look for signing keys: %w", err)
	}
	if len(sealed) == 0 {
		return makeMasterKey(c.masterKeyFile)
	}
	// Another process may have made both since we looked.
	if found, err = readMasterKeys(c.masterKeyFile); !errors.Is(err, fs.ErrNotExist) {
		return found, err
	}
	return masterKeyOrigin{}, missingMasterKey(c)
}

func missingMasterKey(c *config) error {
	return hinted(
		fmt.Errorf("the master key is missing: there is no %s, but the database %s holds keys sealed with one", c.masterKeyFile, databaseName(c)),
		"bring the file back from where you keep a copy, or set BITJANG_MASTER_KEY. A new key would log everybody out, so none is made; if it is lost for good and you accept that, move the database away as well")
}

// readMasterKeys reads one key per line, newest first.
func readMasterKeys(file string) (masterKeyOrigin, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return masterKeyOrigin{}, fmt.Errorf("read the master key: %w", err)
	}
	var texts []string
	for line := range strings.Lines(string(raw)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			texts = append(texts, line)
		}
	}
	if len(texts) == 0 {
		return masterKeyOrigin{}, hinted(fmt.Errorf("the master key file %s is empty", file), "bring it back from where you keep a copy, or set BITJANG_MASTER_KEY")
	}
	keys := secrets(texts)
	if err := checkMasterKeys(keys); err != nil {
		return masterKeyOrigin{}, fmt.Errorf("read the master key: %s: %w", file, err)
	}
	info, err := os.Stat(file)
	return masterKeyOrigin{keys: keys, file: file, loose: err == nil && info.Mode().Perm()&0o077 != 0}, nil
}

// makeMasterKey writes a new key. It is written in full and forced to disk
// under another name, then linked to its own, which fails if there is one: of
// two processes that start together one wins, and the other never reads half
// a key.
func makeMasterKey(file string) (masterKeyOrigin, error) {
	err := writeOnce(file, bitjang.NewMasterKey())
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return masterKeyOrigin{}, fmt.Errorf("make the master key: %w", err)
	}
	made := err == nil
	found, err := readMasterKeys(file)
	found.fresh = made
	return found, err
}

func writeOnce(file string, key bitjang.Secret) error {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	draft, err := os.CreateTemp(dir, ".master.key-*") // mode 0600, O_EXCL
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name())
	_, err = fmt.Fprintf(draft, "# Bitjang's master key. Whoever has it and the database can log in as anybody.\n%s\n", key.Reveal())
	if err = errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return err
	}
	if err := os.Link(draft.Name(), file); err != nil {
		return err
	}
	return syncDirectory(dir)
}

// syncDirectory makes the new name last. Windows cannot, and need not.
func syncDirectory(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// openService opens the stores and makes a Service with the real master keys
// and its signing keys loaded. The caller closes the stores.
func openService(ctx context.Context, c *config, create bool) (*bitjang.Service, *stores, masterKeyOrigin, error) {
	st, err := openStores(ctx, c, create)
	if err != nil {
		return nil, nil, masterKeyOrigin{}, err
	}
	svc, origin, err := loadService(ctx, c, st)
	if err != nil {
		return nil, nil, origin, errors.Join(err, st.Close())
	}
	return svc, st, origin, nil
}

func loadService(ctx context.Context, c *config, st *stores) (*bitjang.Service, masterKeyOrigin, error) {
	origin, err := loadMasterKeys(ctx, c, st.database)
	if err != nil {
		return nil, origin, err
	}
	if err := forPeople(c); err != nil {
		return nil, origin, err
	}
	cfg := c.service
	cfg.Store, cfg.Sessions, cfg.MasterKeys = st.database, st.sessions, origin.keys
	svc, err := bitjang.New(cfg)
	if err != nil {
		return nil, origin, err
	}
	return svc, origin, svc.LoadKeys(ctx)
}

// withAccounts runs work on users and sessions. That seals and signs nothing,
// so it goes without the master key: whoever may read the database may list
// sessions, also where only the server's environment has the key.
func withAccounts(ctx context.Context, c *config, create bool, work func(*bitjang.Service) error) (err error) {
	st, err := openStores(ctx, c, create)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	cfg := c.service
	cfg.Store, cfg.Sessions, cfg.MasterKeys = st.database, st.sessions, []bitjang.Secret{bitjang.NewMasterKey()}
	cfg.Mailer, cfg.VerifyEmail = nil, bitjang.VerifyOptional // what waits in the store is sealed under the real key
	svc, err := bitjang.New(cfg)
	if err != nil {
		return err
	}
	return work(svc)
}
