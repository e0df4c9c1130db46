// Package benchtest is what the tests behind make bench have in common. Such a test measures, and
// stores rows of the table: it passes with any figures, on a slow and on a busy machine, and fails
// only where something is wrong.
package benchtest

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/greenroom/greenroom/internal/benchreport"
)

const (
	// runsEnv is the environment variable with the number of runs of which a figure is the
	// median: the RUNS= of make bench.
	runsEnv     = "GREENROOM_BENCH_RUNS"
	defaultRuns = 5
	// quickEnv is set by make bench-quick.
	quickEnv = "GREENROOM_BENCH_QUICK"
)

// Start returns the function that stores a row of the table, with what the machine did since the
// row before it or, for the first, since Start. It skips the test unless benchreport.Env names the
// directory for rows.
func Start(t testing.TB) (keep func(benchreport.Row)) {
	t.Helper()
	dir := os.Getenv(benchreport.Env)
	if dir == "" {
		t.Skipf("%s is not set: make bench measures this", benchreport.Env)
	}
	watch := benchreport.StartWatch()
	var last benchreport.Machine
	return func(r benchreport.Row) {
		t.Helper()
		// Rows that are stored together were measured together.
		const together = 1 // second
		m := watch.Machine()
		if m.Seconds < together && last.Seconds > 0 {
			m = last
		}
		last, r.Machine, watch = m, &m, benchreport.StartWatch()
		if err := benchreport.Keep(dir, r); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("%s: %s (%s)\n", r.What, r.Figure, m)
	}
}

// Quick reports whether make bench-quick runs: one run of each row, and a shorter one.
func Quick() bool { return os.Getenv(quickEnv) != "" }

// Size is how much of something a row measures: full, or for make bench-quick little.
func Size(full, little int) int {
	if Quick() {
		return little
	}
	return full
}

// Runs is the number of runs of which a figure is the median.
func Runs(t testing.TB) int {
	t.Helper()
	if Quick() {
		return 1
	}
	text := os.Getenv(runsEnv)
	if text == "" {
		return defaultRuns
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("RUNS: must be a number of runs, is %q", text)
	}
	return n
}
