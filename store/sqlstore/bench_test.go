package sqlstore_test

import (
	"crypto/rand"
	"database/sql"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
)

// BenchmarkRefresh compares refreshes per second in the store alone, callers
// sharing commits, with the raw driver committing one row per call. One
// operation is one durable refresh.
func BenchmarkRefresh(b *testing.B) {
	for _, callers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("store/callers=%d", callers), func(b *testing.B) { benchStore(b, callers) })
		b.Run(fmt.Sprintf("raw/callers=%d", callers), func(b *testing.B) { benchRaw(b, callers) })
	}
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

func benchStore(b *testing.B, callers int) {
	st := open(b, filepath.Join(b.TempDir(), "b.db"))
	now := time.Now().UTC().Truncate(time.Millisecond)
	sessions := make([]bitjang.Session, callers)
	for i := range sessions {
		s := &sessions[i]
		rand.Read(s.ID[:])
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
func benchRaw(b *testing.B, callers int) {
	name := filepath.Join(b.TempDir(), "raw.db")
	db, err := sql.Open("sqlite", "file:"+name+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(`CREATE TABLE t (id INTEGER PRIMARY KEY, generation INTEGER, nonce BLOB)`); err != nil {
		b.Fatal(err)
	}
	for i := range callers {
		if _, err := db.Exec(`INSERT INTO t VALUES (?, 0, x'00')`, i); err != nil {
			b.Fatal(err)
		}
	}
	stmt, err := db.Prepare(`UPDATE t SET generation = ?, nonce = ? WHERE id = ? AND generation = ? RETURNING id`)
	if err != nil {
		b.Fatal(err)
	}
	generations := make([]int, callers)
	inParallel(b, callers, func(i int) error {
		var nonce bitjang.Nonce
		rand.Read(nonce[:])
		g := generations[i]
		generations[i]++
		return stmt.QueryRow(g+1, nonce[:], i, g).Scan(new(int))
	})
}
