// Command table prints the rows that `make bench` measured, from the directory that
// it is given, and writes them all, with their raw results, to results.json there.
// It promises to end well whatever the verdicts: only rows that cannot be read, or
// none at all, are an error.
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
		return errors.New("give the directory that the rows are in")
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
