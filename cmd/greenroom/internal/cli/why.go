package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/staging"
)

func newWhyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "why NAME",
		Short: "Say what is wrong with a pool or a session, and what to do",
		Long: `Say what is wrong with the pool of a staging config, or with a session: each condition
with its message, since when, and what to do next, and the last failure with the last
lines of its standard error and what Nomad noted of its tasks. A failed session is
known for an hour; keep_failed in its staging config leaves its job in Nomad longer.`,
		Example: `  greenroom why demo-east
  greenroom why gr-01jd0c8m4q2v5n7x9z3b6f8h1k
  greenroom why demo-east -o json | jq '.last_failure.stderr'`,
		Args: oneArgument("NAME of a staging config, or ID of a session"), ValidArgsFunction: completeFirst(poolAndSessionNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return callOn(cmd, "NAME", args[0], func(ctx context.Context, c *client.Client, name string) error {
				w, err := whyOf(ctx, c, name)
				if err != nil {
					return err
				}
				if output.WantsJSON(cmd) {
					return output.JSON(cmd, w)
				}
				return w.print(cmd.OutOrStdout(), time.Now())
			})
		},
	}
}

// why is what greenroom why finds.
type why struct {
	// Name is the pool's or the session's, Is a line on how it stands.
	Name string `json:"name"`
	Is   string `json:"is"`
	// Findings are what is wrong; none where nothing is.
	Findings []finding `json:"findings"`
	// Remark is what is no condition of a pool yet; "" for nothing.
	Remark      string               `json:"remark,omitempty"`
	LastFailure *staging.PoolFailure `json:"last_failure,omitempty"`
	// Kept are the ids of failed sessions whose jobs are kept in Nomad.
	Kept []string `json:"kept_sessions,omitempty"`
}

// finding is one thing that is wrong.
type finding struct {
	What    string    `json:"what"`
	Message string    `json:"message"`
	Since   time.Time `json:"since,omitzero"`
	// Next is what to do about it.
	Next string `json:"next,omitempty"`
}

// whyOf finds what is wrong with what a name is of.
func whyOf(ctx context.Context, c *client.Client, name string) (why, error) {
	if strings.HasPrefix(name, staging.SessionPrefix) {
		return whySession(ctx, c, name)
	}
	r, err := c.GetStagingWithResponse(ctx, name)
	if err := c.Answered(r, err, http.StatusOK); err != nil {
		return why{}, err
	}
	w := whyPool(*r.JSON200)
	w.Remark = remarkOn(ctx, c, name)
	return w, nil
}

// remarkOn returns what is no condition of a pool yet; "" for nothing, and where the broker cannot
// tell: the conditions are known all the same.
func remarkOn(ctx context.Context, c *client.Client, name string) string {
	r, err := c.GetStatusWithResponse(ctx)
	if err := c.Answered(r, err, http.StatusOK); err != nil {
		return ""
	}
	for _, z := range r.JSON200.Zones {
		for _, p := range z.Pools {
			if p.Name == name {
				return p.Remark
			}
		}
	}
	return ""
}

// whyPool finds what is wrong with a pool.
func whyPool(p httpapi.StagingPool) why {
	w := why{
		Name: p.Name, Findings: []finding{}, Kept: p.KeptSessions,
		Is: fmt.Sprintf("%d of %d sessions ready (%s), of image %s in zone %s", p.ReadySessions, client.Desired(p), p.Fill, p.Image, p.Zone),
	}
	for _, c := range p.Conditions {
		w.Findings = append(w.Findings, finding{string(c.Type), c.Message, c.Since, c.Type.Advice()})
	}
	if f, ok := withheld(p); ok {
		w.Findings = append(w.Findings, f)
	}
	if len(w.Findings) == 0 && staging.Fill(p.Fill).Degraded() {
		w.Findings = append(w.Findings, finding{
			What: string(p.Fill), Message: "fewer sessions are ready than desired, and no scaler says why",
			Next: "greenroom status says whether a scaler is at work in zone " + p.Zone + "; greenroom sessions --staging " + p.Name + " lists those on the way",
		})
	}
	if p.LastFailure.Session != "" {
		w.LastFailure = &p.LastFailure
	}
	return w
}

// withheld says that ready sessions are given to nobody, because they are of an older revision of a
// pool whose update is immediate. For long that is so only while the pool is paused.
func withheld(p httpapi.StagingPool) (finding, bool) {
	if p.Update != staging.UpdateImmediate || p.UpdatedReadySessions == nil || *p.UpdatedReadySessions >= p.ReadySessions {
		return finding{}, false
	}
	f := finding{
		What: string(p.Update), Message: fmt.Sprintf("no launch gets %d of the ready sessions: they are of an older revision", p.ReadySessions-*p.UpdatedReadySessions),
		Next: "wait until they are replaced; launches get sessions made on demand meanwhile",
	}
	if p.Paused != (staging.Pause{}) {
		f.Next = p.Paused.ResumeCommand() + ", so that they are replaced; launches get sessions made on demand meanwhile"
	}
	return f, true
}

// whySession finds what is wrong with a session, and with its pool where that may be the cause.
func whySession(ctx context.Context, c *client.Client, id string) (why, error) {
	r, err := c.GetSessionWithResponse(ctx, id, &httpapi.GetSessionParams{})
	if err := c.Answered(r, err, http.StatusOK); err != nil {
		return why{}, err
	}
	s := *r.JSON200
	w := why{Name: s.ID, Findings: []finding{}, Is: fmt.Sprintf("%s, of image %s in zone %s", s.State, s.Image, s.Zone)}
	if s.Staging != "" {
		w.Is += ", made for " + s.Staging
	}
	if s.Reason != "" {
		f := finding{What: string(s.State), Message: s.Reason, Since: s.EndedAt}
		if s.State == staging.Ended && staging.Failed(s.Reason) && s.Staging != "" {
			f.Next = "greenroom why " + s.Staging + " says how its pool stands"
		}
		w.Findings = append(w.Findings, f)
	}
	if s.FailingCheck != (staging.FailingCheck{}) {
		w.Findings = append(w.Findings, finding{
			What: string(staging.HealthCheckFailing), Message: s.FailingCheck.String(), Next: staging.HealthCheckFailing.Advice(),
		})
	}
	if s.RestartFailure != "" {
		w.Findings = append(w.Findings, finding{
			What: string(staging.HookFailing), Message: s.RestartFailure, Since: s.RestartedAt, Next: staging.HookFailing.Advice(),
		})
	}
	if s.Kept {
		w.Kept = []string{s.ID}
	}
	if s.Staging == "" {
		return w, nil
	}
	pool, err := c.GetStagingWithResponse(ctx, s.Staging)
	if err := c.Answered(pool, err, http.StatusOK); err != nil {
		var refused *client.ProblemError
		if errors.As(err, &refused) && exitCode(err) == exit.NotFound {
			return w, nil // its staging config was deleted
		}
		return w, err
	}
	if f := pool.JSON200.LastFailure; f.Session == s.ID {
		w.LastFailure = &f
	}
	return w, nil
}

// print prints what was found for a person.
func (w why) print(out io.Writer, now time.Time) error {
	fmt.Fprintf(out, "%s: %s\n", output.Printable(w.Name), output.Printable(w.Is))
	switch {
	case w.Remark != "":
		fmt.Fprintf(out, "remark: %s\n", output.Printable(w.Remark))
	case len(w.Findings) == 0:
		fmt.Fprintln(out, "nothing is wrong with it")
	}
	for _, f := range w.Findings {
		since := ""
		if !f.Since.IsZero() {
			since = " (for " + age(f.Since, now) + ")"
		}
		fmt.Fprintf(out, "\n! %s%s\n  %s\n", output.Printable(f.What), since, output.Printable(f.Message))
		if f.Next != "" {
			fmt.Fprintf(out, "  next: %s\n", output.Printable(f.Next))
		}
	}
	if f := w.LastFailure; f != nil {
		fmt.Fprintf(out, "\nlast failure: session %s, %s ago", output.Printable(f.Session), age(f.At, now))
		if f.Node != "" {
			fmt.Fprintf(out, ", on node %s", output.Printable(f.Node))
		}
		fmt.Fprintf(out, "\n  %s\n", output.Printable(f.Reason))
		printLines(out, "the end of its standard error:", f.Stderr)
		printLines(out, "what Nomad noted:", f.TaskEvents)
	}
	if len(w.Kept) > 0 {
		fmt.Fprintln(out, "\nkept in Nomad, stopped, to look at:")
		for _, id := range w.Kept {
			fmt.Fprintf(out, "  greenroom logs %s --stderr; nomad job status %s\n", output.Printable(id), output.Printable(id))
		}
	}
	return nil
}

func printLines(out io.Writer, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(out, "  %s\n", title)
	for _, line := range lines {
		fmt.Fprintf(out, "    %s\n", output.Printable(line))
	}
}
