package servers

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

type postgres struct {
	bin      string // the folder of its programs
	settings []string
}

// Postgres starts PostgreSQL. Settings are those of postgresql.conf, as in
// "synchronous_commit=off". Bitjang's role owns its database and may create
// others; the role postgres may do all, through CLI.
func Postgres(ctx context.Context, settings ...string) (*Server, error) {
	bin, err := postgresPrograms()
	if err != nil {
		return nil, err
	}
	k := &postgres{bin: bin, settings: settings}
	as, err := unprivileged("postgres")
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	return single(ctx, "postgres", k, as, k.create)
}

// create makes the data folder, before the first start. Only initdb itself is
// spared the syncing; the server syncs as it always does.
func (k *postgres) create(ctx context.Context, s *Server) error {
	_, err := s.home.run(ctx, s.as, k.program("initdb", "--pgdata", s.data, "--username=postgres",
		"--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync"))
	return err
}

func (k *postgres) program(name string, args ...string) *exec.Cmd {
	return exec.Command(filepath.Join(k.bin, name), args...)
}

func (k *postgres) prepare(*Server) error { return nil }

func (k *postgres) command(s *Server) []string {
	argv := []string{filepath.Join(k.bin, "postgres"), "-D", s.data, "-p", strconv.Itoa(s.port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + s.data, "-c", "max_connections=200",
		// A killed server leaves its dynamic shared memory in /dev/shm. Its
		// statistics need one megabyte of it, which is taken in advance here, from
		// memory that ends with the server.
		"-c", "min_dynamic_shared_memory=4MB"}
	for _, setting := range k.settings {
		argv = append(argv, "-c", setting)
	}
	return argv
}

// ready asks on the socket in our own folder: on the port somebody else could answer.
func (k *postgres) ready(ctx context.Context, s *Server, _ int) error {
	_, err := s.home.run(ctx, s.as, k.program("pg_isready", "-q", "-h", s.data, "-p", strconv.Itoa(s.port)))
	return err
}

func (k *postgres) cli(ctx context.Context, s *Server, input string) (string, error) {
	return k.query(ctx, s, "bitjang", input)
}

func (k *postgres) query(ctx context.Context, s *Server, database, input string) (string, error) {
	cmd := k.program("psql", "-h", s.data, "-p", strconv.Itoa(s.port), "-U", "postgres", "-d", database,
		"--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "-v", "ON_ERROR_STOP=1")
	cmd.Stdin = strings.NewReader(input)
	return s.home.run(ctx, s.as, cmd)
}

func (k *postgres) populate(ctx context.Context, s *Server) error {
	_, err := k.query(ctx, s, "postgres", "CREATE ROLE bitjang LOGIN CREATEDB PASSWORD 'secret';\n"+
		"CREATE DATABASE bitjang OWNER bitjang;\n")
	return err
}

func (k *postgres) url(s *Server) string {
	return "postgres://bitjang:secret@" + s.Addr() + "/bitjang?sslmode=disable"
}

func (k *postgres) immediate(p *process) error { return p.cmd.Process.Signal(signalQuit) }
