// Package sqlstore keeps everything in a SQL database: SQLite, PostgreSQL,
// MySQL or MariaDB. It knows tables and statements and never decides a rule.
// Programs that embed Bitjang import it to open a store; nothing in the root
// package may.
package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/bitjang/bitjang"
)

//go:embed migrations
var migrations embed.FS

// Store is a bitjang.Store on a SQL database.
type Store struct {
	// Reads and writes share the connections, but on SQLite, which has one
	// writer.
	reads, writes *sql.DB
	writer        *sql.Conn // SQLite: the connection that writes

	d       *dialect
	stmts   statements
	timeout time.Duration // of every call

	file     string               // SQLite: what its driver opens
	queue    *gather[sqliteWrite] // SQLite: every write
	log      writeAheadLog        // SQLite
	confirms *gather[*confirming] // the others: the usual refresh
}

var _ bitjang.Store = (*Store)(nil)

// Open opens the database at address and brings its tables up to date. Any
// number of processes may do so at once.
//
//	sqlite:PATH
//	postgres://USER:PASSWORD@HOST:PORT/DATABASE
//	mysql://USER:PASSWORD@HOST:PORT/DATABASE
//
// SQLite makes the file if there is none. PostgreSQL takes the parameters of
// libpq (sslmode, sslrootcert, target_session_attrs and several hosts among
// them), MySQL and MariaDB `tls` (true, preferred or false, the default) and
// `ca`, a PEM file. Both take `timeout` of a call, default 3s, and
// `pool_max_conns`, default 16.
//
// Commits are durable: once a call has returned, neither a crash of the process
// nor of the machine loses it, provided that the database server has not been
// told otherwise (PostgreSQL: fsync, synchronous_commit; MySQL:
// innodb_flush_log_at_trx_commit, sync_binlog). Errors do not contain the
// password.
func Open(ctx context.Context, address string) (*Store, error) {
	open, err := opener(address)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: %w", err)
	}
	s := &Store{}
	if err := open(ctx, s, address); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlstore: open %s: %w", redact(address), err), s.Close())
	}
	return s, nil
}

func opener(address string) (func(context.Context, *Store, string) error, error) {
	scheme, rest, _ := strings.Cut(address, ":")
	switch scheme {
	case "sqlite":
		if rest != "" {
			return openSQLite, nil
		}
	case "postgres", "postgresql":
		return openPostgres, nil
	case "mysql", "mariadb":
		return openMySQL, nil
	}
	return nil, errors.New("an address begins with sqlite:PATH, postgres:// or mysql://")
}

// migrate brings the tables up to date. Servers let one process do it at a
// time; of two that start at once on SQLite, the one that loses the race looks
// again and finds the work done.
func (s *Store) migrate(ctx context.Context) (err error) {
	dir, err := fs.Sub(migrations, "migrations/"+s.d.name)
	if err != nil {
		return err
	}
	if s.d.lock != "" {
		conn, err := s.writes.Conn(ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
		if _, err := conn.ExecContext(ctx, s.d.lock); err != nil {
			return fmt.Errorf("wait for the turn to migrate: %w", err)
		}
		defer func() {
			_, unlockErr := conn.ExecContext(context.WithoutCancel(ctx), s.d.unlock)
			err = errors.Join(err, unlockErr)
		}()
	}
	const attempts = 3
	for range attempts {
		var provider *goose.Provider
		provider, err = goose.NewProvider(s.d.goose, s.writes, dir, goose.WithVerbose(false))
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
	ctx, cancel := s.bound(ctx)
	defer cancel()
	var v int64
	err := s.reads.QueryRowContext(ctx, "SELECT max(version_id) FROM goose_db_version WHERE is_applied").Scan(&v)
	return v, err
}

// Close waits for what is being written and closes the database.
func (s *Store) Close() error {
	if s.queue != nil {
		s.queue.drain()
		s.log.idle.Wait()
	}
	if s.confirms != nil {
		s.confirms.drain()
	}
	var errs []error
	if s.writer != nil {
		errs = append(errs, s.writer.Close())
	}
	if s.writes != nil {
		errs = append(errs, s.writes.Close())
	}
	if s.reads != nil && s.reads != s.writes {
		errs = append(errs, s.reads.Close())
	}
	return errors.Join(errs...)
}

// bound gives a call its time-out: a database that hangs is one that is down.
func (s *Store) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.timeout)
}

func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return bitjang.ErrNotFound
	}
	return err
}
