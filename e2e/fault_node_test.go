//go:build fault

package e2e

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"
)

const nodes = 2

// rotationGrace is the default. A stale tab's request must not take longer, and
// the longest fault and the longest wait for a store are 12 and 15 seconds.
const rotationGrace = 30 * time.Second

// node is one of several processes of bitjang on the same store.
type node struct {
	*bitjang
	mu       sync.Mutex
	away     []window       // when it was killed or stopped
	verdicts map[string]int // counted by processes that are gone
	latest   map[string]int // counted by this one
}

// window is a stretch of the storm; to is 0 while it lasts.
type window struct{ from, to time.Duration }

func (w window) meets(from, to time.Duration) bool {
	return from <= w.to && w.from <= to || w.to == 0 && w.from <= to
}

func startNodes(t *testing.T, a arena) [nodes]*node {
	t.Helper()
	binary, err := the.programs.bitjang()
	if err != nil {
		t.Fatal(err)
	}
	var key [32]byte
	rand.Read(key[:])
	data, issuer := t.TempDir(), ""
	var all [nodes]*node
	for i := range all {
		b := &bitjang{
			binary:  binary,
			address: fmt.Sprintf("127.0.0.1:%d", the.free(t)),
			admin:   fmt.Sprintf("127.0.0.1:%d", the.free(t)),
			log:     &logBuffer{},
		}
		if issuer == "" {
			issuer = b.url("")
		}
		b.env = append([]string{
			"BITJANG_LISTEN=" + b.address, "BITJANG_ADMIN_LISTEN=" + b.admin, "BITJANG_ISSUER=" + issuer,
			"BITJANG_DATA_DIR=" + data, "BITJANG_MASTER_KEY=" + hex.EncodeToString(key[:]),
			"BITJANG_ROTATION_GRACE=" + rotationGrace.String(),
			"BITJANG_PASSWORD_MEMORY=8192", "BITJANG_PASSWORD_TIME=1", "BITJANG_RATE_LIMITS=off",
		}, a.settings[i]...)
		b.start(t)
		all[i] = &node{bitjang: b, verdicts: map[string]int{}}
	}
	return all
}

// kill is kill -9, and start the next process.
func (s *storm) killNode(i int) {
	n := s.nodes[i]
	n.sample()
	s.leave(n)
	n.bitjang.kill()
	n.mu.Lock()
	defer n.mu.Unlock()
	for v, count := range n.latest {
		n.verdicts[v] += count
	}
	n.latest = nil
}

func (s *storm) startNode(i int) {
	s.nodes[i].bitjang.start(s.t)
	s.comeBack(s.nodes[i])
}

// stopNode is SIGSTOP: its connections stay open and answer nothing.
func (s *storm) stopNode(i int) error {
	s.leave(s.nodes[i])
	return s.nodes[i].cmd.Process.Signal(syscall.SIGSTOP)
}

func (s *storm) continueNode(i int) error {
	defer s.comeBack(s.nodes[i])
	return s.nodes[i].cmd.Process.Signal(syscall.SIGCONT)
}

func (s *storm) leave(n *node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.away = append(n.away, window{from: s.now()})
}

// comeBack ends the absence a second late: connections from before it may be
// found broken only when they are used again.
func (s *storm) comeBack(n *node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.away[len(n.away)-1].to = s.now() + time.Second
}

func (n *node) wasAway(from, to time.Duration) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.away {
		if w.meets(from, to) {
			return true
		}
	}
	return false
}

// sample reads the counters, which end with the process.
func (n *node) sample() {
	counts, err := n.readVerdicts()
	if err != nil {
		return // it is away
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.latest = counts
}

func (n *node) counted(verdict string) int {
	n.sample()
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.verdicts[verdict] + n.latest[verdict]
}

// from returns an HTTP client that connects from an address of this machine:
// refreshes of one token from one address may share an answer.
func from(t *testing.T, ip string) *http.Client {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	transport := &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: 1000}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}
