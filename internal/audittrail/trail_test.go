package audittrail

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// written returns the lines of a chain of n records, written by several goroutines, among
// other lines.
func written(t *testing.T, n int) []string {
	t.Helper()
	var lines []string
	trail := New(func(r Record) error {
		b, err := json.Marshal(r)
		lines = append(lines, strings.Replace(string(b), "{", `{"level":"info","msg":"audit","time":"x",`, 1), `{"msg":"request"}`)
		return err
	})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			err := trail.Add(staging.Audit{Who: fmt.Sprint("user:<", i, ">"), Operation: "createSession", Outcome: staging.AuditChanged, Reason: "not UTF-8: \xff"}, time.Now())
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	return lines
}

func TestAChainThatWasNotTouchedIsWhole(t *testing.T) {
	lines := append(written(t, 20), written(t, 3)...)
	chains, err := Verify(strings.NewReader("no JSON\n" + strings.Join(lines, "\n")))
	if err != nil || len(chains) != 2 || chains[0].Records != 20 || chains[1].Records != 3 || !chains[0].Begun() {
		t.Fatalf("%+v, %v", chains, err)
	}
	chains, err = Verify(strings.NewReader(strings.Join(lines[10:], "\n")))
	if err != nil || chains[0].Records != 15 || chains[0].Begun() {
		t.Errorf("a log whose beginning was rotated away: %+v, %v", chains, err)
	}
}

func TestWhatWasDoneToAChainShows(t *testing.T) {
	for what, do := range map[string]func(lines []string) []string{
		"a record was changed": func(l []string) []string {
			l[8] = strings.Replace(l[8], `"changed"`, `"denied"`, 1)
			return l
		},
		"a record was removed":   func(l []string) []string { return append(l[:8], l[10:]...) },
		"a record was repeated":  func(l []string) []string { return append(l[:8:8], l[6:]...) },
		"two were exchanged":     func(l []string) []string { l[4], l[6] = l[6], l[4]; return l },
		"one is of another hash": func(l []string) []string { l[8] = resealed(t, l[8]); return l },
	} {
		_, err := Verify(strings.NewReader(strings.Join(do(written(t, 10)), "\n")))
		var broken *BrokenError
		if !errors.As(err, &broken) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := Verify(strings.NewReader("level=info msg=audit\n")); !errors.Is(err, ErrNoRecord) {
		t.Errorf("a log as text: %v", err)
	}
}

// resealed is a line that somebody changed, and gave a hash that matches.
func resealed(t *testing.T, line string) string {
	t.Helper()
	var r Record
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		t.Fatal(err)
	}
	r.Who = "somebody else"
	b, err := json.Marshal(r.sealed())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestARecordThatCannotBeWrittenLeavesAGap.
func TestARecordThatCannotBeWrittenLeavesAGap(t *testing.T) {
	var log bytes.Buffer
	full := false
	trail := New(func(r Record) error {
		if full {
			return errors.New("no space left on device")
		}
		return json.NewEncoder(&log).Encode(r)
	})
	for i := range 3 {
		full = i == 1
		if err := trail.Add(staging.Audit{Operation: "putZone"}, time.Now()); (err != nil) != full {
			t.Errorf("record %d: %v", i, err)
		}
	}
	if _, err := Verify(&log); err == nil {
		t.Error("the gap does not show")
	}
}
