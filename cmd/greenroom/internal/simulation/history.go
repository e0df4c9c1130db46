package simulation

import (
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/scaler/sizing"
	"github.com/greenroom/greenroom/scaler/sizing/simulate"
)

// runOnHistory simulates the demand of a pool of the broker's.
func runOnHistory(cmd *cobra.Command, o simulate.Options, name, plot string) error {
	c, err := client.FromFlags(cmd)
	if err != nil {
		return err
	}
	ctx, cancel := client.Brief(cmd.Context())
	defer cancel()
	r, err := c.GetStagingWithResponse(ctx, name)
	if err := c.Answered(r, err, http.StatusOK); err != nil {
		return err
	}
	now := time.Now()
	minutes, err := c.History(cmd.Context(), name, now.Add(-staging.HistoryWindow), now, time.Minute)
	if err != nil {
		return err
	}
	series, missing, err := simulate.FromHistory(minutes)
	if err != nil {
		return fmt.Errorf("the history of %s: %w", name, err)
	}
	if missing > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "%d of %d minutes are missing in the history, and count as without launches\n", missing, len(series.Counts))
	}
	return show(cmd, series, optionsOf(cmd, o, r.JSON200.Sizing, minutes), "the history of "+name, plot)
}

// optionsOf returns the options with what a pool's sizing and history say, where no flag does.
func optionsOf(cmd *cobra.Command, o simulate.Options, s *staging.Sizing, minutes []staging.Minute) simulate.Options {
	changed := cmd.Flags().Changed
	if !changed("refill") {
		var refill sizing.RefillTime
		for _, m := range minutes {
			refill.Add(m.Made, time.Duration(m.ToReadySeconds*float64(time.Second)))
		}
		o.Refill = max(refill.Mean(), time.Second)
	}
	if s == nil {
		return o
	}
	if !changed("target") {
		o.Target = s.Share()
	}
	if !changed("min") {
		o.Min = s.Min
	}
	if !changed("max") {
		o.Max = s.Max
	}
	return o
}
