//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// build makes the binary that is measured, and a stripped one for its size.
func (b *bench) build(ctx context.Context, root string) error {
	b.say("building")
	b.binary = filepath.Join(b.dir, "bitjang")
	sizes := &b.results.Binary
	for _, v := range []struct {
		name  string
		flags []string
		size  *float64
	}{{b.binary, nil, &sizes.Plain}, {b.binary + "-stripped", []string{"-ldflags=-s -w"}, &sizes.Stripped}} {
		cmd := exec.CommandContext(ctx, "go", slices.Concat([]string{"build", "-trimpath", "-o", v.name}, v.flags, []string{"./cmd/bitjang"})...)
		cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build: %w\n%s", err, out)
		}
		info, err := os.Stat(v.name)
		if err != nil {
			return err
		}
		*v.size = float64(info.Size()) / 1e6
	}
	return b.configure(ctx)
}

// configure settles where the callers find the server. Password hashes are cheap,
// because logging in only prepares; nothing else is made lighter.
func (b *bench) configure(ctx context.Context) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	b.settings = []string{
		"BITJANG_DATA_DIR=" + filepath.Join(b.dir, "data"),
		"BITJANG_LOG_LEVEL=warn", "BITJANG_PASSWORD_MEMORY=8192", "BITJANG_PASSWORD_TIME=1",
	}
	// A variable that the server does not know is an error to it.
	const limits = "BITJANG_RATE_LIMITS"
	if strings.Contains(output(ctx, b.dir, b.binary, "serve", "--help"), limits) {
		b.settings = append(b.settings, limits+"=off")
	}
	b.callers = make([]*caller, b.most())
	for i := range b.callers {
		b.callers[i] = &caller{address: address}
	}
	return nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// process is a server that runs beside us.
type process struct {
	cmd     *exec.Cmd
	address string
	errs    bytes.Buffer
	took    time.Duration // from its start to its first answer
	callers []*caller     // of the limit server
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// start runs Bitjang for the callers and waits until it is ready.
func (b *bench) start(ctx context.Context, more ...string) (*process, error) {
	for _, c := range b.callers {
		c.hangUp()
	}
	return b.startAt(ctx, b.callers[0].address, more...)
}

// startAt runs Bitjang at an address and waits until it is ready.
func (b *bench) startAt(ctx context.Context, address string, more ...string) (*process, error) {
	p := &process{cmd: exec.CommandContext(ctx, b.binary, "serve"), address: address}
	p.cmd.Dir = b.dir // no bitjang.yaml there
	p.cmd.Env = slices.Concat([]string{"HOME=" + b.dir, "BITJANG_LISTEN=" + address, "BITJANG_ISSUER=http://" + address}, b.settings, more)
	p.cmd.Stderr = &p.errs
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	err := p.ready(ctx, began.Add(30*time.Second))
	p.took = time.Since(began)
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("the server did not get ready: %w\n%s", err, p.errs.String())
	}
	return p, nil
}

// ready knocks until the first good answer.
func (p *process) ready(ctx context.Context, until time.Time) error {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: time.Until(until)}
	for {
		res, err := client.Get("http://" + p.address + "/readyz")
		if err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("/readyz says %s", res.Status)
		}
		if time.Now().After(until) || ctx.Err() != nil {
			return err
		}
		time.Sleep(time.Millisecond / 2)
	}
}

// stop ends the server as an operator does.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may be gone already
	_ = p.cmd.Wait()
}

// startUp times starts with the whole database there.
func (b *bench) startUp(ctx context.Context) error {
	for range b.starts {
		p, err := b.start(ctx)
		if err != nil {
			return err
		}
		p.stop()
		b.results.StartMS = append(b.results.StartMS, float64(p.took.Microseconds())/1000)
	}
	b.say("start to first answer: %.0f ms", b.results.StartMS.median())
	return nil
}

// memory looks at the server before and after many different sessions were
// refreshed.
func (b *bench) memory(ctx context.Context, server *process) (err error) {
	sleep(ctx, min(b.duration, time.Second))
	m := &b.results.Memory
	if m.Idle, err = readMemory(server.pid()); err != nil {
		return err
	}
	c := contestant{nameBitjang, func(i int) error { return b.callers[i].refreshAny() }, server.pid()}
	l, err := closedLoop(ctx, c, b.most(), b.duration)
	if err != nil {
		return err
	}
	if l.first != nil {
		return fmt.Errorf("refresh of random sessions: %w", l.first)
	}
	m.PerSecond = l.PerSecond
	m.Loaded, err = readMemory(server.pid())
	b.say("resident memory %.1f MB after start, %.1f MB after %s refreshes/s of random sessions", m.Idle.RSS, m.Loaded.RSS, thousands(l.PerSecond))
	return err
}

// takeProfile is apart from the measurements: profiling costs.
func (b *bench) takeProfile(ctx context.Context) error {
	if b.profile == "" {
		return nil
	}
	admin, err := freeAddress()
	if err != nil {
		return err
	}
	server, err := b.start(ctx, "BITJANG_ADMIN_LISTEN="+admin)
	if err != nil {
		return err
	}
	defer server.stop()
	return b.profileTo(ctx, b.profile, admin, contestant{nameBitjang, func(i int) error { return b.callers[i].refreshOwn() }, server.pid()})
}

// profileTo writes a CPU profile of the server behind an admin listener, while
// the callers keep it busy.
func (b *bench) profileTo(ctx context.Context, file, admin string, c contestant) error {
	done := make(chan error, 1)
	go func() {
		done <- fetch(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", admin, max(1, int(b.duration.Seconds()))), file)
	}()
	_, err := closedLoop(ctx, c, b.most(), b.duration+time.Second)
	if err := <-done; err != nil {
		return err
	}
	b.say("profile: go tool pprof -top -cum %s", file)
	return err
}

func fetch(ctx context.Context, url, file string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s: %w", url, res.Status, err)
	}
	return os.WriteFile(file, raw, 0o644)
}
