package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/servers"
)

// serverDatabase is a database server, and how to reach one of its databases by
// the store and around it.
type serverDatabase struct {
	name    string
	prepare func(t *testing.T) (address string, raw *sql.DB)
}

var serverDatabases = []serverDatabase{
	{"postgres", func(t *testing.T) (string, *sql.DB) {
		address := postgresSchema(t, servers.NeedPostgres(t))
		return address, openAround(t, "pgx", strings.Replace(address, few+"&", "", 1))
	}},
	{"mariadb", func(t *testing.T) (string, *sql.DB) {
		server := servers.NeedMariaDB(t)
		address := mysqlDatabase(t, server)
		name := address[strings.LastIndex(address, "/"):strings.LastIndex(address, "?")]
		return address, openAround(t, "mysql", "bitjang:secret@tcp("+server.Addr()+")"+name)
	}},
}

func openAround(t *testing.T, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func someSession(user string, last byte) bitjang.Session {
	s := bitjang.Session{ID: bitjang.NewSessionID(user), UserID: user, Version: 1}
	s.ID[15] = last
	clear(s.ID[1:15])
	s.ExpiresAt = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	s.IdleExpiresAt = s.ExpiresAt
	return s
}

// TestADeadlockIsTriedAgain has somebody else hold the second of two rows and
// then ask for the first, which ending both sessions has by then. One of the
// two is thrown out by the server; the store must not be the one that is seen
// to fail.
func TestADeadlockIsTriedAgain(t *testing.T) {
	for _, db := range serverDatabases {
		t.Run(db.name, func(t *testing.T) {
			t.Parallel()
			address, raw := db.prepare(t)
			st := openAt(t, address)
			one, two := someSession("u", 1), someSession("u", 2)
			two.Version = 2 // how to name it in the statements below
			for _, s := range []bitjang.Session{one, two} {
				if err := st.InsertSession(t.Context(), s); err != nil {
					t.Fatal(err)
				}
			}
			other, err := raw.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			// More rows to undo, so that MariaDB throws out the store.
			for i := range 20 {
				if err := st.InsertSession(t.Context(), someSession("v", byte(i))); err != nil {
					t.Fatal(err)
				}
			}
			touch := func(where string) error {
				_, err := other.ExecContext(t.Context(), "UPDATE sessions SET acr = 'x' WHERE "+where)
				return err
			}
			if err := errors.Join(touch("user_id = 'v'"), touch("version = 2")); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error)
			go func() {
				_, err := st.EndSessions(t.Context(), bitjang.EndFilter{UserID: "u", At: time.Now(), Reason: bitjang.EndedByLogoutAll})
				ended <- err
			}()
			time.Sleep(200 * time.Millisecond) // until it waits for the second row
			otherErr := touch("user_id = 'u' AND version = 1")
			_ = other.Rollback()
			if err := <-ended; err != nil {
				t.Errorf("got %v, want the deadlock to go unnoticed (the other side got %v)", err, otherErr)
			}
		})
	}
}

// TestAServerThatHangsIsAnOutage stops a server in its tracks. Every call must
// come back with an error that is none of the contract's, and all must work
// again once the server does.
func TestAServerThatHangsIsAnOutage(t *testing.T) {
	for name, start := range map[string]func(context.Context) (*servers.Server, error){
		"postgres": func(ctx context.Context) (*servers.Server, error) { return servers.Postgres(ctx) },
		"mariadb":  func(ctx context.Context) (*servers.Server, error) { return servers.MariaDB(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := servers.Own(t, start)
			address := server.URL() + "?timeout=1s"
			if strings.Contains(server.URL(), "?") {
				address = server.URL() + "&timeout=1s"
			}
			st := openAt(t, address)
			s := someSession("u", 1)
			if err := st.InsertSession(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			if err := server.Pause(); err != nil {
				t.Fatal(err)
			}
			var calls sync.WaitGroup
			for what, call := range map[string]func() error{
				"Session": func() error { _, err := st.Session(t.Context(), s.ID); return err },
				"ConfirmSession": func() error {
					_, err := st.ConfirmSession(t.Context(), bitjang.Confirmation{ID: s.ID, Generation: 1})
					return err
				},
				"UpdateSession": func() error { return st.UpdateSession(t.Context(), s, nil) },
				"EndSessions": func() error {
					_, err := st.EndSessions(t.Context(), bitjang.EndFilter{UserID: "u"})
					return err
				},
				"Revocations": func() error { _, _, err := st.Revocations(t.Context(), "", 1); return err },
				"User":        func() error { _, err := st.User(t.Context(), "u"); return err },
			} {
				calls.Go(func() {
					err := call()
					if err == nil || errors.Is(err, bitjang.ErrConflict) || errors.Is(err, bitjang.ErrNotFound) {
						t.Errorf("%s while the server hangs: got %v, want an outage", what, err)
					}
				})
			}
			calls.Wait()
			if err := server.Resume(); err != nil {
				t.Fatal(err)
			}
			var err error
			for range 20 {
				if _, err = st.Session(t.Context(), s.ID); err == nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
			t.Errorf("after the server went on: %v", err)
		})
	}
}
