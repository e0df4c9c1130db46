package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/audittrail"
)

func newAuditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "audit",
		Short:   "Check the audit records in a broker's log",
		Long:    `Check the audit records that a broker has written to its log.`,
		Example: `  greenroom audit verify broker.log`,
		Args:    cobra.NoArgs,
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "verify FILE...",
		Short: "Check that no audit record was changed, removed or inserted",
		Long: `Check that no audit record was changed, removed or inserted in a broker's log, which
must be in JSON (log_format = "json"). Give all files of a rotated log in the order
of their age; "-" is standard input. Other lines are passed over.

Each record holds the hash of the one before it. A broker begins a new chain when
it starts. That the newest records of a chain are missing cannot be seen here: keep
a copy of the log where the broker cannot write.`,
		Example: `  greenroom audit verify broker.log.1 broker.log
  nomad alloc logs -stderr -job greenroom-broker | greenroom audit verify -`,
		Args: someArguments("FILE, or - for standard input"),
		RunE: verifyAudit,
	})
	return cmd
}

func verifyAudit(cmd *cobra.Command, args []string) error {
	var logs []io.Reader
	for _, name := range args {
		if name == "-" {
			logs = append(logs, cmd.InOrStdin())
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		logs = append(logs, f)
	}
	chains, err := audittrail.Verify(io.MultiReader(logs...))
	if err != nil {
		return err
	}
	if output.WantsJSON(cmd) {
		return output.JSON(cmd, map[string]any{"valid": true, "chains": summaries(chains)})
	}
	for _, c := range summaries(chains) {
		begun := ""
		if !c.Begun {
			begun = fmt.Sprintf(", from record %d on: what was written before is not here", c.First)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "chain %s: %d records are unchanged%s\n", c.Chain, c.Records, begun)
	}
	return nil
}

// chainSummary is what the command prints of a chain.
type chainSummary struct {
	Chain   string `json:"chain"`
	Records int    `json:"records"`
	First   uint64 `json:"first"`
	Begun   bool   `json:"begun"`
}

func summaries(chains []audittrail.Chain) []chainSummary {
	all := make([]chainSummary, len(chains))
	for i, c := range chains {
		all[i] = chainSummary{Chain: c.ID, Records: c.Records, First: c.First.Seq, Begun: c.Begun()}
	}
	return all
}
