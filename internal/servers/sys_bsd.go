//go:build unix && !linux

package servers

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
)

// dieWithUs has no counterpart here: the keeper of home is alone with the task.
func dieWithUs(*syscall.SysProcAttr) {}

type processEntry struct {
	parent int
	dead   bool // ended, and not yet reaped by its parent
}

// processTable lists the processes of the machine.
func processTable() (map[int]processEntry, error) {
	out, err := exec.Command("ps", "-A", "-o", "pid=", "-o", "ppid=", "-o", "stat=").Output()
	if err != nil {
		return nil, fmt.Errorf("ps: %w", err)
	}
	table := map[int]processEntry{}
	for line := range strings.Lines(string(out)) {
		var pid, parent int
		var state string
		if n, _ := fmt.Sscan(line, &pid, &parent, &state); n == 3 {
			table[pid] = processEntry{parent: parent, dead: strings.HasPrefix(state, "Z")}
		}
	}
	return table, nil
}
