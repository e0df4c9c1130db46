package agenttest

import (
	"fmt"
	"os"
)

// Measured prints a figure, and adds it to the file that make test prints at its end.
func Measured(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	fmt.Print(line)
	path := os.Getenv("GREENROOM_MEASURED")
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot write the measured figure:", err)
		return
	}
	defer f.Close()
	fmt.Fprint(f, "  ", line)
}
