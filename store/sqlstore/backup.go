package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ErrInUse says that another process has the database open.
var ErrInUse = errors.New("sqlstore: another process has the database open")

// Backup writes a complete and consistent copy of a SQLite database to a new
// file that only its owner may read. Others may read and write meanwhile.
func (s *Store) Backup(ctx context.Context, path string) error {
	if s.d.name != "sqlite" {
		return fmt.Errorf("sqlstore: backup is for SQLite, not for %s", s.d.name)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("sqlstore: backup: %w", err)
	}
	_ = f.Close() // empty: SQLite fills it and keeps its mode
	db, err := sql.Open("sqlite", s.file)
	if err == nil {
		_, err = db.ExecContext(ctx, "VACUUM INTO ?", path)
		err = errors.Join(err, db.Close())
	}
	if err == nil {
		err = syncFile(path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("sqlstore: backup: %w", err), os.Remove(path))
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Restore puts a copy that Backup made in the place of the SQLite database at
// address, which nobody may have open (ErrInUse). What was there is kept beside
// it; kept is its name, or "".
func Restore(ctx context.Context, backup, address string) (kept string, err error) {
	path, ok := strings.CutPrefix(address, "sqlite:")
	if !ok {
		return "", errors.New("sqlstore: restore is for SQLite")
	}
	if err := checkBackup(ctx, backup); err != nil {
		return "", fmt.Errorf("sqlstore: restore %s: %w", backup, err)
	}
	draft := path + ".restoring"
	if err := copyPrivate(backup, draft); err != nil {
		return "", fmt.Errorf("sqlstore: restore: %w", errors.Join(err, os.Remove(draft)))
	}
	if kept, err = setAside(ctx, path); err == nil {
		_ = os.Remove(path + "-shm") // an index of the log that is gone too
		err = os.Rename(draft, path)
	}
	if err != nil {
		return kept, fmt.Errorf("sqlstore: restore: %w", errors.Join(err, os.Remove(draft)))
	}
	return kept, nil
}

// checkBackup reads the whole file: better now than at the next login.
func checkBackup(ctx context.Context, path string) error {
	if _, err := os.Stat(path); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=ro")
	if err != nil {
		return err
	}
	defer db.Close()
	var result string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check").Scan(&result); err != nil {
		return fmt.Errorf("not a database: %w", err)
	}
	if result != "ok" {
		return fmt.Errorf("damaged: %s", result)
	}
	var version, sessions int64
	err = db.QueryRowContext(ctx, "SELECT (SELECT max(version_id) FROM goose_db_version), (SELECT count(*) FROM sessions)").Scan(&version, &sessions)
	if err != nil {
		return fmt.Errorf("not a database of Bitjang: %w", err)
	}
	return nil
}

func copyPrivate(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

// setAside renames the database. It takes it for itself first: that fails where
// another process has it open, and leaves one file without a log beside it.
func setAside(ctx context.Context, path string) (string, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?_pragma=busy_timeout(500)&_pragma=locking_mode(EXCLUSIVE)")
	if err != nil {
		return "", err
	}
	db.SetMaxOpenConns(1)
	for _, statement := range []string{"PRAGMA journal_mode=DELETE", "BEGIN EXCLUSIVE", "COMMIT"} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return "", errors.Join(fmt.Errorf("%w: %w", ErrInUse, err), db.Close())
		}
	}
	if err := db.Close(); err != nil {
		return "", err
	}
	kept := path + time.Now().UTC().Format(".20060102T150405Z") + ".before-restore"
	return kept, os.Rename(path, kept)
}
