package sqlstore_test

import (
	"path/filepath"
	"testing"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/store/sqlstore"
	"github.com/bitjang/bitjang/store/storetest"
)

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) bitjang.Store { return open(t, filepath.Join(t.TempDir(), "b.db")) })
}

func open(t testing.TB, path string) *sqlstore.Store {
	t.Helper()
	st, err := sqlstore.Open(t.Context(), "sqlite:"+path)
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
