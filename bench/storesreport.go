//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// comparisonResults are what the JSON file of the stores holds.
type comparisonResults struct {
	Environment environment  `json:"environment"`
	Took        string       `json:"took"`
	Settings    string       `json:"settings"`
	Sessions    int          `json:"sessions"`
	AnswerBytes int          `json:"answer_bytes"`
	Stores      []storeFacts `json:"stores"`
	figures
	Aims []aim `json:"aims"`
}

// storeFacts are a store's figures that belong to no number of callers.
type storeFacts struct {
	Name       string   `json:"name"`
	Version    string   `json:"version"`
	Tuning     []string `json:"settings_beside_the_defaults,omitempty"`
	RowsBefore int      `json:"rows_before"`
	RowsAfter  int      `json:"rows_after"`
	Refreshes  int      `json:"refreshes_between"`
}

// storeAims are the least share of the ceiling at 64 callers.
var storeAims = map[string]float64{"postgres": 0.6, "redis": 0.65, "mariadb": 0.4}

// aimedAt is the number of callers that the aims are about.
const aimedAt = 64

func (r *comparisonResults) judge() {
	n := aimedAt
	if !slices.Contains(r.callers(), n) {
		n = most(r.callers())
	}
	add := func(what, aimed, figure string, reached bool) {
		r.Aims = append(r.Aims, aim{fmt.Sprintf(what, n), aimed, figure, reached})
	}
	for _, s := range r.Stores {
		title, bitjang := databaseTitles[s.Name], of(s.Name, partBitjang)
		share := r.ratio(bitjang, nameLimit, n)
		if least, aimed := storeAims[s.Name]; aimed {
			add(title+": refreshes at %d callers, of the ceiling", fmt.Sprintf("≥ %.2f", least), spread(share, 2), share.median() >= least)
		}
		late := r.find(bitjang, n).get(p99)
		add(title+": p99 at %d callers", "< 50 ms", spread(late, 1)+" ms", late.median() < 50)
		if s.Name == "postgres" {
			gain := r.ratio(of(s.Name, partAlone), of(s.Name, partBare), n)
			add(title+": store alone at %d callers, of the bare loop", "≥ 3.00", spread(gain, 2), gain.median() >= 3)
		}
		r.Aims = append(r.Aims, aim{title + ": rows added per refresh", "0", s.added(), s.RowsAfter == s.RowsBefore})
	}
}

func (s storeFacts) added() string {
	if s.RowsAfter == s.RowsBefore {
		return "0"
	}
	return fmt.Sprintf("%.6f", float64(s.RowsAfter-s.RowsBefore)/float64(max(1, s.Refreshes)))
}

func (r *comparisonResults) write(out io.Writer, dir string, began time.Time) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	name := filepath.Join(dir, began.Format("2006-01-02")+"-stores")
	p := page{
		title:  "Stores compared, " + began.Format("2006-01-02"),
		plot:   filepath.Base(name) + ".svg",
		tables: []*table{r.rateTable(), r.costTable(), r.rowTable(), aimTable(r.Aims), r.Environment.table(r.Took, r.Settings)},
		notes:  r.notes(),
	}
	if err := p.write(out, name+".md"); err != nil {
		return err
	}
	if err := os.WriteFile(name+".svg", []byte(r.plot()), 0o644); err != nil {
		return err
	}
	return writeJSON(name+".json", r)
}

func (r *comparisonResults) notes() string {
	return fmt.Sprintf(`"Of the ceiling" and "of the bare loop" are ratios round by round. The load generator shares the machine's %d cores with
what it loads, and so does the database server. Every store is durable as its defaults are (Redis as its column says) and held %s
sessions. The ceiling and Bitjang answer with %d bytes.`, r.Environment.Cores, thousands(float64(r.Sessions)), r.AnswerBytes) + r.Environment.warning()
}

func (r *comparisonResults) rateTable() *table {
	t := &table{title: "Refreshes per second", head: []string{"callers", "store", "through Bitjang", "of the ceiling", "p50 ms", "p99 ms", "store alone", "bare loop", "store, of the bare loop", "errors"}}
	for _, n := range r.callers() {
		ceiling := r.find(nameLimit, n)
		t.add(strconv.Itoa(n), "ceiling: HTTP + ES256 only", spread(ceiling.get(perSecond), 0), "1", number(ceiling.get(p50).median(), 2), spread(ceiling.get(p99), 2), "–", "–", "–", strconv.Itoa(ceiling.errors()))
		for _, s := range r.Stores {
			bitjang, alone, bare := r.find(of(s.Name, partBitjang), n), r.find(of(s.Name, partAlone), n), r.find(of(s.Name, partBare), n)
			t.add(strconv.Itoa(n), databaseTitles[s.Name], spread(bitjang.get(perSecond), 0), spread(r.ratio(of(s.Name, partBitjang), nameLimit, n), 2),
				number(bitjang.get(p50).median(), 2), spread(bitjang.get(p99), 2),
				spread(alone.get(perSecond), 0), spread(bare.get(perSecond), 0), spread(r.ratio(of(s.Name, partAlone), of(s.Name, partBare), n), 2),
				strconv.Itoa(bitjang.errors()+alone.errors()+bare.errors()))
		}
	}
	return t
}

func (r *comparisonResults) costTable() *table {
	t := &table{title: "What a refresh costs", head: []string{"callers", "store", "CPU ms, Bitjang", "CPU ms, database", "log bytes", "generator CPUs", "Bitjang resident MB"}}
	for _, n := range r.callers() {
		for _, s := range r.Stores {
			m := r.find(of(s.Name, partBitjang), n)
			t.add(strconv.Itoa(n), databaseTitles[s.Name], number(m.get(cpu).median(), 3), known(m.get(storeCPU), 3), known(m.get(logBytes), 0),
				number(m.get(generator).median(), 2), number(m.get(rss).median(), 1))
		}
	}
	return t
}

func storeCPU(l load) float64 { return l.StoreCPU }
func logBytes(l load) float64 { return l.Log }

// known is the median and spread of those figures that are known.
func known(s series, decimals int) string {
	s = slices.DeleteFunc(slices.Clone(s), func(v float64) bool { return v == 0 })
	if len(s) == 0 {
		return "–"
	}
	return spread(s, decimals)
}

func (r *comparisonResults) rowTable() *table {
	t := &table{title: "Rows", head: []string{"store", "version", "before", "after", "refreshes between", "added per refresh"}}
	for _, s := range r.Stores {
		version := strings.Join(append([]string{s.Version}, s.Tuning...), ", ")
		t.add(databaseTitles[s.Name], version, thousands(float64(s.RowsBefore)), thousands(float64(s.RowsAfter)), thousands(float64(s.Refreshes)), s.added())
	}
	return t
}

// storeColours are Okabe and Ito's again.
var storeColours = map[string]string{"sqlite": "#e69f00", "postgres": "#0072b2", "mariadb": "#009e73", "redis": "#d55e00", "redis-always": "#cc79a7"}

func (r *comparisonResults) plot() string {
	c := chart{title: fmt.Sprintf("Refreshes per second through Bitjang, %d cores, all on one machine", r.Environment.Cores), figures: &r.figures}
	c.bars = append(c.bars, barSeries{nameLimit, "ceiling", "#9ecae1"})
	for _, s := range r.Stores {
		c.bars = append(c.bars, barSeries{of(s.Name, partBitjang), databaseTitles[s.Name], storeColours[s.Name]})
	}
	return c.draw()
}
