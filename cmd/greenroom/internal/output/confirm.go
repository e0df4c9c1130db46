package output

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
)

// Confirm prints what a command is about to do, and asks its user to go on, unless yes is
// true. It returns an error, of exit code exit.Declined, if the user
// does not confirm.
func Confirm(cmd *cobra.Command, what string, yes bool) error {
	if yes {
		return nil
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s\nType yes to go on: ", what)
	answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSpace(answer) != "yes" {
		fmt.Fprintln(cmd.ErrOrStderr())
		return exit.NotConfirmed(errors.New("nothing was changed: it was not confirmed; say yes, or --yes where nobody can be asked"))
	}
	return nil
}
