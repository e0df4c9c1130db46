package cli_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/scaler/sizing/simulate"
)

// TestSimulateCommand: a table for people, JSON for programs, and a plot.
func TestSimulateCommand(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "launches.csv")
	var text strings.Builder
	text.WriteString("time,count\n")
	for i := range 14 * 48 {
		count := 5
		if hour := i % 48 / 2; hour >= 8 && hour < 18 {
			count = 90
		}
		fmt.Fprintf(&text, "%d,%d\n", 1_704_067_200+i*1800, count)
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	c := clitest.New(t, "")
	plot := filepath.Join(dir, "launches.svg")
	args := []string{"simulate", "--demand", file, "--refill", "60s", "--target", "0.99", "--mean-per-refill", "3", "--seed", "1", "--train", "0.7"}
	c.Want(exit.OK, append(args, "--plot", plot), "served warm (wanted: 99.00%)", "POOL", "sized by demand", "fixed, chosen in hindsight", "FIXED POOL")
	if drawn, err := os.ReadFile(plot); err != nil || !strings.Contains(string(drawn), "<svg") || !strings.Contains(string(drawn), "wanted</text>") {
		t.Errorf("the plot: %v\n%.300s", err, drawn)
	}
	var got simulate.Result
	if out := c.Want(exit.OK, append(args, "-o", "json")); json.Unmarshal([]byte(out), &got) != nil || got.ServedWarm < 0.97 || len(got.Curve) < 3 || got.MeanIdle >= got.BestFixedIdle {
		t.Errorf("-o json: %s", out)
	}
	c.Stdin = text.String()
	c.Want(exit.OK, []string{"simulate", "--demand", "-"}, "sized by demand")

	c.Want(exit.Usage, []string{"simulate"}, "demand")
	c.Want(exit.Usage, []string{"simulate", "--demand", file, "--target", "99"}, "--target: must be between 0.5 and 0.9999, is 99")
	c.Want(exit.Failed, []string{"simulate", "--demand", filepath.Join(dir, "none.csv")}, "none.csv: no such file")
	c.Stdin = "time,count\n0,1\n300,x\n"
	c.Want(exit.Failed, []string{"simulate", "--demand", "-"}, `-: line 3: count: must be a number`, `is "x"`)
}
