package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/servers"
)

// TestTamperingShowsInEveryDatabase changes rows behind the store's back.
func TestTamperingShowsInEveryDatabase(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "x.db")
		tamper(t, "sqlite:"+file, "sqlite", file)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		address := postgresSchema(t, servers.NeedPostgres(t))
		tamper(t, address, "pgx", strings.Replace(address, "&"+few, "", 1))
	})
	t.Run("MariaDB", func(t *testing.T) {
		server := servers.NeedMariaDB(t)
		address := mysqlDatabase(t, server)
		name := strings.TrimSuffix(address[strings.LastIndex(address, "/")+1:], "?"+few)
		tamper(t, address, "mysql", "bitjang:secret@tcp("+server.Addr()+")/"+name)
	})
}

func tamper(t *testing.T, address, driver, dsn string) {
	t.Parallel()
	st := openAt(t, address)
	config := bitjang.Config{Issuer: "https://auth.example.com", MasterKeys: []bitjang.Secret{bitjang.NewMasterKey()}, Store: st}
	svc, err := bitjang.New(config)
	if err != nil {
		t.Fatal(err)
	}
	const lines = 20
	for i := range lines {
		e := bitjang.Event{At: time.Now().Add(-time.Minute), Type: bitjang.EventLogin, UserID: "u", UserAgent: "빗장 '\" \\", Reason: fmt.Sprint(i)}
		if err := st.InsertEvents(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	found := func() (bitjang.AuditReport, string) {
		t.Helper()
		r, err := svc.VerifyAudit(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		var words []string
		for _, p := range r.Problems {
			words = append(words, fmt.Sprint(p.What, " ", p.ID))
		}
		return r, strings.Join(words, ", ")
	}
	sealByTwo(t, config, func() bool { r, _ := found(); return r.Sealed == lines })
	if _, got := found(); got != "" {
		t.Fatalf("got %s, want nothing wrong yet", got)
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, step := range []struct{ statement, want string }{
		{"UPDATE events SET reason = 'otp' WHERE id = 10", "changed 10"},
		{"UPDATE events SET reason = '9' WHERE id = 10", ""},
		{"UPDATE events SET seal = (SELECT seal FROM (SELECT seal FROM events WHERE id = 5) AS other) WHERE id = 6", "changed 6, missing before 7"},
		{"DELETE FROM events WHERE id = 6", "missing before 7"},
		{"INSERT INTO events (at, type, user_id, session_id, ip, user_agent, reason, count, detail, seal) " +
			"SELECT at, type, user_id, session_id, ip, user_agent, reason, count, detail, seal FROM events WHERE id = 12", "missing before 7, changed 21"},
	} {
		if _, err := db.ExecContext(t.Context(), step.statement); err != nil {
			t.Fatalf("%s: %v", step.statement, err)
		}
		if _, got := found(); got != step.want {
			t.Errorf("after %s: got %q, want %q", step.statement, got, step.want)
		}
	}
}

// sealByTwo has two nodes at work until all is sealed.
func sealByTwo(t *testing.T, config bitjang.Config, done func() bool) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	for range 2 {
		node, err := bitjang.New(config)
		if err != nil {
			t.Fatal(err)
		}
		go func() { ended <- node.Run(ctx) }()
	}
	defer func() { stop(); <-ended; <-ended }()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not sealed within a minute")
		}
	}
}
