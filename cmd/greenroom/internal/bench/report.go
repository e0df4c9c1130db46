package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/loadgen"
	"github.com/greenroom/greenroom/internal/staging"
)

// Report is the JSON of greenroom bench.
type Report struct {
	Time time.Time `json:"time"`
	// Run is the run's name, with which every user's id begins.
	Run          string    `json:"run"`
	Load         loadFlags `json:"load"`
	Image        string    `json:"image"`
	Zone         string    `json:"zone"`
	AssignHook   bool      `json:"assign_hook"`
	DwellSeconds float64   `json:"dwell_seconds"`
	WaitSeconds  float64   `json:"wait_seconds"`
	// Keys is true if each launch had an Idempotency-Key.
	Keys bool `json:"keys"`
	// Pools are the image's pools in the zone, before the run.
	Pools []Pool `json:"pools"`
	// Staged, OnDemand, Refused and Errors sum up the result's classes. Refused counts the
	// answers with status 503, NotSent the arrivals of an open load beyond --in-flight.
	Staged   int `json:"staged"`
	OnDemand int `json:"on_demand"`
	Refused  int `json:"refused"`
	Errors   int `json:"errors"`
	NotSent  int `json:"not_sent"`
	// StagedShare is Staged divided by all that were served; 0 where none was.
	StagedShare float64 `json:"staged_share"`
	// Given counts the different sessions that launches got, Ended those of them that the
	// run ended, in EndSeconds after the last answer.
	Given      int             `json:"given"`
	Duplicates []duplicate     `json:"duplicates,omitempty"`
	Ended      int             `json:"ended"`
	EndSeconds float64         `json:"end_seconds"`
	Result     *loadgen.Result `json:"result"`
}

// Pool is a pool's fill before a run. Desired is what was wanted then.
type Pool struct {
	Name    string `json:"name"`
	Desired int    `json:"desired"`
	Ready   int    `json:"ready"`
}

// duplicate is a session that more than one launch got, with the launches' numbers.
type duplicate struct {
	Session  string `json:"session"`
	Launches []int  `json:"launches"`
}

func (r *Report) add(result *loadgen.Result) {
	r.Result = result
	r.Staged, r.OnDemand = result.Count(string(staging.Staged)), result.Count(string(staging.OnDemand))
	r.NotSent = result.Count(loadgen.NotSent)
	for _, c := range result.Classes {
		if strings.HasPrefix(c.Class, RefusedPrefix) {
			r.Refused += c.Count
		}
	}
	r.Errors = result.Failures() - r.Refused - r.NotSent
	if result.Served > 0 {
		r.StagedShare = float64(r.Staged) / float64(result.Served)
	}
}

// duplicates returns an error if two launches got the same session.
func (r *Report) duplicates() error {
	var errs []error
	for _, d := range r.Duplicates {
		errs = append(errs, fmt.Errorf("SESSION %s WAS GIVEN TO %d USERS: launches %v of run %s; "+
			"this must never be: keep the logs of every broker and report it", d.Session, len(d.Launches), d.Launches, r.Run))
	}
	return errors.Join(errs...)
}

// write prints the report, and writes it to file unless that is "".
func (r *Report) write(cmd *cobra.Command, file string) error {
	return writeResults(cmd, file, r, r.print)
}

func (r *Report) print(w io.Writer) error {
	hook := "without a hook"
	if r.AssignHook {
		hook = "with an assign hook"
	}
	fmt.Fprintf(w, "%s of image %s in zone %s, %s\n", r.Load, output.Printable(r.Image), output.Printable(r.Zone), hook)
	for _, p := range r.Pools {
		fmt.Fprintf(w, "before it, pool %s had %d of %s ready\n", p.Name, p.Ready, staging.Count(p.Desired, "session"))
	}
	fmt.Fprintln(w)
	if err := r.Result.Print(w); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d staged (%.3f of those served), %d on demand, %d refused, %d errors, %d not sent\n"+
		"%s given, %d of them more than once; %d ended, in %.2f s\n",
		r.Staged, r.StagedShare, r.OnDemand, r.Refused, r.Errors, r.NotSent, staging.Count(r.Given, "session"), len(r.Duplicates), r.Ended, r.EndSeconds)
	return err
}

// writeResults prints results in the format that -o names, and writes them as JSON to file
// unless that is "".
func writeResults(cmd *cobra.Command, file string, results any, print func(io.Writer) error) error {
	b, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	b = append(b, '\n')
	if output.WantsJSON(cmd) {
		err = output.JSON(cmd, results)
	} else {
		err = print(cmd.OutOrStdout())
	}
	if file == "" {
		return err
	}
	if written := os.WriteFile(file, b, 0o644); written != nil {
		err = errors.Join(err, fmt.Errorf("--json: %w", written))
	}
	return err
}
