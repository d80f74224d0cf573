package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/store/sqlstore"
)

func TestMasterKeyIsMadeOnceByManyProcesses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := &config{database: "sqlite:" + filepath.Join(dir, "bitjang.db"), masterKeyFile: filepath.Join(dir, "keys", "master.key")}
	store := openTestStore(t, c)
	const starters = 16
	origins := make([]masterKeyOrigin, starters)
	var wg sync.WaitGroup
	for i := range starters {
		wg.Go(func() {
			var err error
			if origins[i], err = loadMasterKeys(t.Context(), c, store); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	fresh := 0
	for _, o := range origins {
		if o.fresh {
			fresh++
		}
		if len(o.keys) != 1 || !o.keys[0].Equal(origins[0].keys[0]) || o.loose {
			t.Errorf("got %d keys (loose: %v), want the one that all have", len(o.keys), o.loose)
		}
	}
	if fresh != 1 {
		t.Errorf("got %d makers of the key, want 1", fresh)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "keys", ".*")); len(left) > 0 {
		t.Errorf("got %v left behind, want nothing", left)
	}
}

func openTestStore(t *testing.T, c *config) *sqlstore.Store {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), c.database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// lateKeys is a store in which another process makes the first signing key,
// and the master key with it, while we look.
type lateKeys struct {
	bitjang.KeyStore
	file string
}

func (l lateKeys) Keys(context.Context) ([]bitjang.SigningKey, error) {
	return []bitjang.SigningKey{{ID: "k"}}, writeOnce(l.file, bitjang.NewMasterKey())
}

func TestMasterKeyThatAppearsWhileWeLookIsTaken(t *testing.T) {
	t.Parallel()
	c := &config{masterKeyFile: filepath.Join(t.TempDir(), "master.key")}
	found, err := loadMasterKeys(t.Context(), c, lateKeys{file: c.masterKeyFile})
	if err != nil || len(found.keys) != 1 || found.fresh {
		t.Errorf("got %d keys (fresh: %v), %v, want the other's key", len(found.keys), found.fresh, err)
	}
}

func TestMasterKeyIsNotMadeWhenTheStoreIsDown(t *testing.T) {
	t.Parallel()
	c := &config{masterKeyFile: filepath.Join(t.TempDir(), "master.key")}
	if _, err := loadMasterKeys(t.Context(), c, brokenKeys{}); !errors.Is(err, errDown) {
		t.Errorf("got %v, want %v", err, errDown)
	}
	if _, err := os.Stat(c.masterKeyFile); err == nil {
		t.Error("got a new master key, want none")
	}
}

var errDown = errors.New("down")

type brokenKeys struct{ bitjang.KeyStore }

func (brokenKeys) Keys(context.Context) ([]bitjang.SigningKey, error) { return nil, errDown }

// startSlow serves one request, which is under way when it returns and ends
// when release does.
func startSlow(t *testing.T) (s listening, release chan struct{}, answer chan error) {
	t.Helper()
	begun := make(chan struct{})
	release, answer = make(chan struct{}), make(chan error, 1)
	on, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	s = listening{publicServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-release
		w.WriteHeader(http.StatusNoContent)
	}), log), on}
	go func() { _ = s.server.Serve(on) }()
	go func() {
		resp, err := http.Get("http://" + on.Addr().String())
		if err == nil {
			err = resp.Body.Close()
		}
		answer <- err
	}()
	<-begun
	return s, release, answer
}

func TestDrainLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	s, release, answer := startSlow(t)
	time.AfterFunc(50*time.Millisecond, func() { close(release) })
	drain([]listening{s}, time.Minute, slog.New(slog.DiscardHandler))
	if err := <-answer; err != nil {
		t.Errorf("got %v for the request under way, want an answer", err)
	}
	if _, err := http.Get("http://" + s.on.Addr().String()); err == nil {
		t.Error("got an answer after the end, want none")
	}
}

func TestDrainCutsOffWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	s, release, answer := startSlow(t)
	defer close(release)
	started := time.Now()
	drain([]listening{s}, 50*time.Millisecond, slog.New(slog.DiscardHandler))
	if took := time.Since(started); took > 10*time.Second {
		t.Errorf("got an end after %v, want one after the limit", took)
	}
	if err := <-answer; err == nil {
		t.Error("got an answer, want a broken connection")
	}
}

func TestOnlyThisMachineMayDoWithoutTLS(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{
		"http://localhost:8080":      false,
		"http://127.0.0.1":           false,
		"http://127.8.8.8:1":         false,
		"http://[::1]:8080":          false,
		"https://id.example.com":     false,
		"http://id.example.com":      true,
		"http://localhost.evil.test": true,
		"http://10.0.0.1":            true,
	}
	for issuer, want := range tests {
		if got := isPlainPublic(issuer); got != want {
			t.Errorf("%s: got %v, want %v", issuer, got, want)
		}
	}
}
