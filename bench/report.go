//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// table is written twice: aligned for the terminal, and as Markdown.
type table struct {
	title string
	head  []string
	rows  [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// lines are the head, a rule and the rows, with aligned columns.
func (t *table) write(w io.Writer, markdown bool) {
	widths := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	left, between, right, rule := "", "  ", "", "--"
	if markdown {
		left, between, right, rule = "| ", " | ", " |", "-|-"
	}
	line := func(cells []string) {
		padded := make([]string, len(cells))
		for i, cell := range cells {
			padded[i] = cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		}
		fmt.Fprintln(w, strings.TrimRight(left+strings.Join(padded, between)+right, " "))
	}
	heading := t.title
	if markdown {
		heading = "## " + t.title
	}
	fmt.Fprintf(w, "\n%s\n\n", heading)
	line(t.head)
	rules := make([]string, len(widths))
	for i, n := range widths {
		rules[i] = strings.Repeat("-", n)
	}
	fmt.Fprintln(w, strings.ReplaceAll(left, " ", "-")+strings.Join(rules, rule)+strings.ReplaceAll(right, " ", "-"))
	for _, row := range t.rows {
		line(row)
	}
}

// write prints the report and puts it, the figures and the plot into dir.
func (r *results) write(out io.Writer, dir string, began time.Time) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	name := filepath.Join(dir, began.Format("2006-01-02"))
	p := page{
		title:  "Benchmark of " + began.Format("2006-01-02"),
		plot:   filepath.Base(name) + ".svg",
		tables: []*table{r.loadTable(), r.ratioTable(), r.aimTable(), r.otherTable(), r.environmentTable()},
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

// page is a report.
type page struct {
	title  string
	plot   string // a file, or ""
	tables []*table
	notes  string
}

// write prints the report and makes it a file.
func (p page) write(out io.Writer, file string) error {
	var text strings.Builder
	fmt.Fprintf(&text, "# %s\n\n%s\n", p.title, intro)
	if p.plot != "" {
		fmt.Fprintf(&text, "\n![Operations per second](%s)\n", p.plot)
	}
	for _, t := range p.tables {
		t.write(&text, true)
		t.write(out, false)
	}
	fmt.Fprintf(&text, "\n%s\n", p.notes)
	fmt.Fprintf(out, "\n%s\n\n%s written.\n", p.notes, file)
	return os.WriteFile(file, []byte(text.String()), 0o644)
}

const intro = "Medians of the rounds, with the least and the greatest in parentheses. [README.md](../README.md) says what each row means and how to repeat it."

func (r *results) notes() string {
	text := fmt.Sprintf(`The load generator shares the machine with what it loads: "generator CPUs" of the %d are its own.
Of the %s sessions %s were opened by logging in, and only those can be refreshed; the others were written straight
into the table. Logging in used cheap password hashes (%s). Both servers answer with %d bytes.`,
		r.Environment.Cores, thousands(float64(r.Sessions)), thousands(float64(r.Logins)), "8 MiB, one pass", r.AnswerBytes)
	return text + r.Environment.warning()
}

// warning is about others that were at work.
func (e environment) warning() string {
	if e.Others <= quiet {
		return ""
	}
	return fmt.Sprintf("\nOther programs took %.2f processors while this was measured: do not quote these figures.", e.Others)
}

// quiet is how many processors others may take: the kernel's own work for us
// counts as theirs.
const quiet = 0.15

func (r *results) loadTable() *table {
	t := &table{title: "Closed loop", head: []string{"what", "callers", "per second", "p50 ms", "p99 ms", "errors", "CPU ms each", "generator CPUs", "resident MB"}}
	for _, name := range names {
		for _, n := range r.callers() {
			m := r.find(name, n)
			if m == nil {
				continue
			}
			generators, resident := "–", "–" // inside this process
			if name == nameBitjang || name == nameLimit {
				generators, resident = number(m.get(generator).median(), 2), number(m.get(rss).median(), 1)
			}
			t.add(meanings[name], strconv.Itoa(n), spread(m.get(perSecond), 0), number(m.get(p50).median(), 2), spread(m.get(p99), 2),
				strconv.Itoa(m.errors()), number(m.get(cpu).median(), 3), generators, resident)
		}
	}
	return t
}

func (r *results) ratioTable() *table {
	t := &table{title: "Ratios, round by round", head: []string{"callers", "Bitjang / limit (b)", "store alone / limit (a)", "Bitjang / store alone"}}
	for _, n := range r.callers() {
		t.add(strconv.Itoa(n), spread(r.ratio(nameBitjang, nameLimit, n), 2), spread(r.ratio(nameStore, nameRaw, n), 2), spread(r.ratio(nameBitjang, nameStore, n), 2))
	}
	return t
}

func (r *results) aimTable() *table { return aimTable(r.Aims) }

func aimTable(aims []aim) *table {
	t := &table{title: "Aims", head: []string{"what", "aim", "figure", ""}}
	for _, a := range aims {
		t.add(a.What, a.Aim, a.Figure, a.verdict())
	}
	return t
}

func (r *results) otherTable() *table {
	t := &table{title: "Single figures", head: []string{"what", "figure"}}
	for _, v := range []struct {
		name string
		of   verifying
	}{{"cached", r.Cached}, {"not cached", r.Uncached}} {
		t.add("verification, "+v.name+", one core", spread(v.of.One, 0)+"/s, "+thousands(nanoseconds(v.of.One).median())+" ns each")
		t.add("verification, "+v.name+", all cores", spread(v.of.All, 0)+"/s")
	}
	t.add("process start to first /readyz, "+thousands(float64(r.Sessions))+" sessions", fmt.Sprintf("%s ms, %d starts", spread(r.StartMS, 0), len(r.StartMS)))
	t.add("binary, plain / stripped", fmt.Sprintf("%.1f / %.1f MB", r.Binary.Plain, r.Binary.Stripped))
	m := r.Memory
	t.add("memory after start: resident / anonymous / peak", fmt.Sprintf("%.1f / %.1f / %.1f MB", m.Idle.RSS, m.Idle.Anon, m.Idle.Peak))
	t.add("memory after refreshes of random sessions", fmt.Sprintf("%.1f / %.1f / %.1f MB, at %s/s", m.Loaded.RSS, m.Loaded.Anon, m.Loaded.Peak, thousands(m.PerSecond)))
	d := r.Disk
	t.add("append of 4 KiB + fdatasync", spread(d.SyncMS, 3)+" ms")
	t.add("appends of 256 B, 64 per fdatasync", spread(d.GroupedAppends, 0)+"/s")
	t.add("raw driver, 64 updates per commit, one caller", spread(d.GroupedUpdates, 0)+"/s")
	return t
}

func (r *results) environmentTable() *table { return r.Environment.table(r.Took, r.Settings) }

func (e environment) table(took, settings string) *table {
	t := &table{title: "Environment", head: []string{"", ""}}
	t.add("date", e.Date+", took "+took)
	t.add("processor", fmt.Sprintf("%s, %d cores", e.CPU, e.Cores))
	t.add("Go, Linux, file system", e.Go+", "+e.Kernel+", "+e.Disk)
	t.add("revision", e.Revision)
	t.add("load average before", e.Load)
	t.add("processors taken by others meanwhile", number(e.Others, 2))
	t.add("measured", settings)
	return t
}
