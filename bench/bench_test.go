//go:build linux

package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be the limit server too.
func TestMain(m *testing.M) {
	if isLimitServer() {
		exit(serveLimit(os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}

// The whole run, small. It says nothing about speed.
func TestARunHasNoErrorsAndWritesItsResults(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the binary twice")
	}
	dir := t.TempDir()
	opt, err := parseFlags([]string{"embedded", "-duration", "200ms", "-rounds", "1", "-callers", "1,4", "-sessions", "500", "-starts", "2",
		"-out", dir, "-profile", filepath.Join(dir, "cpu.pprof")})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := run(t.Context(), opt, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	t.Log(out.String())
	var r results
	if err := json.Unmarshal(read(t, dir, "*.json"), &r); err != nil {
		t.Fatal(err)
	}
	if r.errors() != 0 || r.Sessions != 500 || len(r.Aims) != 5 {
		t.Errorf("got %d errors, %d sessions, %d aims, want 0, 500, 5", r.errors(), r.Sessions, len(r.Aims))
	}
	for _, name := range names {
		for _, n := range []int{1, 4} {
			if m := r.find(name, n); m == nil || m.get(perSecond).median() == 0 {
				t.Errorf("%s at %d callers did nothing", name, n)
			}
		}
	}
	if page := string(read(t, dir, "*.md")); !strings.Contains(page, "| callers |") || !strings.Contains(page, ".svg)") {
		t.Errorf("got a page without table or plot:\n%s", page)
	}
	if len(read(t, dir, "cpu.pprof")) == 0 {
		t.Error("the profile is empty")
	}
	wellFormed(t, string(read(t, dir, "*.svg")))
}

func read(t *testing.T, dir, pattern string) []byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) != 1 {
		t.Fatalf("%s: got %v, %v, want one file", pattern, files, err)
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func wellFormed(t *testing.T, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("the plot is no XML: %v\n%s", err, text)
		}
	}
}

func TestFailuresAreCounted(t *testing.T) {
	t.Parallel()
	broken := contestant{name: "broken", op: func(int) error { return errors.New("no") }}
	l, err := closedLoop(t.Context(), broken, 2, 20*time.Millisecond)
	if err != nil || l.Errors < 2 || l.PerSecond != 0 || l.first == nil {
		t.Errorf("got %+v, %v, want only errors", l, err)
	}
}

func TestFigures(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ got, want string }{
		{spread(series{3, 1, 2}, 1), "2.0 (1.0–3.0)"},
		{spread(series{1000, 4000}, 0), "2,500 (1,000–4,000)"},
		{spread(series{7}, 0), "7"},
		{spread(series{10, 30}.over(series{20, 20}), 2), "1.00 (0.50–1.50)"},
		{thousands(1234567.4), "1,234,567"},
		{number(percentile([]time.Duration{1e6, 2e6, 3e6, 4e6, 5e6}, 50), 2), "3.00"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

func TestFlagsThatMeanNothingAreRefused(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"-callers 0", "-callers x", "-rounds 0", "-duration 0s", "-starts 0", "word", "stores word", "-stores dbase", "-stores sqlite,", "scale -expired -1"} {
		if _, err := parseFlags(strings.Fields(args)); err == nil {
			t.Errorf("%q: got no error", args)
		}
	}
}
