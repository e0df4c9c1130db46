package cli

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
)

// watchFlags are the flags of greenroom watch.
type watchFlags struct {
	rounds   int
	interval time.Duration
}

func newWatchCommand() *cobra.Command {
	var f watchFlags
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Show the pools, again and again",
		Long: `Show how the pools stand, again and again, until Ctrl-C or for -n rounds. On a
terminal the screen is drawn anew each time; otherwise each round follows the one
before as plain text, with --json as one document a line.

A round that fails says why and the next one tries again.`,
		Example: `  greenroom watch
  greenroom watch --interval 5s
  greenroom watch -n 1 --json | jq '.pools[] | {name, ready_sessions}'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runWatch(cmd, f) },
	}
	cmd.Flags().IntVarP(&f.rounds, "rounds", "n", 0, "end after so many rounds; 0 for never")
	cmd.Flags().DurationVar(&f.interval, "interval", 2*time.Second, "time between rounds, at least 100ms")
	return cmd
}

// minWatchInterval bounds the load of a watch on the broker.
const minWatchInterval = 100 * time.Millisecond

func runWatch(cmd *cobra.Command, f watchFlags) error {
	switch {
	case f.interval < minWatchInterval:
		return exit.BadUsage(fmt.Errorf("--interval: must be at least %s, is %s", minWatchInterval, f.interval))
	case f.rounds < 0:
		return exit.BadUsage(fmt.Errorf("--rounds: must be 0 or more, is %d", f.rounds))
	}
	c, err := client.FromFlags(cmd)
	if err != nil {
		return err
	}
	tick := time.NewTicker(f.interval)
	defer tick.Stop()
	var last error
	for n := 1; ; n++ {
		last = watchRound(cmd, c)
		if cmd.Context().Err() != nil {
			return nil
		}
		if n == f.rounds {
			return last
		}
		if last != nil {
			goesOn(cmd, last)
		}
		select {
		case <-cmd.Context().Done():
			return nil
		case <-tick.C:
		}
	}
}

func watchRound(cmd *cobra.Command, c *client.Client) error {
	o, err := overviewOf(cmd.Context(), c)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if output.WantsJSON(cmd) {
		return output.JSONLine(cmd, o)
	}
	// One write, so that a terminal does not flicker.
	var screen bytes.Buffer
	now := time.Now()
	if isTerminal(out) {
		screen.WriteString(clearScreen)
	}
	fmt.Fprintf(&screen, "%s  %s\n", now.Format(time.TimeOnly), c.Address)
	err = o.print(&screen, now)
	if !isTerminal(out) {
		screen.WriteByte('\n')
	}
	_, wrote := screen.WriteTo(out)
	return errors.Join(err, wrote)
}
