package cli

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/nomadfleet"
)

// TestCtrlCIsNoOutage: a call that ended with its command says nothing about the server.
func TestCtrlCIsNoOutage(t *testing.T) {
	for _, err := range []error{
		fmt.Errorf("read the job: %w", nomadfleet.ErrUnavailable),
		&client.UnreachableError{},
	} {
		ctx, interrupt := context.WithCancel(t.Context())
		cmd := &cobra.Command{}
		cmd.SetContext(ctx)
		var out bytes.Buffer
		if code := report(cmd, nil, runError{err}, &out); code != exit.Unavailable {
			t.Errorf("%v: exit code %d\n%s", err, code, out.String())
		}
		interrupt()
		out.Reset()
		if code := report(cmd, nil, runError{err}, &out); code != exit.Failed || out.String() != "greenroom: interrupted\n" {
			t.Errorf("%v, interrupted: exit code %d\n%s", err, code, out.String())
		}
	}
}
