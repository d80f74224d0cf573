package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for something that does happen, on a busy machine
// too. No test passes because it is over.
const patience = 30 * time.Second

// programs builds what the tests run, each program once.
type programs struct {
	bitjang, caddy func() (string, error)
}

func newPrograms(dir string) programs {
	build := func(name, module, pkg string) func() (string, error) {
		return sync.OnceValues(func() (string, error) {
			binary := filepath.Join(dir, name)
			cmd := exec.Command("go", "build", "-o", binary, pkg)
			cmd.Dir = module
			if out, err := cmd.CombinedOutput(); err != nil {
				return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
			}
			return binary, nil
		})
	}
	return programs{bitjang: build("bitjang", "..", "./cmd/bitjang"), caddy: build("caddy", ".", "./caddy")}
}

// process is a program under test.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
	err    error // how it ended, once exited is closed
}

// start runs a program and stops it at the end of the test, passed or failed.
func start(t *testing.T, log *logBuffer, env []string, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(name, args...), exited: make(chan struct{})}
	p.cmd.Stderr = log
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = dieWithUs()
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(p.kill)
	return p
}

// kill is kill -9.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may be gone already
	<-p.exited
}

// terminate asks the process to stop.
func (p *process) terminate(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("send SIGTERM: %v", err)
	}
}

// wait waits for the process to stop by itself, without an error.
func (p *process) wait(t *testing.T) {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		t.Fatal("got a process that does not stop")
	}
	if p.err != nil {
		t.Errorf("got a process that ended with %v, want exit code 0", p.err)
	}
}

// until waits until ready answers nil, and fails if the process ends first.
func (p *process) until(t *testing.T, what string, ready func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if err = ready(); err == nil {
			return
		}
		select {
		case <-p.exited:
			t.Fatalf("%s: the process ended: %v", what, p.err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatalf("%s: %v", what, err)
}

// logBuffer collects what processes write.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// newLog returns a log that a failed test shows.
func newLog(t *testing.T, name string) *logBuffer {
	l := &logBuffer{}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s wrote:\n%s", name, l.tail())
		}
	})
	return l
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logBuffer) tail() string {
	text := l.String()
	if most := 8 << 10; len(text) > most {
		return "..." + text[len(text)-most:]
	}
	return text
}

// ports hands out ports below those the system gives to outgoing connections:
// while a killed server is away, nobody else must get its port.
type ports struct {
	mu   sync.Mutex
	used map[int]bool
}

func (p *ports) free(t *testing.T) int {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for range 1000 {
		port := 15000 + rand.IntN(15000)
		if p.used[port] {
			continue
		}
		p.used[port] = true
		l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		} else if err != nil {
			t.Fatalf("look for a free port: %v", err)
		}
		_ = l.Close()
		return port
	}
	t.Fatal("no free port")
	return 0
}
