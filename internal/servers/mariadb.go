package servers

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

type mariadb struct {
	mariadbd, install, client, admin string
	settings                         []string
}

// MariaDB starts MariaDB. Settings are options of mariadbd, as in
// "innodb-flush-log-at-trx-commit=2". Bitjang's user has all rights on the
// database bitjang and on all whose names start with bitjang_; root may do all,
// through CLI.
func MariaDB(ctx context.Context, settings ...string) (*Server, error) {
	k := &mariadb{settings: settings}
	for _, p := range []struct {
		to   *string
		name string
	}{{&k.mariadbd, "mariadbd"}, {&k.install, "mariadb-install-db"}, {&k.client, "mariadb"}, {&k.admin, "mariadb-admin"}} {
		path, err := program("mariadb-server", p.name)
		if err != nil {
			return nil, err
		}
		*p.to = path
	}
	return single(ctx, "mariadb", k, nil, k.create)
}

// options are those that the server and its installer share. --no-defaults must
// be the first: the machine's own configuration is for the machine's own server.
func (k *mariadb) options(s *Server) []string {
	options := []string{"--no-defaults", "--datadir=" + s.data, "--skip-name-resolve"}
	if os.Geteuid() == 0 {
		options = append(options, "--user=root") // it wants to be told that this is meant
	}
	return options
}

// create makes the data folder, before the first start. Only the installer is
// spared the syncing, which is most of its time; the server syncs as it always
// does.
func (k *mariadb) create(ctx context.Context, s *Server) error {
	args := append(k.options(s), "--auth-root-authentication-method=normal", "--skip-test-db", "--debug-no-sync")
	_, err := s.home.run(ctx, s.as, exec.Command(k.install, args...))
	return err
}

func (k *mariadb) prepare(*Server) error { return nil }

func (k *mariadb) socket(s *Server) string { return filepath.Join(s.home.path, s.name+".sock") }

func (k *mariadb) command(s *Server) []string {
	argv := append([]string{k.mariadbd}, k.options(s)...)
	argv = append(argv, "--socket="+k.socket(s), "--pid-file="+filepath.Join(s.home.path, s.name+".pid"),
		"--port="+strconv.Itoa(s.port), "--bind-address=127.0.0.1",
		"--character-set-server=utf8mb4", "--max-connections=200")
	for _, setting := range k.settings {
		argv = append(argv, "--"+setting)
	}
	return argv
}

// ready asks on the socket in our own folder: on the port somebody else could answer.
func (k *mariadb) ready(ctx context.Context, s *Server, _ int) error {
	_, err := s.home.run(ctx, s.as, exec.Command(k.admin, "--no-defaults", "--socket="+k.socket(s), "--user=root", "ping"))
	return err
}

func (k *mariadb) cli(ctx context.Context, s *Server, input string) (string, error) {
	return k.query(ctx, s, "bitjang", input)
}

func (k *mariadb) query(ctx context.Context, s *Server, database, input string) (string, error) {
	cmd := exec.Command(k.client, "--no-defaults", "--socket="+k.socket(s), "--user=root",
		"--batch", "--skip-column-names", "--default-character-set=utf8mb4", database)
	cmd.Stdin = strings.NewReader(input)
	return s.home.run(ctx, s.as, cmd)
}

func (k *mariadb) populate(ctx context.Context, s *Server) error {
	_, err := k.query(ctx, s, "mysql", "CREATE DATABASE bitjang;\n"+
		"CREATE USER 'bitjang'@'%' IDENTIFIED BY 'secret';\n"+
		"GRANT ALL ON *.* TO 'bitjang'@'%';\n"+
		"GRANT ALL ON *.* TO 'bitjang'@'%';\n")
	return err
}

func (k *mariadb) url(s *Server) string { return "mysql://bitjang:secret@" + s.Addr() + "/bitjang" }

func (k *mariadb) immediate(p *process) error { return p.kill() }
