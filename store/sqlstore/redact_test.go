package sqlstore

import "testing"

func TestRedactLeavesNoPassword(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"sqlite:data/b.db":                              "data/b.db",
		"postgres://ann:hunter2%21x@db:5432/x":          "postgres://ann:xxxxx@db:5432/x",
		"postgres://db/x?user=ann&password=hunter2%21x": "postgres://db/x",
		"mysql://ann@db/x":                              "mysql://ann@db/x",
		"postgres://ann:hunter2%zz@db/x":                "postgres://…",
		"mysql://ann:hunter2%21x@db/x?ca=/etc/ca.pem":   "mysql://ann:xxxxx@db/x",
	} {
		if got := redact(address); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
