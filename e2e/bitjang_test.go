package e2e

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// the holds what all tests of a run share: built programs and used ports.
var the struct {
	programs
	ports
}

func TestMain(m *testing.M) {
	flag.Parse()
	// Most tests wait for tokens to expire, which costs no processor.
	if err := flag.Set("test.parallel", "32"); err != nil {
		panic(err)
	}
	dir, err := os.MkdirTemp("", "bitjang-e2e-")
	if err != nil {
		panic(err)
	}
	the.programs, the.used = newPrograms(dir), map[int]bool{}
	code := m.Run()
	_ = os.RemoveAll(dir) // a temporary directory: the system removes it, too
	os.Exit(code)
}

const (
	email    = "ann@example.com"
	password = "seven grey geese"
)

// bitjang is the service as a process, with one user. It may be killed and
// started again on the same data and port.
type bitjang struct {
	*process
	binary  string
	address string
	admin   string
	env     []string
	log     *logBuffer
}

// startBitjang runs "bitjang serve" with an empty data directory and a user.
func startBitjang(t *testing.T, env ...string) *bitjang {
	t.Helper()
	binary, err := the.programs.bitjang()
	if err != nil {
		t.Fatal(err)
	}
	b := &bitjang{
		binary:  binary,
		address: fmt.Sprintf("127.0.0.1:%d", the.free(t)),
		admin:   fmt.Sprintf("127.0.0.1:%d", the.free(t)),
		log:     newLog(t, "bitjang"),
	}
	b.env = append([]string{
		"BITJANG_LISTEN=" + b.address, "BITJANG_ADMIN_LISTEN=" + b.admin, "BITJANG_ISSUER=http://" + b.address,
		"BITJANG_DATA_DIR=" + t.TempDir(),
		"BITJANG_PASSWORD_MEMORY=8192", "BITJANG_PASSWORD_TIME=1", "BITJANG_RATE_LIMITS=off", // logging in is not what is tested
	}, env...)
	b.cli(t, password, "user", "add", email, "--password-stdin")
	b.start(t)
	return b
}

// start runs the service and waits until it is ready.
func (b *bitjang) start(t *testing.T) {
	t.Helper()
	b.process = start(t, b.log, b.env, b.binary, "serve")
	b.until(t, "wait for /readyz", func() error { return expect(http.Get(b.url("/readyz"))) })
}

func expect(resp *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}

func (b *bitjang) url(path string) string { return "http://" + b.address + path }

// cli runs a command on the data of the service, beside it or while it is away.
func (b *bitjang) cli(t *testing.T, stdin string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(b.binary, args...)
	cmd.Env = append(os.Environ(), b.env...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("bitjang %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return out
}

// sessionLine is what "bitjang session list --json" says of a session.
type sessionLine struct {
	ID, State, Reason, IP string
}

// sessions lists the live sessions by id, or the ended ones.
func (b *bitjang) sessions(t *testing.T, ended bool) map[string]sessionLine {
	t.Helper()
	args := []string{"session", "list", "--json", "--limit", "1000"}
	if ended {
		args = append(args, "--ended")
	}
	var lines []sessionLine
	if err := json.Unmarshal(b.cli(t, "", args...), &lines); err != nil {
		t.Fatalf("read the list of sessions: %v", err)
	}
	byID := map[string]sessionLine{}
	for _, l := range lines {
		byID[l.ID] = l
	}
	return byID
}

const reuse = "refresh_token_reuse"

// wantEnded checks that a session has ended, and why, as the operator sees it.
func (b *bitjang) wantEnded(t *testing.T, session, reason string) {
	t.Helper()
	ended := b.sessions(t, true)
	if got := ended[session].Reason; got != reason {
		t.Errorf("got session %s ended for %q, want %q; ended are %v", session, got, reason, slices.Collect(maps.Values(ended)))
	}
}

// wantAlive checks that a session goes on.
func (b *bitjang) wantAlive(t *testing.T, session string) {
	t.Helper()
	if got := b.sessions(t, false)[session].State; got != "active" {
		t.Errorf("got session %s in state %q, want active; it ended for %q", session, got, b.sessions(t, true)[session].Reason)
	}
}

// verdicts reads how many refresh tokens came back, by verdict, since the start.
func (b *bitjang) verdicts(t *testing.T) map[string]int {
	t.Helper()
	counts, err := b.readVerdicts()
	if err != nil {
		t.Fatalf("read metrics: %v", err)
	}
	return counts
}

func (b *bitjang) readVerdicts() (map[string]int, error) {
	resp, err := http.Get("http://" + b.admin + "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for line := range strings.Lines(body.String()) {
		var n float64
		name, value, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, `bitjang_refresh_total{verdict="`)), `"} `)
		if _, err := fmt.Sscanf(value, "%g", &n); err == nil && strings.HasPrefix(line, "bitjang_refresh_total{") && n > 0 {
			counts[name] = int(n)
		}
	}
	return counts, nil
}
