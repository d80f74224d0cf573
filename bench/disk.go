//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	_ "modernc.org/sqlite" // the driver of sqlstore, alone

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/store/sqlstore"
)

// stores are the store without a server, and the driver without the store. Each
// has one row per caller.
type stores struct {
	store    *sqlstore.Store
	sessions []bitjang.Session
	now      time.Time

	raw         *sql.DB
	stmt        *sql.Stmt
	generations []int64

	file *os.File // for appends
}

func (b *bench) openStores(ctx context.Context) (*stores, error) {
	s := &stores{now: thisMillisecond()}
	err := errors.Join(s.openStore(ctx, filepath.Join(b.dir, "store.db"), b.most()),
		s.openRaw(ctx, filepath.Join(b.dir, "raw.db"), b.most()))
	if err == nil {
		s.file, err = os.OpenFile(filepath.Join(b.dir, "appended"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *stores) openStore(ctx context.Context, path string, rows int) (err error) {
	if s.store, err = sqlstore.Open(ctx, "sqlite:"+path); err != nil {
		return err
	}
	for range rows {
		sess := newSession(s.now, newUserID())
		if err := s.store.InsertSession(ctx, sess); err != nil {
			return err
		}
		s.sessions = append(s.sessions, sess)
	}
	return nil
}

// openRaw sets the driver to the durability that the store has.
func (s *stores) openRaw(ctx context.Context, path string, rows int) (err error) {
	const pragmas = "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"
	if s.raw, err = sql.Open("sqlite", "file:"+path+pragmas); err != nil {
		return err
	}
	s.raw.SetMaxOpenConns(1)
	if _, err := s.raw.ExecContext(ctx, `CREATE TABLE t (id INTEGER PRIMARY KEY, generation INTEGER NOT NULL, nonce BLOB NOT NULL)`); err != nil {
		return err
	}
	for i := range rows {
		if _, err := s.raw.ExecContext(ctx, `INSERT INTO t VALUES (?, 0, x'00')`, i); err != nil {
			return err
		}
	}
	s.generations = make([]int64, rows)
	s.stmt, err = s.raw.PrepareContext(ctx, `UPDATE t SET generation = ?, nonce = ? WHERE id = ? AND generation = ? RETURNING id`)
	return err
}

func (s *stores) close() {
	if s.store != nil {
		_ = s.store.Close() // thrown away in a moment
	}
	if s.raw != nil {
		_ = s.raw.Close()
	}
	if s.file != nil {
		_ = s.file.Close()
	}
}

// confirm is one durable refresh in the store.
func (s *stores) confirm(caller int) error {
	sess := &s.sessions[caller]
	moved, err := s.store.ConfirmSession(context.Background(), nextConfirmation(sess, s.now))
	if err == nil {
		*sess = moved
	}
	return err
}

// update is one small row and one durable commit.
func (s *stores) update(caller int) error {
	return s.updateWith(s.stmt, caller)
}

// updateWith reads the rows to their end: left before it, the statement is
// reset and the write-ahead log never folded back.
func (s *stores) updateWith(stmt *sql.Stmt, caller int) error {
	var nonce [8]byte
	_, _ = rand.Read(nonce[:])
	g := s.generations[caller]
	rows, err := stmt.Query(g+1, nonce[:], caller, g)
	if err != nil {
		return err
	}
	defer rows.Close()
	found := 0
	for rows.Next() {
		if err := rows.Scan(new(int)); err != nil {
			return err
		}
		found++
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if found != 1 {
		return errors.New("the raw row has moved")
	}
	s.generations[caller]++
	return nil
}

// groupSize is how many operations share a commit in the grouped figures.
const groupSize = 64

// disk measures what the disk and the driver can do without concurrency.
func (b *bench) disk(s *stores) error {
	d := &b.results.Disk
	single, err := s.appends(make([]byte, 4096), b.duration/5)
	if err != nil {
		return err
	}
	d.SyncMS = append(d.SyncMS, single.Seconds()*1000)
	grouped, err := s.appends(make([]byte, groupSize*256), b.duration/5)
	if err != nil {
		return err
	}
	d.GroupedAppends = append(d.GroupedAppends, groupSize/grouped.Seconds())
	perSecond, err := s.groupedUpdates(b.duration / 5)
	d.GroupedUpdates = append(d.GroupedUpdates, perSecond)
	b.say("  fdatasync %.3f ms, raw driver with %d updates per commit %s/s", d.SyncMS[len(d.SyncMS)-1], groupSize, thousands(perSecond))
	return err
}

// appends returns the median time of an append with fdatasync.
func (s *stores) appends(block []byte, length time.Duration) (time.Duration, error) {
	var took []time.Duration
	for until := time.Now().Add(length); len(took) == 0 || time.Now().Before(until); {
		began := time.Now()
		if _, err := s.file.Write(block); err != nil {
			return 0, err
		}
		if err := syscall.Fdatasync(int(s.file.Fd())); err != nil {
			return 0, err
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)/2], s.file.Truncate(0)
}

// groupedUpdates is limit (a) with groupSize updates per commit, by one caller.
func (s *stores) groupedUpdates(length time.Duration) (float64, error) {
	began, n := time.Now(), 0
	for n == 0 || time.Since(began) < length {
		tx, err := s.raw.Begin()
		if err != nil {
			return 0, err
		}
		stmt := tx.Stmt(s.stmt)
		for i := range groupSize {
			if err := s.updateWith(stmt, i%len(s.generations)); err != nil {
				return 0, errors.Join(err, tx.Rollback())
			}
		}
		if err := tx.Commit(); err != nil {
			return 0, err
		}
		n += groupSize
	}
	return float64(n) / time.Since(began).Seconds(), nil
}
