package cli

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/staging"
)

// formatCSV is the format that greenroom simulate and spreadsheets read.
const formatCSV = "csv"

func newHistoryCommand() *cobra.Command {
	since, step := 24*time.Hour, time.Hour
	cmd := &cobra.Command{
		Use:   "history NAME",
		Short: "Show what has gone on in a pool: launches, misses, ready sessions",
		Long: `Show what has gone on in a pool, by the hour or by the minute, in the last eight weeks
at most: sessions that users got (claims), sessions that launches asked for when too few
were ready (misses), the fewest that were ready, how many were wanted, how many became
ready and how long that took on average. For a pool with sizing also how many launches a
minute were expected.

Brokers note it in Redis, and scalers store it in Consul every five minutes.`,
		Example: `  greenroom history demo-east
  greenroom history demo-east --since 1344h --step 24h
  greenroom history demo-east --since 3h --step 1m -o csv`,
		Args: oneArgument("NAME"), ValidArgsFunction: completeFirst(poolNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if step < time.Minute || step > 24*time.Hour || step%time.Minute != 0 {
				return exit.BadUsage(fmt.Errorf("--step: must be whole minutes from 1m to 24h, is %s", step))
			}
			if since < step {
				return exit.BadUsage(errors.New("--since: must be at least --step"))
			}
			return callOn(cmd, "NAME", args[0], func(ctx context.Context, c *client.Client, name string) error {
				now := time.Now()
				minutes, err := c.History(cmd.Context(), name, now.Add(-since).Truncate(step), now, step)
				if err != nil {
					return err
				}
				return printHistory(cmd, name, minutes)
			})
		},
	}
	cmd.Flags().DurationVar(&since, "since", since, "how far back it goes")
	cmd.Flags().DurationVar(&step, "step", step, "how much one line covers")
	output.AllowFormats(cmd, formatCSV)
	return cmd
}

var historyColumns = []string{"time", "claims", "misses", "ready", "wanted", "made", "to_ready_seconds", "expected", "low", "high"}

func printHistory(cmd *cobra.Command, name string, minutes []staging.Minute) error {
	switch output.Format(cmd) {
	case output.FormatJSON, output.FormatYAML:
		if minutes == nil {
			minutes = []staging.Minute{}
		}
		return output.JSON(cmd, map[string]any{"name": name, "minutes": minutes})
	case formatCSV:
		return writeHistoryCSV(cmd.OutOrStdout(), minutes)
	}
	rows := make([][]string, len(minutes))
	for i, m := range minutes {
		rows[i] = historyCells(m, m.At.Local().Format("2006-01-02 15:04"))
	}
	return printTable(cmd.OutOrStdout(), []string{"TIME", "CLAIMS", "MISSES", "READY", "WANTED", "MADE", "TO READY", "EXPECTED", "LOW", "HIGH"}, rows)
}

func writeHistoryCSV(to io.Writer, minutes []staging.Minute) error {
	w := csv.NewWriter(to)
	if err := w.Write(historyColumns); err != nil {
		return err
	}
	for _, m := range minutes {
		if err := w.Write(historyCells(m, m.At.UTC().Format(time.RFC3339))); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

func historyCells(m staging.Minute, at string) []string {
	toReady := ""
	if m.Made > 0 {
		toReady = strconv.FormatFloat(m.ToReadySeconds, 'f', 1, 64)
	}
	return []string{
		at, strconv.Itoa(m.Claims), strconv.Itoa(m.Misses), orNothing(m.Ready), orNothing(m.Wanted), strconv.Itoa(m.Made), toReady,
		rateOrNothing(m.Expected), rateOrNothing(m.Low), rateOrNothing(m.High),
	}
}

func orNothing(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}

func rateOrNothing(x *float64) string {
	if x == nil {
		return ""
	}
	return strconv.FormatFloat(*x, 'f', 1, 64)
}
