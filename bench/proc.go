//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// memory is in MB of 10^6 bytes.
type memory struct {
	RSS  float64 `json:"rss_mb"`
	Anon float64 `json:"rss_anon_mb"`
	Peak float64 `json:"rss_peak_mb"`
}

func readMemory(pid int) (m memory, err error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(raw)) {
		name, text, _ := strings.Cut(line, ":")
		into := map[string]*float64{"VmRSS": &m.RSS, "RssAnon": &m.Anon, "VmHWM": &m.Peak}[name]
		if into == nil {
			continue
		}
		kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 64)
		if err != nil {
			return m, fmt.Errorf("read %s: %w", name, err)
		}
		*into = kib * 1024 / 1e6
	}
	return m, nil
}

// usage is processor time spent so far.
type usage struct {
	worker, own time.Duration // by the process that is measured, and by this one
	memory      memory        // of the former
}

// readUsage looks at another process, or for pid 0 at this one.
func readUsage(pid int) (u usage, err error) {
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		return u, err
	}
	u.own = time.Duration(own.Utime.Nano() + own.Stime.Nano())
	if pid == 0 {
		u.worker = u.own
		return u, nil
	}
	if u.worker, err = cpuTime(pid); err == nil {
		u.memory, err = readMemory(pid)
	}
	return u, err
}

// cpuTime is the processor time of a process, in steps of a hundredth of a second.
func cpuTime(pid int) (time.Duration, error) {
	fields, err := statFields(pid)
	if err != nil {
		return 0, err
	}
	user, err1 := strconv.Atoi(fields[11])   // utime
	system, err2 := strconv.Atoi(fields[12]) // stime
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("/proc/%d/stat holds no numbers", pid)
	}
	return time.Duration(user+system) * 10 * time.Millisecond, nil
}

// statFields are those of /proc/PID/stat from the third on (proc(5)). The second
// is a name in parentheses and may hold anything.
func statFields(pid int) ([]string, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	if len(fields) < 15 {
		return nil, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	return fields, nil
}

// machineTime is the processor time that the whole machine has spent so far, and
// that its host has kept from it (proc(5): all of the line but idle and iowait).
func machineTime() (time.Duration, error) {
	fields := strings.Fields(firstLine("/proc/stat"))
	if len(fields) < 9 {
		return 0, fmt.Errorf("/proc/stat begins with %q", fields)
	}
	var total time.Duration
	for i, text := range fields[1:9] { // user nice system idle iowait irq softirq steal
		ticks, err := strconv.Atoi(text)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat: %w", err)
		}
		if i != 3 && i != 4 {
			total += time.Duration(ticks) * 10 * time.Millisecond
		}
	}
	return total, nil
}

// census counts whose processor time it was.
type census struct {
	began        time.Time
	machine, own time.Duration
}

func takeCensus(pids ...int) (c census, err error) {
	c.began = time.Now()
	if c.machine, err = machineTime(); err != nil {
		return c, err
	}
	for _, pid := range append(pids, os.Getpid()) {
		spent, err := cpuTime(pid)
		if err != nil {
			return c, err
		}
		c.own += spent
	}
	return c, nil
}

// others is how many processors strangers kept busy since an earlier census.
func (c census) others(since census) float64 {
	strangers := (c.machine - since.machine) - (c.own - since.own)
	return max(0, strangers.Seconds()) / c.began.Sub(since.began).Seconds()
}

// environment is what the figures depend on.
type environment struct {
	Date     string `json:"date"`
	CPU      string `json:"cpu"`
	Cores    int    `json:"cores"`
	Go       string `json:"go"`
	Kernel   string `json:"kernel"`
	Disk     string `json:"disk"`
	Revision string `json:"revision"`
	Load     string `json:"load_average_before"`
	// Others is how many processors other programs, or the host, took while we
	// measured. They spoil the figures.
	Others float64 `json:"processors_taken_by_others"`
}

func describe(ctx context.Context, root, dir string) (environment, error) {
	fs, err := fileSystem(dir)
	if err != nil {
		return environment{}, err
	}
	return environment{
		Date: time.Now().Format("2006-01-02 15:04 MST"), CPU: cpuModel(), Cores: runtime.NumCPU(), Go: runtime.Version(),
		Kernel: firstLine("/proc/sys/kernel/osrelease"), Disk: fs, Load: firstLine("/proc/loadavg"),
		Revision: output(ctx, root, "git", "describe", "--always", "--dirty"),
	}, nil
}

// fileSystem refuses a disk in memory: nothing would be durable there.
func fileSystem(dir string) (string, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return "", err
	}
	known := map[uint32]string{0xef53: "ext4", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x794c7630: "overlay", 0x2fc12fc1: "zfs"}
	const tmpfs, ramfs = 0x01021994, 0x858458f6
	kind := uint32(st.Type)
	if kind == tmpfs || kind == ramfs {
		return "", fmt.Errorf("%s is in memory: check the repository out on a disk", dir)
	}
	if name, ok := known[kind]; ok {
		return name, nil
	}
	return fmt.Sprintf("file system %#x", kind), nil
}

func cpuModel() string {
	raw, _ := os.ReadFile("/proc/cpuinfo") // unknown is an answer too
	for line := range strings.Lines(string(raw)) {
		if name, text, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(text)
		}
	}
	return runtime.GOARCH
}

func firstLine(file string) string {
	raw, _ := os.ReadFile(file)
	line, _, _ := strings.Cut(string(raw), "\n")
	return line
}

// output is what a command says, or "unknown".
func output(ctx context.Context, dir, name string, args ...string) string {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if text := strings.TrimSpace(string(out)); err == nil && text != "" {
		return text
	}
	return "unknown"
}

func moduleRoot(ctx context.Context) (string, error) {
	mod := output(ctx, ".", "go", "env", "GOMOD")
	if filepath.Base(mod) != "go.mod" {
		return "", fmt.Errorf("run this inside the checkout: there is no go.mod around (%s)", mod)
	}
	return filepath.Dir(mod), nil
}
