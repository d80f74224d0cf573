// Package sqlstore keeps everything in a SQL database: SQLite today. It knows
// tables and statements and never decides a rule. Programs that embed Bitjang
// import it to open a store; nothing in the root package may.
package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the "sqlite" driver, in pure Go

	"github.com/bitjang/bitjang"
)

//go:embed migrations
var migrations embed.FS

// Store is a bitjang.Store on a SQL database.
type Store struct {
	reads  *sql.DB
	writes *sql.DB   // one connection: SQLite has one writer
	writer *sql.Conn // that connection
	stmts  statements
	queue  groupCommit
}

var _ bitjang.Store = (*Store)(nil)

// Open opens the database at address, `sqlite:PATH`, making the file if there
// is none, and brings its tables up to date. Any number of processes may open
// the same file.
//
// Commits are durable: once a call has returned, neither a crash of the process
// nor of the machine loses it (WAL with synchronous=FULL).
func Open(ctx context.Context, address string) (*Store, error) {
	path, ok := strings.CutPrefix(address, "sqlite:")
	if !ok || path == "" {
		return nil, fmt.Errorf("sqlstore: %q is not sqlite:PATH", address)
	}
	s := &Store{}
	if err := s.open(ctx, path); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlstore: open %s: %w", path, err), s.Close())
	}
	return s, nil
}

// Durability and concurrency of every connection. The busy timeout is for
// other processes; within this one there is a single writer. A checkpoint costs
// the commit that triggers it two more fsyncs: one in 8,000 pages, so that the
// log grows to some 32 MB, lets refreshes of the same pages fall together.
const pragmas = "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_pragma=wal_autocheckpoint(8000)"

func (s *Store) open(ctx context.Context, path string) error {
	if err := makePrivate(path); err != nil {
		return err
	}
	name := "file:" + (&url.URL{Path: path}).EscapedPath() + pragmas
	var err error
	if s.writes, err = sql.Open("sqlite", name+"&_txlock=immediate"); err != nil {
		return err
	}
	s.writes.SetMaxOpenConns(1)
	if err := migrate(ctx, s.writes); err != nil {
		return err
	}
	if s.writer, err = s.writes.Conn(ctx); err != nil {
		return err
	}
	if s.reads, err = sql.Open("sqlite", name+"&_pragma=query_only(1)"); err != nil {
		return err
	}
	s.reads.SetMaxOpenConns(2 * runtime.GOMAXPROCS(0))
	s.reads.SetMaxIdleConns(2 * runtime.GOMAXPROCS(0))
	if err := s.stmts.prepare(ctx, s.reads, s.writer); err != nil {
		return err
	}
	s.queue.commit = s.commit
	return nil
}

// makePrivate creates the file for its owner only; SQLite gives its companions
// (-wal, -shm) the same mode.
func makePrivate(path string) error {
	if dir := filepath.Dir(path); dir != "." {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// migrate brings the tables up to date. Two processes may start at once: the
// one that loses the race looks again and finds the work done.
func migrate(ctx context.Context, db *sql.DB) error {
	dir, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		return err
	}
	const attempts = 3
	for range attempts {
		var provider *goose.Provider
		provider, err = goose.NewProvider(goose.DialectSQLite3, db, dir, goose.WithVerbose(false))
		if err != nil {
			return err
		}
		if _, err = provider.Up(ctx); err == nil {
			return nil
		}
	}
	return fmt.Errorf("migrate: %w", err)
}

// Version returns the number of the newest migration applied.
func (s *Store) Version(ctx context.Context) (int64, error) {
	var v int64
	err := s.reads.QueryRowContext(ctx, "SELECT max(version_id) FROM goose_db_version WHERE is_applied").Scan(&v)
	return v, err
}

// Close waits for what is being written and closes the database.
func (s *Store) Close() error {
	s.queue.drain()
	var errs []error
	if s.writer != nil {
		errs = append(errs, s.writer.Close())
	}
	for _, db := range []*sql.DB{s.writes, s.reads} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}
