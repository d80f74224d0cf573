package servers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// ErrMissing says that a server's program is not installed.
var ErrMissing = errors.New("program not installed")

// startLimit bounds a start under a context without a deadline; recovering
// after a crash on a slow disk is the longest of them.
const startLimit = 60 * time.Second

// Server is one database server: a process, its children, its port and its
// data. Its methods may be called from several goroutines.
type Server struct {
	kind  kind
	home  *home
	alone bool // the home is this server's, and goes when it is closed
	name  string
	data  string
	as    *account // nil: as ourselves

	port    int
	busPort int // Redis Cluster only

	mu     sync.Mutex
	proc   *process
	paused []int
	closed bool
}

// kind is what differs between the servers. Its methods read the Server's name,
// port, data and home, which do not change once it has started.
type kind interface {
	prepare(s *Server) error                                       // writes what depends on the port
	command(s *Server) []string                                    // the server's argument list
	ready(ctx context.Context, s *Server, pid int) error           // whether this process serves
	cli(ctx context.Context, s *Server, in string) (string, error) // as administrator
	url(s *Server) string
	immediate(p *process) error // ends it at once, as its manual says
}

// URL is where and as whom Bitjang connects.
func (s *Server) URL() string { return s.kind.url(s) }

// Addr is the host and port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// DataDir is the folder of the server's files.
func (s *Server) DataDir() string { return s.data }

// PID is the process id of the server's first process, 0 when it does not run.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil || s.proc.ended() {
		return 0
	}
	return s.proc.pid()
}

// running says whether it can be expected to answer.
func (s *Server) running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc != nil && !s.proc.ended() && s.paused == nil
}

// CLI gives input to the server's own client (psql, mariadb, redis-cli) as the
// administrator, in the database bitjang, and returns what it prints: rows
// without headings.
func (s *Server) CLI(ctx context.Context, input string) (string, error) {
	return s.kind.cli(ctx, s, input)
}

// Start starts a server that was killed or stopped, on the same port and data,
// and waits until it answers.
func (s *Server) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	p, err := s.launch()
	if err != nil {
		return err
	}
	if err := s.await(ctx, p); err != nil {
		err = s.failed(err)
		return errors.Join(err, s.Kill())
	}
	return nil
}

func (s *Server) launch() (*process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, fmt.Errorf("%s: closed", s.name)
	case s.proc != nil && !s.proc.ended():
		return nil, fmt.Errorf("%s: already running", s.name)
	}
	log, err := os.OpenFile(s.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the server has its own copy
	argv := s.kind.command(s)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	p, err := s.home.start(cmd, s.as)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	s.proc, s.paused = p, nil
	return p, nil
}

// await asks until the process answers, has ended, or ctx is over.
func (s *Server) await(ctx context.Context, p *process) error {
	for {
		err := s.answers(ctx, p)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("ended before it answered: %v", p.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("no answer: %w: %w", ctx.Err(), err)
		case <-time.After(30 * time.Millisecond):
		}
	}
}

// answers asks once, no longer than the process lives: whoever has taken its
// port may keep a client waiting.
func (s *Server) answers(ctx context.Context, p *process) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	go func() {
		select {
		case <-p.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	return s.kind.ready(ctx, s, p.pid())
}

// first starts a new server. The port was free when it was chosen; where
// somebody else was quicker to take it, one more is tried.
func (s *Server) first(ctx context.Context) error {
	for last := false; ; last = true {
		ports, err := freePorts(2)
		if err != nil {
			return err
		}
		s.port, s.busPort = ports[0], ports[1]
		if err := s.kind.prepare(s); err != nil {
			return s.failed(err)
		}
		err = s.Start(ctx)
		if err == nil || last || (portFree(s.port) && portFree(s.busPort)) {
			return err
		}
	}
}

// Kill ends all processes of the server at once with SIGKILL, as a crash would,
// and waits until they are gone. The data stays for Start.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kill()
}

func (s *Server) kill() error {
	if s.proc == nil {
		return nil
	}
	s.paused = nil
	if err := s.proc.kill(); err != nil {
		return fmt.Errorf("kill %s: %w", s.name, err)
	}
	return nil
}

// Pause stops all processes of the server with SIGSTOP: its connections stay
// open and answer nothing.
func (s *Server) Pause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil || s.proc.ended() {
		return fmt.Errorf("pause %s: not running", s.name)
	}
	if s.paused != nil {
		return nil
	}
	pids, err := s.proc.freeze()
	if err != nil {
		return fmt.Errorf("pause %s: %w", s.name, err)
	}
	s.paused = pids
	s.home.note(s.proc.pid(), pids)
	return nil
}

// Resume lets a paused server go on.
func (s *Server) Resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.resume()
}

func (s *Server) resume() error {
	if s.paused == nil || s.proc.ended() {
		return nil
	}
	if err := s.proc.thaw(s.paused); err != nil {
		return fmt.Errorf("resume %s: %w", s.name, err)
	}
	s.home.note(s.proc.pid(), nil)
	s.paused = nil
	return nil
}

// StopImmediate ends PostgreSQL in its immediate mode (SIGQUIT: no checkpoint,
// recovery at the next start) and the others like Kill.
func (s *Server) StopImmediate(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopImmediate(ctx)
}

func (s *Server) stopImmediate(ctx context.Context) error {
	if s.proc == nil || s.proc.ended() {
		return nil
	}
	if err := s.resume(); err != nil {
		return err
	}
	if err := s.kind.immediate(s.proc); err != nil {
		return fmt.Errorf("stop %s: %w", s.name, err)
	}
	select {
	case <-s.proc.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop %s: %w", s.name, ctx.Err())
	}
}

// Close ends the server and removes its folder. Closing twice is no error.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	// PostgreSQL leaves shared memory behind when it is killed, so it is asked first.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := s.stopImmediate(ctx)
	if err != nil {
		err = s.kill()
	}
	if s.alone {
		err = errors.Join(err, s.home.close())
	}
	return err
}

func (s *Server) logPath() string { return filepath.Join(s.home.path, s.name+".log") }

// Log is the end of what the server logged, for failure messages.
func (s *Server) Log() string {
	const most = 4 << 10
	f, err := os.Open(s.logPath())
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > most {
		_, _ = f.Seek(-most, io.SeekEnd) // failing, the log is shown from its start
	}
	tail, _ := io.ReadAll(io.LimitReader(f, 2*most))
	return string(tail)
}

// failed adds the server's name and log to an error.
func (s *Server) failed(err error) error {
	return fmt.Errorf("%s: %w; its log ends:\n%s", s.name, err, s.Log())
}
