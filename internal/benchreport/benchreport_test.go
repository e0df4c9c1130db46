package benchreport

import (
	"bytes"
	"strings"
	"testing"
)

func TestRowsAreKeptAndPrintedInOrder(t *testing.T) {
	dir := t.TempDir()
	if _, err := Rows(dir); err == nil {
		t.Error("want an error for a directory without rows, got none")
	}
	for _, r := range []Row{
		{Number: 12, What: "growth", Target: "none", Figure: "0", Met: true},
		{Number: 2, What: "claims / s, with fence", Target: "at least 0.80", Figure: "100/s", Ratio: 0.1},
		{Number: 2, What: "claims / s, with fence", Target: "at least 0.80", Figure: "700/s", Limit: "bare calls 1000/s", Ratio: 0.7, Note: "the log is slow", Raw: []int{1}, Machine: &Machine{Processors: 2, Load: 3.5, Idle: 0.25, Steal: 0.01, HaltPollNS: 0}},
	} {
		if err := Keep(dir, r); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := Rows(dir)
	if err != nil || len(rows) != 2 || rows[0].Number != 2 {
		t.Fatalf("%v %+v", err, rows)
	}
	var out bytes.Buffer
	if err := Print(&out, rows); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	for i, want := range [][]string{{"VERDICT"}, {"2 ", "700/s", "bare calls 1000/s", "0.7", "NOT MET"}, {"12 ", "-", "met"}, {"2: machine: 2 processors, 25% idle, 1.0% stolen, load 3.5", "guest_halt_poll_ns 0"}, {"2: the log is slow"}, {"halts idle processors at once"}} {
		for _, w := range want {
			if !strings.Contains(lines[i], w) {
				t.Errorf("line %d lacks %q:\n%s", i, w, &out)
			}
		}
	}
}

func TestMedian(t *testing.T) {
	if got := Median(5, 1, 3); got != 3 {
		t.Errorf("of three: %v", got)
	}
	if got := Median(4, 1, 3, 2); got != 2.5 {
		t.Errorf("of four: %v", got)
	}
	if got := Median(); got != 0 {
		t.Errorf("of none: %v", got)
	}
}

func TestTheMachineIsWatched(t *testing.T) {
	w := StartWatch()
	began := w.times
	for readProcessorTimes().all == began.all { // the kernel counts in ticks
		if began.all == 0 {
			t.Skip("this system has no /proc/stat")
		}
	}
	m := w.Machine()
	if m.Processors < 1 || m.Idle < 0 || m.Idle > 1 || m.Steal < 0 || m.Steal > 1 || m.Seconds <= 0 {
		t.Errorf("%+v", m)
	}
}
