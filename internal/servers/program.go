package servers

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
)

// program finds the first of the named programs: in PATH, or where Debian
// installs servers although not every user's PATH says so.
func program(install string, names ...string) (string, error) {
	if runtime.GOOS == "windows" {
		return "", fmt.Errorf("%s: %w: it needs Unix", names[0], ErrMissing)
	}
	for _, name := range names {
		for _, candidate := range []string{name, "/usr/sbin/" + name} {
			if path, err := exec.LookPath(candidate); err == nil {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("%s: %w (hint: make deps, or on Debian apt-get install %s)", names[0], ErrMissing, install)
}

// postgresPrograms is the folder of PostgreSQL's programs. Debian keeps those of
// the server out of PATH, in a folder per version; the newest is taken. The
// clients are taken from there too: those that Debian has in PATH are slow
// scripts that look for the machine's own server.
func postgresPrograms() (string, error) {
	path, err := program("postgresql", "postgres")
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
		return filepath.Dir(path), err
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres") // the pattern is well formed
	if len(found) == 0 {
		return "", err
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
}
