package sqlstore_test

import (
	"strings"
	"testing"

	"github.com/bitjang/bitjang/store/sqlstore"
)

const hidden = "hunter2%21x"

func TestAnAddressThatCannotBeUsedIsAnErrorWithoutThePassword(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ address, says string }{
		{"", "an address begins with"},
		{"sqlite:", "an address begins with"},
		{"oracle://ann:" + hidden + "@db/x", "an address begins with"},
		{"ann:" + hidden + "@db/x", "an address begins with"},
		{"postgres:///bitjang", "names no host"},
		{"postgres://ann:" + hidden + "@db:port/x", "not a URL"},
		{"postgres://ann:hunter2!x@db:5432:5433/x", "invalid port"},
		{"postgres://ann:hunter2!x%zz@db/x", "not a URL"},
		{"postgres://ann:" + hidden + "@127.0.0.1:1/x?timeout=soon", "timeout"},
		{"postgres://ann:" + hidden + "@127.0.0.1:1/x?timeout=-1s", "timeout"},
		{"postgres://ann:" + hidden + "@127.0.0.1:1/x?pool_max_conns=1", "pool_max_conns"},
		{"postgres://ann:" + hidden + "@127.0.0.1:1/x?sslmode=maybe", "sslmode"},
		{"postgres://ann:" + hidden + "@127.0.0.1:1/x", "refused"},
		{"postgres://127.0.0.1:1/x?user=ann&password=" + hidden, "refused"},
		{"mysql://ann:" + hidden + "@127.0.0.1:1/x?charset=latin1", "no such parameter: charset"},
		{"mysql://ann:" + hidden + "@127.0.0.1:1/x?tls=perhaps", "perhaps"},
		{"mysql://ann:" + hidden + "@127.0.0.1:1/x?ca=/does/not/exist", "no such file"},
		{"mariadb://ann:" + hidden + "@127.0.0.1:1/x", "refused"},
	} {
		st, err := sqlstore.Open(t.Context(), tt.address)
		if err == nil {
			t.Errorf("%s: opened", tt.address)
			_ = st.Close()
			continue
		}
		if !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %q, want it to say %q", tt.address, err, tt.says)
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got an error with the password: %v", err)
		}
	}
}
