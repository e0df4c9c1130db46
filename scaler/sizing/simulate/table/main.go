// Command table prints what `make bench-sizing` shows: what sizing by demand reaches on the
// demand series in a directory, beside its targets. The series are not part of this
// checkout. Every series is sized with the same settings.
//
// It exits with 0 even if targets are not met. It fails if a series cannot be read or if
// there are none.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/greenroom/greenroom/scaler/sizing/simulate"
)

// The targets.
const (
	target        = 0.99
	worstHour     = 0.95
	meanCaptured  = 0.80
	trainingShare = 0.7
)

// load is what each series is tried with.
type load struct {
	name   string
	mean   float64
	cv     float64
	judged bool
}

var loads = []load{
	{name: "3 launches a refill", mean: 3, judged: true},
	{name: "0.5 launches a refill", mean: 0.5},
	{name: "30 launches a refill", mean: 30},
	{name: "3 launches a refill, drawn refill times (cv 0.5)", mean: 3, cv: 0.5},
}

var refills = []time.Duration{time.Minute, 5 * time.Minute}

func main() {
	seeds := flag.Int("seeds", 5, "runs of each line; its figures are their means")
	only := flag.Bool("judged", false, "only the lines that have targets")
	made := flag.Bool("generated", false, "generated series of other kinds, instead of a directory's")
	flag.Parse()
	if err := run(os.Stdout, flag.Args(), *made, *seeds, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench-sizing:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, args []string, generated bool, seeds int, judgedOnly bool) error {
	all := madeUp()
	if !generated {
		var err error
		if all, err = readAll(args); err != nil {
			return err
		}
	}
	for _, l := range loads {
		if judgedOnly && !l.judged {
			continue
		}
		if err := printLoad(w, l, all, seeds); err != nil {
			return err
		}
	}
	return nil
}

// named is a series with its name.
type named struct {
	name string
	simulate.Series
}

func madeUp() []named {
	var all []named
	for _, s := range shapes {
		all = append(all, named{s.name, s.generate()})
	}
	return all
}

func readAll(args []string) ([]named, error) {
	if len(args) != 1 || args[0] == "" {
		return nil, errors.New("name the directory with the demand series (NAME.csv, with lines of time,count): make bench-sizing DEMAND=DIRECTORY")
	}
	files, err := filepath.Glob(filepath.Join(args[0], "*.csv"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no demand series (*.csv) in %s: give their directory, make bench-sizing DEMAND=DIRECTORY", args[0])
	}
	var all []named
	for _, file := range files {
		s, err := read(file)
		if err != nil {
			return nil, err
		}
		all = append(all, named{strings.TrimSuffix(filepath.Base(file), ".csv"), s})
	}
	return all, nil
}

func read(file string) (simulate.Series, error) {
	f, err := os.Open(file)
	if err != nil {
		return simulate.Series{}, err
	}
	defer f.Close()
	s, err := simulate.ReadSeries(f)
	if err != nil {
		return simulate.Series{}, fmt.Errorf("%s: %w", file, err)
	}
	return s, nil
}

// printLoad prints the lines of a load, and how they stand to the targets.
func printLoad(w io.Writer, l load, all []named, seeds int) error {
	fmt.Fprintf(w, "%s, target %g, mean of %d seeds\n", l.name, target, seeds)
	// Each line is printed when it is known: they take a while.
	fmt.Fprintf(w, "%-16s %7s %7s %6s %7s %7s %7s %7s %5s %7s %8s\n", "SERIES", "REFILL", "WARM", "WORST", "IDLE", "FIXED", "KNOWN", "CLAIRV.", "PEAK", "LESS", "CAPTURED")
	var sum, lines float64
	served, worst, least := 1.0, 1.0, 1.0
	for _, s := range all {
		for _, refill := range refills {
			m, err := mean(s.Series, l, refill, seeds)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			captured := "-"
			if m.measured > 0 {
				captured = fmt.Sprintf("%.3f", m.captured)
				sum, lines, least = sum+m.captured, lines+1, min(least, m.captured)
			}
			served, worst = min(served, m.served), min(worst, m.worst)
			fmt.Fprintf(w, "%-16s %7s %7.4f %6.3f %7.2f %7.2f %7.2f %7.2f %5.0f %6.1f%% %8s\n",
				s.name, refill, m.served, m.worst, m.idle, m.fixed, m.known, m.clairvoyant, m.peak, 100*m.reduction, captured)
		}
	}
	if l.judged {
		verdict(w, "served warm at least 0.990 everywhere", served, served >= target)
		verdict(w, "no clock hour under 0.95", worst, worst >= worstHour)
		verdict(w, "captured at least 0.80 on average", sum/max(lines, 1), sum >= meanCaptured*lines)
		verdict(w, "captured never under 0", least, least >= 0)
	}
	_, err := fmt.Fprintln(w)
	return err
}

func verdict(w io.Writer, what string, figure float64, met bool) {
	word := "NOT MET"
	if met {
		word = "met"
	}
	fmt.Fprintf(w, "%s: %.4f, %s\n", what, figure, word)
}

// means are the means of several runs.
type means struct {
	served, worst, idle, fixed, known, clairvoyant, peak, reduction float64
	// captured is over the runs in which it could be measured.
	captured float64
	measured int
}

func mean(s simulate.Series, l load, refill time.Duration, seeds int) (means, error) {
	var m means
	n := float64(seeds)
	for seed := range seeds {
		r, err := simulate.Run(s, simulate.Options{
			Refill: refill, RefillCV: l.cv, Target: target, MeanPerRefill: l.mean, Seed: uint64(seed + 1), Train: trainingShare,
		})
		if err != nil {
			return means{}, err
		}
		m.served += r.ServedWarm / n
		m.worst += r.WorstHour / n
		m.idle += r.MeanIdle / n
		m.fixed += r.BestFixedIdle / n
		m.known += r.KnownRateIdle / n
		m.clairvoyant += r.ClairvoyantIdle / n
		m.peak += float64(r.Peak) / n
		m.reduction += r.Reduction / n
		if r.Captured != nil {
			m.captured += *r.Captured
			m.measured++
		}
	}
	m.captured /= max(float64(m.measured), 1)
	return m, nil
}
