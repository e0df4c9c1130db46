package audittrail

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds the bytes of a line of the log. A record's before and after are far shorter.
const maxLine = 1 << 20

// Chain is what was read of one chain.
type Chain struct {
	ID string
	// First and Last are its first and last record that were read.
	First, Last Record
	// Records is how many were read.
	Records int
}

// Begun reports whether the chain was read from its first record. The log before it may have
// been rotated away.
func (c Chain) Begun() bool { return c.First.Seq == 1 }

// BrokenError means that records were changed, removed or inserted.
type BrokenError struct {
	// Line is the number of the line, from 1, of the record that does not fit.
	Line   int
	Record Record
	Why    string
}

// Error implements error.
func (e *BrokenError) Error() string {
	return fmt.Sprintf("line %d: record %d of chain %s (%s by %s at %s): %s",
		e.Line, e.Record.Seq, e.Record.Chain, e.Record.Operation, e.Record.Who, e.Record.At.Format("2006-01-02T15:04:05Z"), e.Why)
}

// ErrNoRecord means that what was read holds no audit record.
var ErrNoRecord = errors.New("no audit record found; an agent writes them as lines of JSON with log_format = \"json\"")

// Verify reads a log in JSON, one line after another, and checks the chains in it. Other lines
// are passed over. The error is a *BrokenError if a record does not fit into its chain, or
// ErrNoRecord.
func Verify(log io.Reader) ([]Chain, error) {
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, maxLine)
	chains := map[string]*Chain{}
	var order []string
	for n := 1; lines.Scan(); n++ {
		var r Record
		if json.Unmarshal(lines.Bytes(), &r) != nil || r.Chain == "" {
			continue
		}
		c := chains[r.Chain]
		if c == nil {
			c = &Chain{ID: r.Chain, First: r}
			chains[r.Chain] = c
			order = append(order, r.Chain)
		}
		if why := misfit(c, r); why != "" {
			return nil, &BrokenError{Line: n, Record: r, Why: why}
		}
		c.Last = r
		c.Records++
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	if len(order) == 0 {
		return nil, ErrNoRecord
	}
	found := make([]Chain, len(order))
	for i, id := range order {
		found[i] = *chains[id]
	}
	return found, nil
}

// misfit returns why a record does not follow the last one of its chain; "" if it does.
func misfit(c *Chain, r Record) string {
	switch {
	case r.sealed().Hash != r.Hash:
		return "its content does not match its hash: it was changed"
	case c.Records == 0 && r.Seq == 1 && r.Previous != "":
		return "it is the first, and names one before it"
	case c.Records > 0 && r.Seq != c.Last.Seq+1:
		return fmt.Sprintf("it follows record %d: records are missing, or were added", c.Last.Seq)
	case c.Records > 0 && r.Previous != c.Last.Hash:
		return "it does not follow the record before it: one of them was replaced"
	}
	return ""
}
