package resources

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
)

// NewPlanCommand returns greenroom plan.
func NewPlanCommand() *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use:   "plan -f FILE|DIR",
		Short: "Show what apply would change, and change nothing",
		Long: `Show what greenroom apply would change, and change nothing: what it would create,
each field that it would change with its value before and after, and, with
--prune, what it would delete. Everything is held to every rule, as by apply.

The exit code is 0 when there is nothing to change, and 7 when there is.

Jobspecs, variables, run configs, and the arguments and environments of hooks may
hold secrets, and plans are often kept in logs: that they change is shown, and not
how. --show-secrets shows it; of a jobspec, the changed lines.`,
		Example: `  greenroom plan -f resources/
  greenroom plan -f resources/ --prune --json | jq '.changes[] | select(.action == "delete")'
  greenroom plan -f resources/ || [ $? -eq 7 ] && greenroom apply -f resources/`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runPlan(cmd, f) },
	}
	f.register(cmd)
	return cmd
}

// Planned is a plan, as greenroom plan --json prints it.
type Planned struct {
	Changes []change `json:"changes"`
	Summary Summary  `json:"summary"`
}

// Summary counts the resources of a plan by what applying does to them.
type Summary struct {
	Create    int `json:"create"`
	Update    int `json:"update"`
	Delete    int `json:"delete"`
	Unchanged int `json:"unchanged"`
}

func runPlan(cmd *cobra.Command, f applyFlags) error {
	_, all, err := plan(cmd, f)
	if err != nil {
		return err
	}
	return planned(all).print(cmd)
}

// planned returns the plan that makes the changes.
func planned(all []change) Planned {
	p := Planned{Changes: pending(all)}
	for _, ch := range all {
		switch ch.Action {
		case actionCreate:
			p.Summary.Create++
		case actionUpdate:
			p.Summary.Update++
		case actionDelete:
			p.Summary.Delete++
		default:
			p.Summary.Unchanged++
		}
	}
	return p
}

// print prints the plan, and ends the command with exit.Changes if there is something to change.
func (p Planned) print(cmd *cobra.Command) (err error) {
	if output.WantsJSON(cmd) {
		err = output.JSON(cmd, p)
	} else {
		printPlan(cmd.OutOrStdout(), p)
	}
	if err == nil && len(p.Changes) > 0 {
		err = exit.Error(exit.Changes)
	}
	return err
}

// printPlan prints a plan for a person.
func printPlan(w io.Writer, p Planned) {
	for _, ch := range p.Changes {
		sign := map[action]string{actionCreate: "+", actionUpdate: "~", actionDelete: "-"}[ch.Action]
		fmt.Fprintf(w, "%s %s %s %q\n", sign, ch.Action, ch.Kind, ch.Name)
		printFields(w, ch)
	}
	s := p.Summary
	if len(p.Changes) == 0 {
		fmt.Fprintf(w, "Nothing to change: %d as they are in the files.\n", s.Unchanged)
		return
	}
	fmt.Fprintf(w, "\n%d to create, %d to update, %d to delete, %d unchanged.\n", s.Create, s.Update, s.Delete, s.Unchanged)
}
