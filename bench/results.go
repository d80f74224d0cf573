//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// What is measured at each number of callers.
const (
	nameBitjang = "bitjang"
	nameLimit   = "limit (b)"
	nameStore   = "store alone"
	nameRaw     = "raw driver (a)"
)

// names are in the order of the table and the plot.
var names = []string{nameBitjang, nameLimit, nameStore, nameRaw}

// meanings are the names for people.
var meanings = map[string]string{
	nameBitjang: "Bitjang, POST /v1/refresh",
	nameLimit:   "limit (b): HTTP + ES256 only",
	nameStore:   "store alone",
	nameRaw:     "limit (a): raw driver",
}

// results are what the JSON file holds: a figure per round.
type results struct {
	Environment environment `json:"environment"`
	Took        string      `json:"took"`
	Settings    string      `json:"settings"`
	Sessions    int         `json:"sessions"`
	Logins      int         `json:"sessions_logged_in"`
	AnswerBytes int         `json:"answer_bytes"`
	figures
	Cached   verifying `json:"verification_cached"`
	Uncached verifying `json:"verification_uncached"`
	Disk     struct {
		SyncMS         series `json:"append_4k_fdatasync_ms"`
		GroupedAppends series `json:"appends_of_256_bytes_64_per_fdatasync_per_second"`
		GroupedUpdates series `json:"raw_driver_64_updates_per_commit_per_second"`
	} `json:"disk"`
	StartMS series `json:"start_to_ready_ms"`
	Binary  struct {
		Plain    float64 `json:"plain_mb"`
		Stripped float64 `json:"stripped_mb"`
	} `json:"binary"`
	Memory struct {
		Idle      memory  `json:"after_start"`
		Loaded    memory  `json:"after_refreshes"`
		PerSecond float64 `json:"random_sessions_per_second"`
	} `json:"memory"`
	Aims []aim `json:"aims"`
}

// figures are what closed loops came to.
type figures struct {
	Loads []*measured `json:"loads"`
}

// measured is one contestant at one number of callers, round by round.
type measured struct {
	Name    string `json:"name"`
	Callers int    `json:"callers"`
	Rounds  []load `json:"rounds"`
}

// verifying is verifications per second.
type verifying struct {
	One series `json:"per_second_one_core"`
	All series `json:"per_second_all_cores"`
}

// aim is something promised, and what came of it.
type aim struct {
	What    string `json:"what"`
	Aim     string `json:"aim"`
	Figure  string `json:"figure"`
	Reached bool   `json:"reached"`
}

func (a aim) verdict() string {
	if a.Reached {
		return "reached"
	}
	return "missed"
}

func (r *figures) add(name string, callers int, l load) {
	m := r.find(name, callers)
	if m == nil {
		m = &measured{Name: name, Callers: callers}
		r.Loads = append(r.Loads, m)
	}
	m.Rounds = append(m.Rounds, l)
}

func (r *figures) find(name string, callers int) *measured {
	for _, m := range r.Loads {
		if m.Name == name && m.Callers == callers {
			return m
		}
	}
	return nil
}

// get is one figure of each round.
func (m *measured) get(figure func(load) float64) series {
	if m == nil {
		return nil
	}
	var s series
	for _, l := range m.Rounds {
		s = append(s, figure(l))
	}
	return s
}

func (m *measured) errors() (n int) {
	for _, l := range m.Rounds {
		n += l.Errors
	}
	return n
}

func perSecond(l load) float64 { return l.PerSecond }
func p50(l load) float64       { return l.P50 }
func p99(l load) float64       { return l.P99 }
func cpu(l load) float64       { return l.CPU }
func generator(l load) float64 { return l.Generator }
func rss(l load) float64       { return l.RSS }

func (r *figures) errors() (n int) {
	for _, m := range r.Loads {
		n += m.errors()
	}
	return n
}

// verdict is an error if anything failed.
func (r *figures) verdict() error {
	if n := r.errors(); n > 0 {
		return fmt.Errorf("%d operations failed: the figures are worth nothing", n)
	}
	return nil
}

// callers are the numbers measured, in order.
func (r *figures) callers() []int {
	var out []int
	for _, m := range r.Loads {
		if !slices.Contains(out, m.Callers) {
			out = append(out, m.Callers)
		}
	}
	slices.Sort(out)
	return out
}

// ratio of one contestant to another, round by round.
func (r *figures) ratio(name, to string, callers int) series {
	return r.find(name, callers).get(perSecond).over(r.find(to, callers).get(perSecond))
}

// judge holds the figures against the aims.
func (r *results) judge() {
	n := most(r.callers())
	vsLimit, vsRaw := r.ratio(nameBitjang, nameLimit, n), r.ratio(nameStore, nameRaw, n)
	late := r.find(nameBitjang, n).get(p99)
	cached := nanoseconds(r.Cached.One)
	r.Aims = []aim{
		{fmt.Sprintf("refreshes at %d callers, of limit (b)", n), "≥ 0.50", spread(vsLimit, 2), vsLimit.median() >= 0.5},
		{fmt.Sprintf("p99 of a refresh at %d callers", n), "< 50 ms", spread(late, 1) + " ms", late.median() < 50},
		{fmt.Sprintf("store alone at %d callers, of limit (a)", n), "≥ 3.00", spread(vsRaw, 2), vsRaw.median() >= 3},
		{"resident memory after refreshes, " + thousands(float64(r.Sessions)) + " sessions", "< 50 MB", fmt.Sprintf("%.1f MB", r.Memory.Loaded.RSS), r.Memory.Loaded.RSS < 50},
		{"cached verification, one core", "< 2 µs", spread(nanoseconds(r.Cached.One).times(0.001), 2) + " µs", cached.median() < 2000},
	}
}

// nanoseconds per operation, from operations per second.
func nanoseconds(s series) series {
	var out series
	for _, v := range s {
		if v > 0 {
			out = append(out, 1e9/v)
		}
	}
	return out
}

func (s series) times(factor float64) series {
	var out series
	for _, v := range s {
		out = append(out, v*factor)
	}
	return out
}

func most(numbers []int) int {
	if len(numbers) == 0 {
		return 0
	}
	return slices.Max(numbers)
}

// spread is a median and, in parentheses, the least and the greatest figure.
func spread(s series, decimals int) string {
	if len(s) < 2 {
		return number(s.median(), decimals)
	}
	return fmt.Sprintf("%s (%s–%s)", number(s.median(), decimals), number(s.min(), decimals), number(s.max(), decimals))
}

func number(v float64, decimals int) string {
	if decimals == 0 {
		return thousands(v)
	}
	return fmt.Sprintf("%.*f", decimals, v)
}

// thousands writes a whole number in groups of three.
func thousands(v float64) string {
	digits := fmt.Sprintf("%.0f", v)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

func writeJSON(file string, v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(raw, '\n'), 0o644)
}
