// Package simulation is greenroom simulate: what a pool that is sized by its demand would
// have done.
package simulation

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/scaler/sizing/simulate"
)

// NewCommand returns greenroom simulate. complete completes the names of staging configs.
func NewCommand(complete cobra.CompletionFunc) *cobra.Command {
	var (
		o            simulate.Options
		demand, plot string
	)
	cmd := &cobra.Command{
		Use:   "simulate NAME | --demand FILE",
		Short: "Show what a pool that is sized by its demand would have done",
		Long: `Replay a demand and show what a pool that is sized by its demand would have done: the
share of launches that it would have served warm, and how many sessions would have been
idle for that. Beside it, at the same share served warm: fixed pools, chosen in hindsight,
and pools that know the true rate of launches.

With NAME the demand is the history of that staging config's pool, of eight weeks at most,
and its sizing and its mean time to ready count where no flag says otherwise. Nothing is
changed. With --demand it is that of a file, and no server is asked.

The file has lines of time,count below that header. A time is the start of a slot, in Unix
seconds or RFC 3339, and its count the launches in it. All slots are equally long, without
gaps; days and clock hours are those of UTC. "-" is standard input.

Launches are drawn at random (--seed) at the rate of the file: between the middles of
slots of 10 minutes and more it runs in straight lines, within shorter ones it is constant.
A launch takes a ready session, or is made on demand and takes none. The first part of the
file (--train) is history, the rest is judged; the sizing sees only what has happened.

With -o json:
  served_warm       share of launches that found a ready session
  worst_hour        the lowest such share of the 24 clock hours with at least 100 launches
  mean_idle, peak   sessions ready on average; ready or on their way at most
  arrivals          launches
  curve             what fixed pools reach: sessions, served_warm, mean_idle
  best_fixed_idle   mean idle of fixed pools at this served_warm
  known_rate_idle   that of pools that know the true rate, with equal misses at all times
  clairvoyant_idle  that of pools that know the true rate, with misses where they save most
  reduction         how much less than fixed pools is idle, as a share
  captured          the same, as a share of what knowing the rate saves; null if that is
                    nothing, because demand is always the same`,
		Example: `  greenroom simulate demo-east
  greenroom simulate --demand launches.csv --refill 60s --target 0.99
  greenroom simulate --demand launches.csv --refill 60s --target 0.99 --mean-per-refill 3 --seed 1 --train 0.7 -o json
  greenroom simulate --demand launches.csv --refill 5m --plot launches.svg`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: complete,
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == cmd.Flags().Changed("demand") {
				return exit.BadUsage(errors.New("name a staging config or give --demand, one of them"))
			}
			if err := o.Validate(); err != nil {
				return exit.BadUsage(fmt.Errorf("--%w", err))
			}
			if len(args) == 1 {
				return runOnHistory(cmd, o, args[0], plot)
			}
			return run(cmd, o, demand, plot)
		},
	}
	f := cmd.Flags()
	f.StringVar(&demand, "demand", "", "the file with the demand")
	f.DurationVar(&o.Refill, "refill", time.Minute, "mean time from wanted to ready")
	f.Float64Var(&o.RefillCV, "refill-cv", 0, "draw refill times with this standard deviation, as a share of their mean")
	f.Float64Var(&o.Target, "target", 0.99, "share of launches to serve warm")
	f.Float64Var(&o.MeanPerRefill, "mean-per-refill", 0, "scale the demand to so many launches a refill on average (default: as it is)")
	f.Uint64Var(&o.Seed, "seed", 1, "chooses the launches")
	f.Float64Var(&o.Train, "train", 0.7, "share of the demand that is history")
	f.IntVar(&o.Min, "min", 0, "want at least so many sessions")
	f.IntVar(&o.Max, "max", 0, "want at most so many sessions (default: no bound)")
	f.StringVar(&plot, "plot", "", "write a plot to this file, as SVG")
	return cmd
}

func run(cmd *cobra.Command, o simulate.Options, demand, plot string) error {
	series, err := read(cmd.InOrStdin(), demand)
	if err != nil {
		return err
	}
	return show(cmd, series, o, demand, plot)
}

// show simulates a series, which errors call by a name, and prints and plots the result.
func show(cmd *cobra.Command, series simulate.Series, o simulate.Options, name, plot string) error {
	result, err := simulate.Run(series, o)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if plot != "" {
		if err := writePlot(plot, o.Refill, result); err != nil {
			return err
		}
	}
	if output.WantsJSON(cmd) {
		return output.JSON(cmd, result)
	}
	return printResult(cmd.OutOrStdout(), o, result)
}

func read(stdin io.Reader, name string) (simulate.Series, error) {
	in := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return simulate.Series{}, err
		}
		defer f.Close()
		in = f
	}
	series, err := simulate.ReadSeries(in)
	if err != nil {
		return simulate.Series{}, fmt.Errorf("%s: %w", name, err)
	}
	return series, nil
}

// printResult prints the sizing beside what it is compared with.
func printResult(w io.Writer, o simulate.Options, r *simulate.Result) error {
	percent := func(share float64) string { return strconv.FormatFloat(100*share, 'f', 2, 64) + "%" }
	fmt.Fprintf(w, "%d launches, %s of them served warm (wanted: %s), %s in the worst hour of the day, at most %d sessions, %d retired unused\n\n",
		r.Arrivals, percent(r.ServedWarm), percent(o.Target), percent(r.WorstHour), r.Peak, r.Retired)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "POOL\tMEAN IDLE\tLESS THAN FIXED")
	for _, row := range []struct {
		pool string
		idle float64
	}{
		{"sized by demand", r.MeanIdle},
		{"fixed, chosen in hindsight", r.BestFixedIdle},
		{"knows the rate, equal misses", r.KnownRateIdle},
		{"knows the rate, misses spread", r.ClairvoyantIdle},
	} {
		less := "-"
		if r.BestFixedIdle > 0 {
			less = percent(1 - row.idle/r.BestFixedIdle)
		}
		fmt.Fprintf(t, "%s\t%.2f\t%s\n", row.pool, row.idle, less)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if r.Captured != nil {
		if _, err := fmt.Fprintf(w, "\n%s of what knowing the rate saves\n", percent(*r.Captured)); err != nil {
			return err
		}
	}
	fmt.Fprintln(w)
	fmt.Fprintln(t, "FIXED POOL\tSERVED WARM\tMEAN IDLE")
	for _, p := range r.Curve {
		fmt.Fprintf(t, "%d\t%s\t%.2f\n", p.Sessions, percent(p.ServedWarm), p.MeanIdle)
	}
	return t.Flush()
}
