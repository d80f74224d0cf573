//go:build linux

package main

import (
	"fmt"
	"math"
	"strings"
)

// Sizes of the plot, in pixels.
const (
	plotWidth, plotHeight = 820, 420
	plotLeft, plotRight   = 76, 20
	plotTop, plotBottom   = 74, 56
)

// colours tell the bars apart for colour-blind people too (Okabe and Ito).
var colours = map[string]string{nameBitjang: "#0072b2", nameLimit: "#9ecae1", nameStore: "#d55e00", nameRaw: "#fdbe85"}

// chart draws operations per second as bars, one group for each number of
// callers, with the least and the greatest round as whiskers.
type chart struct {
	title   string
	figures *figures
	bars    []barSeries
}

// barSeries is one bar of each group.
type barSeries struct{ name, label, colour string }

// plot is the embedded report's.
func (r *results) plot() string {
	c := chart{title: fmt.Sprintf("Refreshes per second, %d cores, load generator included", r.Environment.Cores), figures: &r.figures}
	for _, name := range names {
		c.bars = append(c.bars, barSeries{name, meanings[name], colours[name]})
	}
	return c.draw()
}

func (c chart) draw() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d" font-family="sans-serif" font-size="12" fill="#222">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<title>Refreshes per second</title><rect width="100%%" height="100%%" fill="#fff"/>`+"\n")
	fmt.Fprintf(&b, `<text x="%d" y="24" font-size="15" font-weight="bold">%s</text>`+"\n", plotLeft, c.title)
	x := plotLeft
	for _, s := range c.bars {
		fmt.Fprintf(&b, `<rect x="%d" y="39" width="11" height="11" fill="%s"/><text x="%d" y="49" font-size="11">%s</text>`+"\n", x, s.colour, x+16, s.label)
		x += 40 + 6*len(s.label)
	}
	top := c.axis(&b)
	callers := c.figures.callers()
	group := float64(plotWidth-plotLeft-plotRight) / float64(max(1, len(callers)))
	for g, n := range callers {
		left := plotLeft + group*float64(g)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%d</text>`+"\n", left+group/2, plotHeight-plotBottom+18, n)
		width := group * 0.84 / float64(len(c.bars))
		for i, s := range c.bars {
			c.bar(&b, s, n, left+group*0.08+width*float64(i), width-4, top)
		}
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">callers at once (closed loop)</text>`+"\n", (plotLeft+plotWidth-plotRight)/2, plotHeight-14)
	b.WriteString("</svg>\n")
	return b.String()
}

// axis draws the vertical one and returns the value at its top.
func (c chart) axis(b *strings.Builder) float64 {
	greatest := 1.0
	for _, n := range c.figures.callers() {
		for _, s := range c.bars {
			greatest = max(greatest, c.figures.find(s.name, n).get(perSecond).max())
		}
	}
	step := niceStep(greatest / 5)
	top := step * math.Ceil(greatest*1.05/step)
	for v := 0.0; v <= top; v += step {
		y := height(v, top)
		fmt.Fprintf(b, `<line x1="%d" x2="%d" y1="%.1f" y2="%[3]f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			plotLeft, plotWidth-plotRight, y, plotLeft-8, y+4, thousands(v))
	}
	middle := (plotTop + plotHeight - plotBottom) / 2
	fmt.Fprintf(b, `<text x="18" y="%d" text-anchor="middle" transform="rotate(-90 18 %[1]d)">per second</text>`+"\n", middle)
	return top
}

func (c chart) bar(b *strings.Builder, of barSeries, callers int, x, width, top float64) {
	s := c.figures.find(of.name, callers).get(perSecond)
	y := height(s.median(), top)
	fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`, x, y, width, height(0, top)-y, of.colour)
	fmt.Fprintf(b, `<line x1="%.1f" x2="%[1]f" y1="%.1f" y2="%.1f" stroke="#444"/>`, x+width/2, height(s.min(), top), height(s.max(), top))
	size := min(11, max(8, width/3)) // narrow bars cannot carry five digits at full size
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle" font-size="%.0f">%s</text>`+"\n", x+width/2, height(s.max(), top)-5, size, thousands(s.median()))
}

// height is where a value stands on the vertical axis.
func height(v, top float64) float64 {
	return float64(plotHeight-plotBottom) - v/top*float64(plotHeight-plotBottom-plotTop)
}

// niceStep is the next 1, 2 or 5 times a power of ten.
func niceStep(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, factor := range []float64{1, 2, 5} {
		if factor*power >= v {
			return factor * power
		}
	}
	return 10 * power
}
