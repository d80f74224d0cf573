//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

// report prints the table and writes it down.
func report(o options, rows []*row, verification string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# What clients ask for, %s\n\n%d rounds of %s each, load and servers on the same machine; medians, with the least and the most.\n\n", time.Now().Format(time.DateOnly), o.rounds, o.duration)
	b.WriteString("| what | callers | server | per second | of the limit | CPU ms each |\n|---|---|---|---|---|---|\n")
	for _, r := range rows {
		limit := 0.0
		for _, l := range rows {
			if l.Server == "limit" && l.Op == r.Op && l.Callers == r.Callers {
				limit = median(l.PerSecond)
			}
		}
		fmt.Fprintf(&b, "| %s | %d | %s | %.0f (%.0f to %.0f) | %.2f | %.2f |\n", r.Op, r.Callers, r.Server,
			median(r.PerSecond), slices.Min(r.PerSecond), slices.Max(r.PerSecond), median(r.PerSecond)/limit, median(r.CPUMillis))
	}
	fmt.Fprintf(&b, "\nVerification in a resource server, on one core (`go test -bench Verify ./verify`):\n\n```\n%s\n```\n", verification)
	fmt.Print("\n" + b.String())
	name := filepath.Join(o.out, time.Now().Format(time.DateOnly)+"-oauth")
	if err := os.WriteFile(name+".md", []byte(b.String()), 0o644); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name+".json", append(raw, '\n'), 0o644)
}
