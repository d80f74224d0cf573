package servers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if os.Getenv(doomed) != "" {
		startAndWait()
	}
	m.Run()
	if err := CloseAll(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// say gives a server's client input and wants an output.
func say(t *testing.T, s *Server, input, want string) {
	t.Helper()
	got, err := s.CLI(soon(t), input+"\n")
	if err != nil {
		t.Fatalf("%s: %v\n%s", input, err, s.Log())
	}
	if got = strings.TrimSpace(got); got != want {
		t.Fatalf("%s: got %q, want %q", input, got, want)
	}
}

// family is a process and its descendants, as far as they live.
func family(t *testing.T, pid int) []int {
	t.Helper()
	table, err := processTable()
	must(t, err)
	in := []int{}
	if entry, there := table[pid]; there && !entry.dead {
		in = append(in, pid)
	}
	for i := 0; i < len(in); i++ {
		for child, entry := range table {
			if entry.parent == in[i] && !entry.dead {
				in = append(in, child)
			}
		}
	}
	return in
}

func living(t *testing.T, pids []int) []int {
	t.Helper()
	var alive []int
	for _, pid := range pids {
		alive = append(alive, family(t, pid)...)
	}
	return alive
}

var singles = []struct {
	name        string
	start       func(context.Context) (*Server, error)
	as          func(s *Server) []string // a client that connects as Bitjang does
	write, read string
	durable     string // a question that is answered by
	full        string
}{
	{
		"PostgreSQL",
		func(ctx context.Context) (*Server, error) { return Postgres(ctx) },
		func(s *Server) []string {
			return []string{"psql", "-XAt", s.URL(), "-c", "CREATE TABLE mine (v int)", "-c", "SELECT v FROM t"}
		},
		"CREATE TABLE t (v int); INSERT INTO t VALUES (7); GRANT ALL ON t TO bitjang;", "SELECT v FROM t;",
		"SELECT current_setting('fsync') || current_setting('synchronous_commit') || current_setting('full_page_writes')", "ononon",
	},
	{
		"MariaDB",
		func(ctx context.Context) (*Server, error) { return MariaDB(ctx) },
		func(s *Server) []string {
			return []string{"mariadb", "--no-defaults", "-NB", "-h127.0.0.1", "-P" + strconv.Itoa(s.port), "-ubitjang", "-psecret", "bitjang",
				"-e", "CREATE DATABASE bitjang_more; CREATE TABLE mine (v int); SELECT v FROM t"}
		},
		"CREATE TABLE t (v int); INSERT INTO t VALUES (7);", "SELECT v FROM t;",
		"SELECT @@innodb_flush_log_at_trx_commit, @@innodb_doublewrite, @@character_set_database", "1\t1\tutf8mb4",
	},
	{
		"Redis",
		func(ctx context.Context) (*Server, error) { return Redis(ctx, RedisOptions{}) },
		func(s *Server) []string { return []string{"redis-cli", "-u", s.URL(), "GET", "k"} },
		"SET k 7", "GET k",
		"CONFIG GET appendonly\nCONFIG GET appendfsync", "appendonly\nyes\nappendfsync\neverysec",
	},
}

func TestSingleServers(t *testing.T) {
	for _, tt := range singles {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			s := Own(t, tt.start)
			t.Logf("started in %v", time.Since(began))
			t.Run("keeps the durability of its defaults", func(t *testing.T) { say(t, s, tt.durable, tt.full) })
			_, err := s.CLI(soon(t), tt.write+"\n")
			must(t, err)
			t.Run("lets Bitjang in by its URL", func(t *testing.T) {
				argv := tt.as(s)
				out, err := exec.CommandContext(soon(t), argv[0], argv[1:]...).CombinedOutput()
				if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "7") {
					t.Fatalf("%v: %v %q", argv, err, out)
				}
			})
			t.Run("keeps what was written when killed", func(t *testing.T) {
				before := family(t, s.PID())
				must(t, s.Kill())
				if left := living(t, before); len(left) > 0 {
					t.Errorf("processes %v of %v are left", left, before)
				}
				restart(t, s)
				say(t, s, tt.read, "7")
			})
			t.Run("keeps what was written when stopped", func(t *testing.T) {
				must(t, s.StopImmediate(soon(t)))
				restart(t, s)
				say(t, s, tt.read, "7")
			})
			t.Run("is silent while paused", func(t *testing.T) { pause(t, s, tt.read) })
			t.Run("leaves nothing behind", func(t *testing.T) {
				before := family(t, s.PID())
				must(t, s.Close())
				if left := living(t, before); len(left) > 0 {
					t.Errorf("processes %v of %v are left", left, before)
				}
				if _, err := os.Stat(filepath.Dir(s.DataDir())); !os.IsNotExist(err) {
					t.Errorf("the folder is left: %v", err)
				}
				if err := s.Start(soon(t)); err == nil {
					t.Error("a closed server started")
				}
			})
		})
	}
}

func restart(t *testing.T, s *Server) {
	t.Helper()
	address := s.Addr()
	began := time.Now()
	must(t, s.Start(soon(t)))
	t.Logf("restarted in %v", time.Since(began))
	if s.Addr() != address {
		t.Errorf("moved from %s to %s", address, s.Addr())
	}
}

func pause(t *testing.T, s *Server, question string) {
	t.Helper()
	must(t, s.Pause())
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if out, err := s.CLI(ctx, question+"\n"); err == nil {
		t.Errorf("answered %q", out)
	}
	must(t, s.Resume())
	say(t, s, question, "7")

	must(t, s.Pause())
	must(t, s.Kill())
	restart(t, s)
	say(t, s, question, "7")
}

func TestKillReachesBusyBackends(t *testing.T) {
	t.Parallel()
	s := Own(t, func(ctx context.Context) (*Server, error) { return Postgres(ctx, "log_connections=on") })
	idle := len(family(t, s.PID()))
	done := make(chan error, 1)
	go func() {
		_, err := s.CLI(context.Background(), "SELECT pg_sleep(60)\n")
		done <- err
	}()
	for len(family(t, s.PID())) <= idle || !strings.Contains(s.Log(), "database=bitjang") {
		time.Sleep(10 * time.Millisecond)
	}
	before := family(t, s.PID())
	must(t, s.Kill())
	if left := living(t, before); len(left) > 0 {
		t.Errorf("processes %v of %v are left", left, before)
	}
	if err := <-done; err == nil {
		t.Error("the query ended well")
	}
}
