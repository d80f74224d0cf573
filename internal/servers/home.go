package servers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// home is the folder of a server or a group, and the promise that neither the
// folder nor a process in it outlives this program. A small shell process of
// its own session holds the other end of a pipe; when the pipe closes, by close
// or because this program died in any way, it kills the processes it was last
// told of and removes the folder. On Linux the kernel kills them as well, see
// spawner; but it leaves the folder, and the paused children of a PostgreSQL.
type home struct {
	path string

	mu     sync.Mutex
	live   map[int][]int // by the id of a started process: its children, if known
	keeper *exec.Cmd
	pipe   io.WriteCloser
	closed bool
}

// keeperScript reads lines of what to kill; the last one counts. A server that
// is still dying may write while its folder is being removed, so it tries again.
const keeperScript = `trap '' HUP INT TERM
while read -r line; do pids=$line; done
[ -z "$pids" ] || kill -KILL $pids
for try in 1 2 3 4 5 6 7 8 9 10; do rm -rf -- "$1" && exit; sleep 0.2; done`

func newHome(kind string) (*home, error) {
	path, err := os.MkdirTemp("", "bitjang-"+kind+"-")
	if err != nil {
		return nil, err
	}
	h := &home{path: path, live: map[int][]int{}}
	h.keeper = exec.Command("/bin/sh", "-c", keeperScript, "sh", path)
	h.keeper.Dir = "/"
	h.keeper.SysProcAttr = ownSession()
	h.pipe, err = h.keeper.StdinPipe()
	if err == nil {
		err = h.keeper.Start()
	}
	if err == nil {
		// Servers that refuse to run as root run as another user, who must get
		// through to its own folder in here.
		err = os.Chmod(path, 0o711)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make %s: %w", path, err), os.RemoveAll(path))
	}
	return h, nil
}

// dir makes a folder that belongs to the account.
func (h *home) dir(name string, as *account) (string, error) {
	path := h.path + "/" + name
	err := os.Mkdir(path, 0o700)
	if err == nil && as != nil {
		err = os.Chown(path, as.uid, as.gid)
	}
	return path, err
}

// environment is all that a program in here gets to see: variables such as
// PGPORT or MYSQL_PWD of whoever runs the tests mean another server.
func (h *home) environment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.path, "LC_ALL=C", "TZ=UTC"}
}

// start starts a program that runs until it ends or is killed.
func (h *home) start(cmd *exec.Cmd, as *account) (*process, error) {
	if cmd.Dir == "" {
		cmd.Dir = h.path
	}
	cmd.Env = append(h.environment(), cmd.Env...)
	cmd.SysProcAttr = child(as)
	if err := spawn(cmd); err != nil {
		if as != nil {
			err = fmt.Errorf("%w (as user %d: may it enter %s?)", err, as.uid, cmd.Dir)
		}
		return nil, err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	h.note(p.pid(), nil)
	go func() {
		_ = cmd.Wait() // the state it ended in is in cmd.ProcessState
		h.forget(p.pid())
		close(p.done)
	}()
	return p, nil
}

// run runs a program to its end and returns what it printed.
func (h *home) run(ctx context.Context, as *account, cmd *exec.Cmd) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	var out, problems strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &problems
	cmd.WaitDelay = time.Second // for a grandchild that keeps the pipe
	p, err := h.start(cmd, as)
	if err != nil {
		return "", err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		return "", errors.Join(ctx.Err(), p.kill())
	}
	if !cmd.ProcessState.Success() {
		return "", fmt.Errorf("%s: %v: %s", cmd.Path, cmd.ProcessState, strings.TrimSpace(problems.String()+out.String()))
	}
	return out.String(), nil
}

// note tells the keeper of a process, and of children that would not end by
// themselves when it is killed.
func (h *home) note(pid int, children []int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.live[pid] = children
	h.tell()
}

func (h *home) forget(pid int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.live, pid)
	h.tell()
}

func (h *home) tell() {
	var line strings.Builder
	for pid, children := range h.live {
		line.WriteString(strconv.Itoa(-pid) + " ") // each leads a process group
		for _, c := range children {
			line.WriteString(strconv.Itoa(c) + " ")
		}
	}
	_, _ = io.WriteString(h.pipe, line.String()+"\n") // without a keeper there is still the kernel
}

// close has the keeper do its work now and waits for it.
func (h *home) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	h.closed = true
	err := h.pipe.Close()
	_ = h.keeper.Wait() // whether it did its work is seen next
	return errors.Join(err, os.RemoveAll(h.path))
}
