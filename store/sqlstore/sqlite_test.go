package sqlstore_test

import (
	"path/filepath"
	"testing"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/store/storetest"
)

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) bitjang.Store { return openAt(t, "sqlite:"+filepath.Join(t.TempDir(), "b.db")) })
}
