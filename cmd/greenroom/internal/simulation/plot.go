package simulation

import (
	"fmt"
	"io"
	"os"
	"time"

	svg "github.com/ajstarks/svgo"

	"github.com/greenroom/greenroom/scaler/sizing/simulate"
)

// The plot's size and margins, in pixels.
const (
	plotWidth, plotHeight = 1200, 480
	left, right           = 60, 20
	top, bottom           = 50, 40
)

// curve is a line of the plot.
type curve struct {
	name, style string
	value       func(simulate.Step) float64
}

// writePlot writes a plot of the judged part to a file.
func writePlot(name string, refill time.Duration, r *simulate.Result) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	drawPlot(f, refill, r)
	return f.Close()
}

// drawPlot draws what was wanted and ready over the launches and misses of each step.
func drawPlot(w io.Writer, refill time.Duration, r *simulate.Result) {
	steps := r.Plot
	width := steps[1].At - steps[0].At
	curves := []curve{
		{"launches in a refill time", "stroke:#bbbbbb", func(s simulate.Step) float64 { return float64(s.Launches) / width * refill.Seconds() }},
		{"wanted", "stroke:#1f77b4", func(s simulate.Step) float64 { return s.Wanted }},
		{"ready", "stroke:#2ca02c", func(s simulate.Step) float64 { return s.Ready }},
		{"misses", "stroke:#d62728", func(s simulate.Step) float64 { return float64(s.Misses) }},
	}
	highest := 1.0
	for _, c := range curves {
		for _, s := range steps {
			highest = max(highest, c.value(s))
		}
	}
	x := func(i int) int { return left + (plotWidth-left-right)*i/(len(steps)-1) }
	y := func(v float64) int { return plotHeight - bottom - int((plotHeight-top-bottom)*v/highest) }

	c := svg.New(w)
	c.Start(plotWidth, plotHeight)
	c.Title(fmt.Sprintf("%.2f%% served warm, %.2f idle on average", 100*r.ServedWarm, r.MeanIdle))
	c.Rect(0, 0, plotWidth, plotHeight, "fill:white")
	const small = "font-family:sans-serif;font-size:12px;fill:#444444"
	const ticks = 5
	for i := range ticks + 1 {
		v := highest * float64(i) / ticks
		c.Line(left, y(v), plotWidth-right, y(v), "stroke:#eeeeee")
		c.Text(left-6, y(v)+4, fmt.Sprintf("%.1f", v), small+";text-anchor:end")
		at := (len(steps) - 1) * i / ticks
		c.Text(x(at), plotHeight-bottom+20, time.Unix(int64(steps[at].At), 0).UTC().Format("Jan 2 15:04"), small+";text-anchor:middle")
	}
	for n, line := range curves {
		xs, ys := make([]int, len(steps)), make([]int, len(steps))
		for i, s := range steps {
			xs[i], ys[i] = x(i), y(line.value(s))
		}
		c.Polyline(xs, ys, "fill:none;stroke-width:1;"+line.style)
		at := left + n*260
		c.Line(at, top-24, at+24, top-24, "stroke-width:3;"+line.style)
		c.Text(at+30, top-20, line.name, small)
	}
	c.End()
}
