package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// shortTime is how tables write a moment, in local time.
const shortTime = "2006-01-02 15:04"

func short(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(shortTime)
}

// table writes aligned columns. Flush it at the end.
type table struct{ *tabwriter.Writer }

func newTable(w io.Writer, columns ...string) table {
	t := table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	t.row(columns...)
	return t
}

func (t table) row(cells ...string) {
	for i, c := range cells {
		if c == "" {
			cells[i] = "-"
		}
	}
	fmt.Fprintln(t, strings.Join(cells, "\t"))
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// jsonList writes an array element by element, so that a long listing neither
// waits for its end nor fills the memory.
type jsonList struct {
	w    io.Writer
	some bool
}

func (l *jsonList) add(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	separator := "[\n  "
	if l.some {
		separator = ",\n  "
	}
	l.some = true
	_, err = fmt.Fprintf(l.w, "%s%s", separator, b)
	return err
}

func (l *jsonList) end() error {
	text := "[]\n"
	if l.some {
		text = "\n]\n"
	}
	_, err := io.WriteString(l.w, text)
	return err
}

// progress tells a person who waits how far the work is; quick work says
// nothing.
type progress struct {
	w    io.Writer
	next time.Time
}

func newProgress(w io.Writer) *progress {
	return &progress{w, time.Now().Add(progressEvery)}
}

const progressEvery = 2 * time.Second

func (p *progress) report(format string, args ...any) {
	if now := time.Now(); now.After(p.next) {
		p.next = now.Add(progressEvery)
		fmt.Fprintf(p.w, format+"\n", args...)
	}
}
