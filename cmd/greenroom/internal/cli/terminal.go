package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/greenroom/greenroom/internal/nomadfleet"
)

// terminalSizes sends a terminal's size, now and after every change, until ctx is done.
func terminalSizes(ctx context.Context, terminal *os.File) <-chan nomadfleet.TerminalSize {
	sizes := make(chan nomadfleet.TerminalSize, 1)
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	go func() {
		defer signal.Stop(changed)
		for {
			if width, height, err := term.GetSize(int(terminal.Fd())); err == nil {
				select {
				case sizes <- nomadfleet.TerminalSize{Height: height, Width: width}:
				case <-ctx.Done():
					return
				}
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return sizes
}

// isTerminal reports whether a reader or writer is a terminal.
func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// clearScreen clears a terminal and puts the cursor home.
const clearScreen = "\x1b[H\x1b[2J"
