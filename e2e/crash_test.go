package e2e

import (
	"math/rand/v2"
	"testing"
	"time"
)

// These tests load the machine and do not run beside others.

func TestTenKillsUnderLoadLogNobodyOut(t *testing.T) {
	b := startBitjang(t)
	l := newLoad(t, b, 40)
	l.run(t)
	const kills = 10
	for range kills {
		l.progress(t, 100)
		time.Sleep(time.Duration(rand.IntN(400)) * time.Millisecond) // so that kills fall anywhere
		l.note(t)
		b.kill()
		b.start(t)
	}
	l.progress(t, 100)
	l.halt()
	l.note(t)
	t.Logf("%d clients, %d refreshes, %d kills, %d refreshes sent again", len(l.clients), l.outcomes["200"], kills,
		l.outcomes["not answered"]+l.outcomes["nobody there"]+l.outcomes["truncated"])
	t.Logf("outcomes: %v", l.outcomes)
	t.Logf("verdicts, as far as bitjang lived to tell: %v", l.verdicts)
	if l.outcomes["not answered"]+l.outcomes["truncated"] == 0 {
		t.Error("got no refresh cut off by a kill, want some: else nothing was tested")
	}
	l.wantNobodyOut(t)
}

func TestARestartLogsNobodyOut(t *testing.T) {
	t.Parallel()
	b := startBitjang(t)
	l := newLoad(t, b, 5)
	for i, c := range l.clients {
		l.held[i] = c.refresh(t, l.held[i].Refresh)
	}
	b.terminate(t)
	b.wait(t)
	b.start(t)
	for i, c := range l.clients {
		if got := c.asks(t, "/v1/me", l.held[i].Access); got != 200 {
			t.Errorf("an access token from before the restart: got %d, want 200", got)
		}
	}
	l.wantNobodyOut(t)
}

func TestStopsUnderLoadCutNoAnswerAndLogNobodyOut(t *testing.T) {
	b := startBitjang(t)
	l := newLoad(t, b, 40)
	l.run(t)
	for range 3 {
		l.progress(t, 200)
		l.note(t)
		b.terminate(t)
		b.wait(t)
		b.start(t)
	}
	l.progress(t, 200)
	l.halt()
	t.Logf("outcomes of three stops: %v", l.outcomes)
	if n := l.outcomes["truncated"] + l.outcomes["me: truncated"]; n > 0 {
		t.Errorf("got %d answers cut off in the middle, want none", n)
	}
	l.wantNobodyOut(t)
}
