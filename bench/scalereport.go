//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// scaleResults are what the JSON file of the scale report holds.
type scaleResults struct {
	Environment environment   `json:"environment"`
	Took        string        `json:"took"`
	Settings    string        `json:"settings"`
	Callers     int           `json:"callers"`
	Sessions    int           `json:"sessions"`
	Small       int           `json:"sessions_in_the_small_store"`
	Stores      []*scaleFacts `json:"stores"`
	Aims        []aim         `json:"aims"`
}

// scaleFacts are a store's figures.
type scaleFacts struct {
	Name            string   `json:"name"`
	Version         string   `json:"version"`
	Tuning          []string `json:"settings_beside_the_defaults,omitempty"`
	Inserted        int      `json:"inserted_through_the_store"`
	InsertPerSecond float64  `json:"inserted_per_second"`
	BulkPerSecond   float64  `json:"bulk_per_second"`
	BulkSeconds     float64  `json:"bulk_seconds"`
	BytesEach       float64  `json:"bytes_per_session"`
	Small           rounds   `json:"small"`
	Large           rounds   `json:"large"`
	Cleaning        cleaning `json:"cleaning"`
}

// rounds are the loads of a store, one per round.
type rounds []load

func (r rounds) get(figure func(load) float64) series { return (&measured{Rounds: r}).get(figure) }

// flat is how much a large store may be worse than a small one.
const flat = 2

func (r *scaleResults) judge() {
	for _, s := range r.Stores {
		title := databaseTitles[s.Name]
		add := func(what, figure string, reached bool) {
			r.Aims = append(r.Aims, aim{title + ": " + what, "≤ 2.00", figure, reached})
		}
		slower := s.Small.get(perSecond).over(s.Large.get(perSecond))
		add("rate of the small store, of the large one's", spread(slower, 2), slower.median() <= flat)
		later := s.Large.get(p99).over(s.Small.get(p99))
		add("p99 of the large store, of the small one's", spread(later, 2), later.median() <= flat)
		cleaning := ratio(s.Cleaning.During.P99, s.Cleaning.Before.P99)
		add("p99 while cleaning, of that before", number(cleaning, 2), cleaning > 0 && cleaning <= flat)
	}
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func (r *scaleResults) verdict() error {
	n := 0
	for _, s := range r.Stores {
		n += s.Cleaning.Errors
		for _, l := range append(s.Small, s.Large...) {
			n += l.Errors
		}
	}
	if n > 0 {
		return fmt.Errorf("%d operations failed: the figures are worth nothing", n)
	}
	return nil
}

func (r *scaleResults) write(out io.Writer, dir string, began time.Time) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	name := filepath.Join(dir, began.Format("2006-01-02")+"-scale")
	p := page{
		title:  fmt.Sprintf("%s sessions, %s", thousands(float64(r.Sessions)), began.Format("2006-01-02")),
		tables: []*table{r.loadTable(), r.compareTable(), r.cleanTable(), aimTable(r.Aims), r.Environment.table(r.Took, r.Settings)},
		notes:  r.notes(),
	}
	if err := p.write(out, name+".md"); err != nil {
		return err
	}
	return writeJSON(name+".json", r)
}

func (r *scaleResults) notes() string {
	return fmt.Sprintf(`Users have one to five sessions. Each refresh is of a random session of all, through the binary, by %d callers; the small store
is a server of its own with %s sessions, and the two were measured in turns. Bytes per session count indexes (PostgreSQL
pg_total_relation_size, MariaDB the table's file, SQLite the file, Redis used_memory). The sweeper is the service's own.`,
		r.Callers, thousands(float64(r.Small))) + r.Environment.warning()
}

func (r *scaleResults) loadTable() *table {
	t := &table{title: "Loading", head: []string{"store", "version", "InsertSession per second", "all by it would take", "in bulk per second", "took", "bytes per session"}}
	for _, s := range r.Stores {
		all := time.Duration(ratio(float64(r.Sessions), s.InsertPerSecond) * float64(time.Second))
		bulk := time.Duration(s.BulkSeconds * float64(time.Second))
		t.add(databaseTitles[s.Name], strings.Join(append([]string{s.Version}, s.Tuning...), ", "),
			thousands(s.InsertPerSecond), all.Round(time.Second).String(), thousands(s.BulkPerSecond), bulk.Round(time.Second).String(), thousands(s.BytesEach))
	}
	return t
}

func (r *scaleResults) compareTable() *table {
	t := &table{title: "Random sessions of many and of few", head: []string{"store", "sessions", "refreshes per second", "p50 ms", "p99 ms", "CPU ms, Bitjang", "CPU ms, database", "log bytes", "Bitjang resident MB"}}
	for _, s := range r.Stores {
		for _, v := range []struct {
			n int
			r rounds
		}{{r.Small, s.Small}, {r.Sessions, s.Large}} {
			t.add(databaseTitles[s.Name], thousands(float64(v.n)), spread(v.r.get(perSecond), 0), number(v.r.get(p50).median(), 2), spread(v.r.get(p99), 2),
				number(v.r.get(cpu).median(), 3), known(v.r.get(storeCPU), 3), known(v.r.get(logBytes), 0), number(v.r.get(rss).median(), 1))
		}
	}
	return t
}

func (r *scaleResults) cleanTable() *table {
	t := &table{title: "Cleaning up", head: []string{"store", "expired", "took s", "removed per second", "p99 ms before", "p99 ms during", "p99 ms after", "refreshes per second before", "during", "after"}}
	for _, s := range r.Stores {
		c := s.Cleaning
		t.add(databaseTitles[s.Name], thousands(float64(c.Expired)), thousands(c.Seconds), thousands(c.PerSecond),
			number(c.Before.P99, 2), number(c.During.P99, 2), number(c.After.P99, 2), thousands(c.Before.PerSecond), thousands(c.During.PerSecond), thousands(c.After.PerSecond))
	}
	return t
}
