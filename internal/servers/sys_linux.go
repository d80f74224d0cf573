package servers

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

func dieWithUs(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

type processEntry struct {
	parent int
	dead   bool // ended, and not yet reaped by its parent
}

// processTable lists the processes of the machine.
func processTable() (map[int]processEntry, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	table := make(map[int]processEntry, len(files))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // ended meanwhile
		}
		// PID (NAME) STATE PARENT ..., where NAME may hold anything.
		end := bytes.LastIndexByte(text, ')')
		fields := bytes.Fields(text[end+1:])
		if end < 0 || len(fields) < 2 {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		parent, _ := strconv.Atoi(string(fields[1]))
		table[pid] = processEntry{parent: parent, dead: bytes.ContainsAny(fields[0], "ZX")}
	}
	return table, nil
}
