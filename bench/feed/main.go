//go:build linux

// Command feed shows what the revocation feed does at scale: many verifiers
// follow one real node over loopback, sessions end, and each verifier is watched
// until it refuses. It prints the figures and writes nothing. docs/verify.md has
// those of one run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/jws"
	"github.com/bitjang/bitjang/store/sqlstore"
	"github.com/bitjang/bitjang/verify"
)

type options struct{ verifiers, sessions, rate int }

func main() {
	var o options
	flag.IntVar(&o.verifiers, "verifiers", 1000, "how many follow the feed")
	flag.IntVar(&o.sessions, "sessions", 10_000, "how many sessions end")
	flag.IntVar(&o.rate, "rate", 150, "how many of them in a second")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	err := run(ctx, o)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "feed:", err)
		os.Exit(1)
	}
}

// rig is a node in a process of its own and, in this one, the store behind it.
type rig struct {
	options
	store   *sqlstore.Store
	address string
	cmd     *exec.Cmd
	id      string
	secret  bitjang.Secret
	ids     []bitjang.SessionID
	crowd   []*verify.Verifier
}

// user is the owner of the session with that number: each has its own.
func user(i int) string { return fmt.Sprintf("0a0a0a0a-0000-4000-8000-%012d", i) }

func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "bitjang-feed-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r := &rig{options: o}
	if err := r.start(ctx, dir); err != nil {
		return err
	}
	defer func() {
		_ = r.cmd.Process.Signal(syscall.SIGTERM)
		_ = r.cmd.Wait()
		_ = r.store.Close()
	}()
	before, err := r.residentKB()
	if err != nil {
		return err
	}
	stop, err := r.gather(ctx)
	if err != nil {
		return err
	}
	defer stop()
	time.Sleep(6 * time.Second) // a sign of life for each
	idle, err := r.residentKB()
	if err != nil {
		return err
	}
	fmt.Printf("%d verifiers follow; the node has %.1f MB, %.1f kB for each of them\n", o.verifiers, float64(idle)/1e3, float64(idle-before)/float64(o.verifiers))
	delays, took, err := r.end(ctx)
	if err != nil {
		return err
	}
	after, err := r.residentKB()
	if err != nil {
		return err
	}
	slices.Sort(delays)
	at := func(p float64) time.Duration { return delays[int(p*float64(len(delays)-1))].Round(time.Millisecond) }
	fmt.Printf("%d sessions ended in %v; the node has %.1f MB\n", o.sessions, took.Round(time.Millisecond), float64(after)/1e3)
	fmt.Printf("from the end of a session to its refusal, over %d pairs: p50 %v, p99 %v, p99.9 %v, longest %v\n", len(delays), at(.5), at(.99), at(.999), at(1))
	return r.check(ctx)
}

// start builds and runs a node on a new database, with sessions to end.
func (r *rig) start(ctx context.Context, dir string) error {
	binary, key := filepath.Join(dir, "bitjang"), bitjang.NewMasterKey()
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/bitjang")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	database := "sqlite:" + filepath.Join(dir, "bitjang.db")
	var err error
	if r.store, err = sqlstore.Open(ctx, database); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	r.address = l.Addr().String()
	_ = l.Close()
	svc, err := bitjang.New(bitjang.Config{Issuer: "http://" + r.address, MasterKeys: []bitjang.Secret{key}, Store: r.store})
	if err != nil {
		return err
	}
	c, secret, err := svc.AddClient(ctx, bitjang.Client{Name: "API", GrantTypes: []string{bitjang.GrantClientCredentials}, Scopes: []string{bitjang.ScopeRevocations}})
	if err != nil {
		return err
	}
	r.id, r.secret = c.ID, secret
	now := time.Now()
	for i := range r.sessions {
		s := bitjang.Session{ID: bitjang.NewSessionID(user(i)), UserID: user(i), Version: 1, CreatedAt: now, ExpiresAt: now.Add(time.Hour), IdleExpiresAt: now.Add(time.Hour)}
		if err := r.store.InsertSession(ctx, s); err != nil {
			return err
		}
		r.ids = append(r.ids, s.ID)
	}
	r.cmd = exec.Command(binary, "serve")
	r.cmd.Dir, r.cmd.Stderr = dir, os.Stderr
	r.cmd.Env = []string{"HOME=" + dir, "BITJANG_DATABASE=" + database, "BITJANG_DATA_DIR=" + dir, "BITJANG_MASTER_KEY=" + key.Reveal(),
		"BITJANG_LISTEN=" + r.address, "BITJANG_ISSUER=http://" + r.address, "BITJANG_LOG_LEVEL=warn"}
	if err := r.cmd.Start(); err != nil {
		return err
	}
	for range 200 {
		if resp, err := http.Get("http://" + r.address + "/readyz"); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errors.New("the node does not become ready")
}

// gather lets all verifiers follow and waits until they have caught up.
func (r *rig) gather(ctx context.Context) (stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	stop = func() { cancel(); running.Wait() }
	for range r.verifiers {
		v, err := verify.New(verify.Config{
			Issuer: "http://" + r.address, Audience: "api", Keys: ownKeys{},
			Feed: &verify.Feed{Authorize: verify.ClientSecret(r.id, r.secret.Reveal()), WhenStale: verify.FailClosed},
		})
		if err != nil {
			stop()
			return nil, err
		}
		r.crowd = append(r.crowd, v)
		running.Go(func() { _ = v.Run(ctx) })
	}
	for _, v := range r.crowd {
		if err := v.Ready(ctx); err != nil {
			stop()
			return nil, err
		}
	}
	return stop, nil
}

// end ends one session after the other, and notes for each verifier and session
// how long it took. Entries come in the order of the ends, so the number of those
// that a verifier has says which.
func (r *rig) end(ctx context.Context) (delays []time.Duration, took time.Duration, err error) {
	ended := make([]time.Time, len(r.ids))
	var mu sync.Mutex
	done := make(chan error, 1)
	started := time.Now()
	go func() {
		for i, id := range r.ids {
			time.Sleep(time.Until(started.Add(time.Duration(i) * time.Second / time.Duration(r.rate))))
			at := time.Now() // before the write: what that takes counts too
			mu.Lock()
			ended[i] = at
			mu.Unlock()
			if _, err := r.store.EndSessions(ctx, bitjang.EndFilter{UserID: user(i), Only: id, At: at, Reason: bitjang.EndedByAdmin}); err != nil {
				done <- err
				return
			}
		}
		took = time.Since(started)
		done <- nil
	}()
	has, late := make([]int, len(r.crowd)), time.Now().Add(5*time.Minute)
	for finished, all := false, false; !finished || !all; time.Sleep(20 * time.Millisecond) {
		select {
		case err := <-done:
			if err != nil {
				return nil, 0, err
			}
			finished = true
		default:
		}
		if all = true; time.Now().After(late) {
			return nil, 0, errors.New("not every verifier has heard of every end")
		}
		for i, v := range r.crowd {
			n, now := int(v.FeedStats().Received), time.Now()
			mu.Lock()
			for ; has[i] < n; has[i]++ {
				delays = append(delays, now.Sub(ended[has[i]]))
			}
			mu.Unlock()
			all = all && n >= len(r.ids)
		}
	}
	return delays, took, nil
}

// check has some of the verifiers refuse some of the tokens.
func (r *rig) check(ctx context.Context) error {
	now := time.Now().Unix()
	for i := 0; i < len(r.ids); i += 1 + len(r.ids)/100 {
		claims := fmt.Sprintf(`{"iss":"http://%s","aud":"api","sub":"u","client_id":"c","iat":%d,"exp":%d,"jti":"j","gen":0,"sid":%q}`, r.address, now, now+60, r.ids[i])
		token, err := jws.Sign(jws.Header{Alg: jws.ES256, Typ: "at+jwt", Kid: "own"}, []byte(claims), ownSigner())
		if err != nil {
			return err
		}
		for j := 0; j < len(r.crowd); j += 1 + len(r.crowd)/50 {
			if _, err := r.crowd[j].Verify(ctx, token); !errors.Is(err, verify.ErrSessionRevoked) {
				return fmt.Errorf("verifier %d, session %d: got %w, want it refused", j, i, err)
			}
		}
	}
	return nil
}

// residentKB is the memory of the node.
func (r *rig) residentKB() (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmRSS:" {
			return strconv.Atoi(fields[1])
		}
	}
	return 0, errors.New("no VmRSS")
}
