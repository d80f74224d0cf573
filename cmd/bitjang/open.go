package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/store/sqlstore"
)

// openStore opens the database. Unless it may be made, a missing one is an
// error: a command in the wrong directory must not leave an empty database
// behind and say that there are no users.
func openStore(ctx context.Context, c *config, create bool) (*sqlstore.Store, error) {
	if !create && !databaseExists(c) {
		return nil, hinted(fmt.Errorf("there is no database at %s", databasePath(c)),
			`"bitjang serve" or "bitjang migrate" makes it; if there is one elsewhere, name it with --data-dir or --database`)
	}
	return sqlstore.Open(ctx, c.database)
}

func databasePath(c *config) string { return strings.TrimPrefix(c.database, "sqlite:") }

func databaseExists(c *config) bool {
	_, err := os.Stat(databasePath(c))
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
		fmt.Errorf("the master key is missing: there is no %s, but the database %s holds keys sealed with one", c.masterKeyFile, databasePath(c)),
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

// openService opens the store and makes a Service with the real master keys
// and its signing keys loaded. The caller closes the store.
func openService(ctx context.Context, c *config, create bool) (*bitjang.Service, *sqlstore.Store, masterKeyOrigin, error) {
	store, err := openStore(ctx, c, create)
	if err != nil {
		return nil, nil, masterKeyOrigin{}, err
	}
	svc, origin, err := loadService(ctx, c, store)
	if err != nil {
		return nil, nil, origin, errors.Join(err, store.Close())
	}
	return svc, store, origin, nil
}

func loadService(ctx context.Context, c *config, store bitjang.Store) (*bitjang.Service, masterKeyOrigin, error) {
	origin, err := loadMasterKeys(ctx, c, store)
	if err != nil {
		return nil, origin, err
	}
	cfg := c.service
	cfg.Store, cfg.MasterKeys = store, origin.keys
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
	store, err := openStore(ctx, c, create)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	cfg := c.service
	cfg.Store, cfg.MasterKeys = store, []bitjang.Secret{bitjang.NewMasterKey()}
	svc, err := bitjang.New(cfg)
	if err != nil {
		return err
	}
	return work(svc)
}
