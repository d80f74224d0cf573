package servers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// process is a started program that is being waited for.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed once it has ended and is reaped
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// spawner is the one thread that starts processes. On Linux a child that dies
// with its parent (Pdeathsig) dies with the THREAD that started it, and Go ends
// threads as it likes; this one is locked to a goroutine that never returns, so
// it ends when the whole process does.
var spawner = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for start := range work {
			start()
		}
	}()
	return work
})

func spawn(cmd *exec.Cmd) error {
	result := make(chan error)
	spawner() <- func() { result <- cmd.Start() }
	return <-result
}

// freeze stops the process and all its descendants and returns their ids, the
// process's own first. PostgreSQL's children each lead a session of their own,
// so no process group holds them all; but a stopped process starts no child,
// and its dead children keep their ids, so the walk down the tree cannot miss
// one or hit a stranger.
func (p *process) freeze() ([]int, error) {
	if err := p.cmd.Process.Signal(signalStop); err != nil {
		return nil, err
	}
	tree := []int{p.pid()}
	in := map[int]bool{p.pid(): true}
	for grown := true; grown; {
		table, err := processTable()
		if err != nil {
			return nil, errors.Join(err, p.cmd.Process.Signal(signalContinue))
		}
		grown = false
		for pid, entry := range table {
			if in[pid] || !in[entry.parent] || entry.dead {
				continue
			}
			if err := signal(pid, signalStop); err != nil && !errors.Is(err, os.ErrProcessDone) {
				return nil, err
			}
			in[pid], grown = true, true
			tree = append(tree, pid)
		}
	}
	return tree, nil
}

// thaw undoes freeze, children first: they then find their parent as they left it.
func (p *process) thaw(tree []int) error {
	for i := len(tree) - 1; i > 0; i-- {
		if err := signal(tree[i], signalContinue); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
	}
	return p.cmd.Process.Signal(signalContinue)
}

// kill ends the process and its descendants without a chance to clean up, and
// waits until they are gone. Frozen first, none of them sees another one die.
func (p *process) kill() error {
	tree, err := p.freeze()
	if errors.Is(err, os.ErrProcessDone) {
		<-p.done
		return nil
	}
	if err != nil {
		return errors.Join(err, p.cmd.Process.Kill())
	}
	for _, pid := range tree[1:] {
		if err := signal(pid, os.Kill); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.done
	return gone(tree[1:])
}

// gone waits for processes that are not our children, once they were killed.
func gone(pids []int) error {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		table, err := processTable()
		if err != nil {
			return err
		}
		left := 0
		for _, pid := range pids {
			if entry, there := table[pid]; there && !entry.dead {
				left = pid
			}
		}
		if left == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d does not end", left)
		}
	}
}
