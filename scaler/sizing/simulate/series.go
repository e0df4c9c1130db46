package simulate

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Series is a demand to replay: how many launches there were in each of equal slots.
type Series struct {
	// Start is the beginning of the first slot, in Unix seconds. Days and clock hours are
	// those of UTC.
	Start int64
	// Slot is the length of one slot in seconds.
	Slot int64
	// Counts are the launches in each slot.
	Counts []float64
}

// Seconds returns the length of the series.
func (s Series) Seconds() float64 { return float64(s.Slot) * float64(len(s.Counts)) }

// header is the first line of a file.
const header = "time,count"

// maxSlots bounds a series: a year by the minute, and some.
const maxSlots = 1_000_000

// leastSlots are the fewest slots of a series that can be split into history and the rest.
const leastSlots = 10

// FromHistory returns the series of a pool's history by the minute, and how many minutes in it
// are missing: they count as without launches.
func FromHistory(minutes []staging.Minute) (s Series, missing int, err error) {
	s.Slot = 60
	for _, m := range minutes {
		at := m.At.Unix()
		if len(s.Counts) == 0 {
			s.Start = at
		}
		n := int((at - s.Start) / s.Slot)
		if n < len(s.Counts) {
			return Series{}, 0, errors.New("the history is not in the order of time")
		}
		missing += n - len(s.Counts)
		s.Counts = append(s.Counts, make([]float64, n-len(s.Counts)+1)...)
		s.Counts[n] = float64(m.Launches())
	}
	return s, missing, s.validate()
}

// ReadSeries reads a series from lines of time,count below that header. A time is Unix
// seconds or RFC 3339, the start of a slot; all slots are equally long, without gaps. Its
// errors name the line and the field.
func ReadSeries(r io.Reader) (Series, error) {
	var s Series
	lines := bufio.NewScanner(r)
	last := int64(0)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if n == 1 {
			if text = strings.TrimPrefix(text, "\ufeff"); text != header {
				return Series{}, fmt.Errorf("line 1: must be the header %q, is %q", header, shorten(text))
			}
			continue
		}
		if text == "" {
			continue
		}
		at, count, err := parseLine(text)
		if err != nil {
			return Series{}, fmt.Errorf("line %d: %w", n, err)
		}
		switch {
		case len(s.Counts) == 0:
			s.Start = at
		case at <= last:
			return Series{}, fmt.Errorf("line %d: time: must be later than that of the line before", n)
		case len(s.Counts) == 1:
			s.Slot = at - last
		case at-last != s.Slot:
			return Series{}, fmt.Errorf("line %d: time: is %d s after the line before, but slots are %d s long; give every slot, with 0 where there was nothing", n, at-last, s.Slot)
		}
		if len(s.Counts) == maxSlots {
			return Series{}, fmt.Errorf("line %d: more than %d slots", n, maxSlots)
		}
		last = at
		s.Counts = append(s.Counts, count)
	}
	if err := lines.Err(); err != nil {
		return Series{}, err
	}
	return s, s.validate()
}

// parseLine reads one line of time,count.
func parseLine(text string) (at int64, count float64, err error) {
	fields := strings.Split(text, ",")
	if len(fields) != 2 {
		return 0, 0, fmt.Errorf("must have two fields, %s, has %d", header, len(fields))
	}
	when := strings.TrimSpace(fields[0])
	if at, err = strconv.ParseInt(when, 10, 64); err != nil {
		t, err := time.Parse(time.RFC3339, when)
		if err != nil {
			return 0, 0, fmt.Errorf("time: must be Unix seconds or RFC 3339, is %q", shorten(when))
		}
		at = t.Unix()
	}
	if at < 0 || at > latest {
		return 0, 0, fmt.Errorf("time: must be between 0 and %d Unix seconds, is %d", int64(latest), at)
	}
	count, err = strconv.ParseFloat(strings.TrimSpace(fields[1]), 64)
	if err != nil || !(count >= 0) || count > mostLaunches {
		return 0, 0, fmt.Errorf("count: must be a number from 0 to %.0e, is %q", mostLaunches, shorten(strings.TrimSpace(fields[1])))
	}
	return at, count, nil
}

const (
	// latest is a time in the year 2200: milliseconds for seconds are refused.
	latest = 7_258_118_400
	// mostLaunches is the highest count of a slot.
	mostLaunches = 1e12
)

// validate returns an error if there is nothing to simulate.
func (s Series) validate() error {
	if len(s.Counts) < leastSlots {
		return fmt.Errorf("must have at least %d slots, has %d", leastSlots, len(s.Counts))
	}
	for _, c := range s.Counts {
		if c > 0 {
			return nil
		}
	}
	return errors.New("count: is 0 in every slot; there is nothing to simulate")
}

// shorten cuts a text for an error.
func shorten(text string) string {
	const most = 40
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "..."
	}
	return text
}
