package servers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// doomed tells a copy of this test binary to start servers and wait for its end.
const doomed = "BITJANG_SERVERS_DOOMED"

// startAndWait prints the folder, the processes and the keeper of each server.
func startAndWait() {
	for _, start := range []func(context.Context) (*Server, error){
		func(ctx context.Context) (*Server, error) { return Redis(ctx, RedisOptions{}) },
		func(ctx context.Context) (*Server, error) { return Postgres(ctx) },
	} {
		s, err := start(context.Background())
		if err != nil {
			fmt.Println("cannot:", err)
			os.Exit(1)
		}
		children := []int{s.PID()}
		if err := s.Pause(); err == nil {
			children = s.paused
		}
		if os.Getenv(doomed) != "paused" {
			if err := s.Resume(); err != nil {
				fmt.Println("cannot:", err)
			}
		}
		fmt.Println(s.home.path, s.home.keeper.Process.Pid, strings.Trim(fmt.Sprint(children), "[]"))
	}
	fmt.Println("ready")
	time.Sleep(time.Minute)
	os.Exit(0)
}

// TestNothingOutlivesAKilledTestBinary kills a test binary that started servers.
func TestNothingOutlivesAKilledTestBinary(t *testing.T) {
	short(t)
	for _, tt := range []struct {
		name, mode string
		keepers    bool // killed first: then the kernel is alone with the task
	}{
		{"running servers end", "running", false},
		{"paused servers end", "paused", false},
		{"running servers end without the keepers", "running", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.keepers && runtime.GOOS != "linux" {
				t.Skip("only Linux ends processes with their parent")
			}
			d := startDoomed(t, tt.mode)
			if tt.keepers {
				for _, pid := range d.keepers {
					must(t, signal(pid, os.Kill))
				}
			}
			must(t, d.cmd.Process.Kill())
			_ = d.cmd.Wait() // it was killed
			if err := gone(d.servers); err != nil {
				t.Error(err)
			}
			for _, folder := range d.folders {
				if tt.keepers {
					must(t, os.RemoveAll(folder))
					continue
				}
				must(t, poll(soon(t), func() error {
					if _, err := os.Stat(folder); !os.IsNotExist(err) {
						return fmt.Errorf("%s is left: %v", folder, err)
					}
					return nil
				}))
			}
		})
	}
}

type doomedBinary struct {
	cmd              *exec.Cmd
	folders          []string
	keepers, servers []int
}

func startDoomed(t *testing.T, mode string) *doomedBinary {
	t.Helper()
	d := &doomedBinary{cmd: exec.Command(os.Args[0])}
	d.cmd.Env = append(os.Environ(), doomed+"="+mode)
	out, err := d.cmd.StdoutPipe()
	must(t, err)
	must(t, d.cmd.Start())
	t.Cleanup(func() { _ = d.cmd.Process.Kill() }) // usually it is dead
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "ready" {
			return d
		}
		if strings.Contains(lines.Text(), ErrMissing.Error()) && os.Getenv("CI") == "" {
			t.Skip(lines.Text())
		}
		words := strings.Fields(lines.Text())
		if len(words) < 3 || words[0] == "cannot:" {
			t.Fatal(lines.Text())
		}
		d.folders = append(d.folders, words[0])
		for i, word := range words[1:] {
			pid, err := strconv.Atoi(word)
			must(t, err)
			if i == 0 {
				d.keepers = append(d.keepers, pid)
			} else {
				d.servers = append(d.servers, pid)
			}
		}
	}
	t.Fatal("the doomed test binary ended early")
	return nil
}

// thief takes the port that was chosen, the first time.
type thief struct {
	*redis
	stolen net.Listener
}

func (k *thief) prepare(s *Server) error {
	if k.stolen == nil {
		var err error
		if k.stolen, err = listen(s.port); err != nil {
			return err
		}
	}
	return k.redis.prepare(s)
}

func TestALostPortIsReplaced(t *testing.T) {
	t.Parallel()
	k := &thief{}
	s := Own(t, func(ctx context.Context) (s *Server, err error) {
		if k.redis, err = newRedis(RedisOptions{}); err != nil {
			return nil, err
		}
		return single(ctx, "thief", k, nil, nil)
	})
	defer k.stolen.Close()
	if s.Addr() == k.stolen.Addr().String() {
		t.Errorf("both are at %s", s.Addr())
	}
	say(t, s, "PING", "PONG")
}

func TestAFailedStartShowsTheLog(t *testing.T) {
	t.Parallel()
	short(t)
	s, err := Redis(soon(t), RedisOptions{Extra: "no-such-directive yes"})
	if errors.Is(err, ErrMissing) {
		started(t, err)
	}
	if err == nil {
		s.Close()
		t.Fatal("started")
	}
	if !strings.Contains(err.Error(), "no-such-directive") {
		t.Errorf("got %v, want the log in it", err)
	}
}

// witness is a test that notes how it ended.
type witness struct {
	testing.TB
	skipped, failed string
}

func (w *witness) Helper()        {}
func (w *witness) Skip(a ...any)  { w.skipped = fmt.Sprint(a...); runtime.Goexit() }
func (w *witness) Fatal(a ...any) { w.failed = fmt.Sprint(a...); runtime.Goexit() }

func (w *witness) run(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

func TestAMissingServerSkipsAndFailsUnderCI(t *testing.T) {
	short(t)
	t.Setenv("PATH", t.TempDir())
	missing := func(w *witness) func() {
		return func() {
			Own(w, func(context.Context) (*Server, error) { return Redis(context.Background(), RedisOptions{}) })
		}
	}
	t.Setenv("CI", "")
	w := &witness{TB: t}
	if w.run(missing(w)); !strings.Contains(w.skipped, "redis-server") || w.failed != "" {
		t.Errorf("without CI: skipped %q, failed %q", w.skipped, w.failed)
	}
	t.Setenv("CI", "true")
	w = &witness{TB: t}
	if w.run(missing(w)); !strings.Contains(w.failed, "redis-server") || w.skipped != "" {
		t.Errorf("with CI: skipped %q, failed %q", w.skipped, w.failed)
	}
}

func TestNeedStartsOnce(t *testing.T) {
	t.Parallel()
	first, second := NeedRedis(t), NeedRedis(t)
	if first != second {
		t.Errorf("two servers at %s and %s", first.Addr(), second.Addr())
	}
	say(t, second, "PING", "PONG")
}
