// Command table prints the rows of `make bench` from the directory in its argument. It
// also writes them, with their raw results, to results.json in that directory.
//
// It exits with 0 even if targets are not met. It fails if rows cannot be read or if
// there are none.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/greenroom/greenroom/internal/benchreport"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "table:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: table DIRECTORY (the directory with the rows)")
	}
	rows, err := benchreport.Rows(args[0])
	if err != nil {
		return err
	}
	if err := benchreport.Print(os.Stdout, rows); err != nil {
		return err
	}
	b, err := json.MarshalIndent(rows, "", " ")
	if err != nil {
		return err
	}
	file := filepath.Join(args[0], "results.json")
	if err := os.WriteFile(file, append(b, '\n'), 0o644); err != nil {
		return err
	}
	fmt.Println("raw results:", file)
	return nil
}
