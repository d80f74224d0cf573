package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite" // also the "sqlite" driver, in pure Go
	sqlite3 "modernc.org/sqlite/lib"
)

func sqliteDialect() *dialect {
	return &dialect{
		name: "sqlite", goose: goose.DialectSQLite3,
		shares: true,
		ignore: func(string) string { return " ON CONFLICT DO NOTHING" },
		confirm: `UPDATE sessions SET
			generation = ?1, nonce = ?2, parent = ?3, confirmed_at = ?4, child_at = ?4, child_seen_at = 0,
			seen_before_at = last_seen_at, last_seen_at = ?4, idle_expires_at = ?5, version = version + 1
			WHERE id = ?6 AND generation = ?1 - 1 AND nonce = ?3 AND ended_at = 0 AND held_at = 0 AND key_thumbprint = ''
			AND idle_expires_at > ?4 AND expires_at > ?4
			RETURNING id, ` + confirmedColumns,
		duplicate: func(err error) bool {
			e, ok := errors.AsType[*sqlite.Error](err)
			return ok && (e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
		},
	}
}

// Durability and concurrency of every connection. The busy timeout is for
// other processes; within this one there is a single writer. The commit that
// finds 8,000 pages in the log, some 32 MB, moves what checkpoint has left of
// them, and the log begins anew.
const sqlitePragmas = "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_pragma=wal_autocheckpoint(8000)"

// sqliteTimeout is longer than the busy timeout, which gives the better error.
const sqliteTimeout = 15 * time.Second

func openSQLite(ctx context.Context, s *Store, address string) error {
	path := strings.TrimPrefix(address, "sqlite:")
	s.d, s.timeout = sqliteDialect(), sqliteTimeout
	s.queue = &gather[sqliteWrite]{run: s.commit, workers: 1}
	if err := makePrivate(path); err != nil {
		return err
	}
	s.file = "file:" + (&url.URL{Path: path}).EscapedPath() + sqlitePragmas
	var err error
	if s.writes, err = sql.Open("sqlite", s.file+"&_txlock=immediate"); err != nil {
		return err
	}
	s.writes.SetMaxOpenConns(1)
	if err := s.migrate(ctx); err != nil {
		return err
	}
	if s.writer, err = s.writes.Conn(ctx); err != nil {
		return err
	}
	if s.reads, err = sql.Open("sqlite", s.file+"&_pragma=query_only(1)"); err != nil {
		return err
	}
	s.reads.SetMaxOpenConns(2 * runtime.GOMAXPROCS(0))
	s.reads.SetMaxIdleConns(2 * runtime.GOMAXPROCS(0))
	return s.stmts.prepare(ctx, s.d, s.reads, s.writer)
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

// sqliteWrite is one statement, or several that stand or fall together.
type sqliteWrite struct {
	run     func(context.Context, unit) error
	several bool
}

// commit runs a group of writes in one transaction. A write that fails undoes
// only itself; a commit that fails fails everybody.
func (s *Store) commit(group []*job[sqliteWrite]) {
	ctx := context.Background() // a caller that hangs up must not undo the others
	if _, err := s.stmts.begin.ExecContext(ctx); err != nil {
		failAll(group, err)
		return
	}
	for _, j := range group {
		if j.err = j.ctx.Err(); j.err == nil {
			j.err = s.write(ctx, j.work)
		}
	}
	if _, err := s.stmts.commit.ExecContext(ctx); err != nil {
		_, rollbackErr := s.stmts.rollback.ExecContext(ctx)
		failAll(group, errors.Join(err, rollbackErr))
		return
	}
	s.log.grown(s.checkpoint)
}

// checkpointEvery is how long a checkpoint waits after the one before.
const checkpointEvery = 200 * time.Millisecond

// writeAheadLog says when to move the log into the database file.
type writeAheadLog struct {
	last  time.Time // only the writer looks
	under atomic.Bool
	idle  sync.WaitGroup
}

// grown starts a checkpoint unless there has just been one. It runs beside the
// writer: the pages of a sweep lie all over the file, and the commit that had
// to write thousands of them would keep every refresh waiting.
func (l *writeAheadLog) grown(checkpoint func()) {
	if time.Since(l.last) < checkpointEvery || !l.under.CompareAndSwap(false, true) {
		return
	}
	l.last = time.Now()
	l.idle.Go(func() {
		defer l.under.Store(false)
		checkpoint()
	})
}

// checkpoint moves what it can without waiting for anybody. An error is nobody's
// concern: the log stays as it is, and the writer comes to it.
func (s *Store) checkpoint() {
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	_, _ = s.reads.ExecContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)")
}

func (s *Store) write(ctx context.Context, w sqliteWrite) error {
	if !w.several {
		return w.run(ctx, unit{})
	}
	if _, err := s.stmts.savepoint.ExecContext(ctx); err != nil {
		return err
	}
	err := w.run(ctx, unit{})
	if err != nil {
		_, undoErr := s.stmts.undo.ExecContext(ctx)
		err = errors.Join(err, undoErr)
	}
	_, releaseErr := s.stmts.release.ExecContext(ctx)
	return errors.Join(err, releaseErr)
}
