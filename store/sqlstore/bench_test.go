package sqlstore_test

import (
	"crypto/rand"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/servers"
	"github.com/bitjang/bitjang/store/sqlstore"
)

// BenchmarkRefresh compares refreshes per second in the store alone, callers
// sharing commits, with the raw driver committing one small row per call. One
// operation is one durable refresh.
func BenchmarkRefresh(b *testing.B) {
	for _, db := range []struct {
		name string
		open func(b *testing.B) (address string, raw *sql.DB, statement string)
	}{
		{"sqlite", benchSQLite}, {"postgres", benchPostgres}, {"mariadb", benchMariaDB},
	} {
		b.Run(db.name, func(b *testing.B) {
			for _, callers := range []int{1, 16, 64, 256} {
				b.Run(fmt.Sprintf("store/callers=%d", callers), func(b *testing.B) {
					address, _, _ := db.open(b)
					benchStore(b, openAt(b, address), callers)
				})
				b.Run(fmt.Sprintf("raw/callers=%d", callers), func(b *testing.B) {
					_, raw, statement := db.open(b)
					benchRaw(b, raw, statement, callers)
				})
			}
		})
	}
}

func openRaw(b *testing.B, driver, dsn string) *sql.DB {
	b.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	return db
}

func benchSQLite(b *testing.B) (string, *sql.DB, string) {
	name := filepath.Join(b.TempDir(), "b.db")
	raw := openRaw(b, "sqlite", "file:"+name+".raw?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)")
	raw.SetMaxOpenConns(1)
	return "sqlite:" + name, raw, `UPDATE t SET generation = ?, nonce = ? WHERE id = ? AND generation = ?`
}

func benchPostgres(b *testing.B) (string, *sql.DB, string) {
	address := postgresSchema(b, servers.NeedPostgres(b))
	raw := openRaw(b, "pgx", strings.Replace(address, few+"&", "", 1))
	raw.SetMaxIdleConns(64)
	raw.SetMaxOpenConns(64)
	return strings.Replace(address, few+"&", "", 1), raw, `UPDATE t SET generation = $1, nonce = $2 WHERE id = $3 AND generation = $4`
}

func benchMariaDB(b *testing.B) (string, *sql.DB, string) {
	server := servers.NeedMariaDB(b)
	address := strings.TrimSuffix(mysqlDatabase(b, server), "?"+few)
	raw := openRaw(b, "mysql", "bitjang:secret@tcp("+server.Addr()+")"+address[strings.LastIndex(address, "/"):])
	raw.SetMaxIdleConns(64)
	raw.SetMaxOpenConns(64)
	return address, raw, `UPDATE t SET generation = ?, nonce = ? WHERE id = ? AND generation = ?`
}

// inParallel has each caller do its share of b.N.
func inParallel(b *testing.B, callers int, work func(caller int) error) {
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	b.ResetTimer()
	for caller := range callers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := work(caller); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "refreshes/s")
}

func benchStore(b *testing.B, st *sqlstore.Store, callers int) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	sessions := make([]bitjang.Session, callers)
	for i := range sessions {
		s := &sessions[i]
		s.ID = bitjang.NewSessionID("u")
		s.UserID, s.ClientID, s.Version, s.AMR, s.ACR = "u", "bitjang", 1, []string{"pwd"}, "aal1"
		s.CreatedAt, s.IdleExpiresAt, s.ExpiresAt = now, now.Add(time.Hour), now.Add(time.Hour)
		s.Device.UserAgent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
		if err := st.InsertSession(b.Context(), *s); err != nil {
			b.Fatal(err)
		}
	}
	inParallel(b, callers, func(i int) error {
		s := &sessions[i]
		c := bitjang.Confirmation{ID: s.ID, Generation: s.Generation + 1, Parent: s.Nonce, Now: now, IdleExpiresAt: s.IdleExpiresAt}
		rand.Read(c.Nonce[:])
		moved, err := st.ConfirmSession(b.Context(), c)
		*s = moved
		return err
	})
}

// benchRaw is what the driver does with one small row per commit and nothing
// else around it.
func benchRaw(b *testing.B, db *sql.DB, statement string, callers int) {
	if _, err := db.Exec(`CREATE TABLE t (id INTEGER PRIMARY KEY, generation INTEGER, nonce CHAR(26))`); err != nil {
		b.Fatal(err)
	}
	for i := range callers {
		if _, err := db.Exec(fmt.Sprintf(`INSERT INTO t VALUES (%d, 0, '')`, i)); err != nil {
			b.Fatal(err)
		}
	}
	stmt, err := db.Prepare(statement)
	if err != nil {
		b.Fatal(err)
	}
	generations := make([]int, callers)
	inParallel(b, callers, func(i int) error {
		g := generations[i]
		generations[i]++
		_, err := stmt.Exec(g+1, rand.Text(), i, g)
		return err
	})
}
