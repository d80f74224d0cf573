package sqlstore_test

import (
	"crypto/rand"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/servers"
	"github.com/bitjang/bitjang/store/sqlstore"
	"github.com/bitjang/bitjang/store/storetest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := servers.CloseAll(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func TestPostgres(t *testing.T) {
	server := servers.NeedPostgres(t)
	storetest.Run(t, func(t *testing.T) bitjang.Store { return openAt(t, postgresSchema(t, server)) })
}

func TestMariaDB(t *testing.T) {
	server := servers.NeedMariaDB(t)
	storetest.Run(t, func(t *testing.T) bitjang.Store { return openAt(t, mysqlDatabase(t, server)) })
}

// few keeps many stores that are open at once below the server's limit.
const few = "pool_max_conns=4"

// postgresSchema makes an empty schema and returns its address.
func postgresSchema(t testing.TB, server *servers.Server) string {
	t.Helper()
	name := strings.ToLower("s" + rand.Text())
	do(t, "pgx", server.URL(), "CREATE SCHEMA "+name)
	return server.URL() + "&" + few + "&search_path=" + name
}

// mysqlDatabase makes an empty database and returns its address.
func mysqlDatabase(t testing.TB, server *servers.Server) string {
	t.Helper()
	name := "s" + rand.Text()
	do(t, "mysql", "bitjang:secret@tcp("+server.Addr()+")/", "CREATE DATABASE "+name)
	return strings.TrimSuffix(server.URL(), "/bitjang") + "/" + name + "?" + few
}

func do(t testing.TB, driver, dsn, statement string) {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func openAt(t testing.TB, address string) *sqlstore.Store {
	t.Helper()
	st, err := sqlstore.Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}
