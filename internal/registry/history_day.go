package registry

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"path"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

const (
	dayVersion = 1
	// minutesOfDay is the length of each column.
	minutesOfDay = 24 * 60
	// longestDay bounds what one record may decompress to, in bytes.
	longestDay = 1 << 20
)

// historyDay is a day's history of one pool in columns, one entry a minute, compressed: at most
// 11 kB where every number of every minute is a surprise. -1 stands for what is not known. A
// column that has nothing to say is absent.
type historyDay struct {
	Version int   `json:"version"`
	Claims  []int `json:"claims"`
	Misses  []int `json:"misses,omitempty"`
	Ready   []int `json:"ready,omitempty"`
	Wanted  []int `json:"wanted,omitempty"`
	Made    []int `json:"made,omitempty"`
	// ToReady is in tenths of a second; Expected, Low and High are in tenths of a launch a minute.
	ToReady  []int `json:"to_ready,omitempty"`
	Expected []int `json:"expected,omitempty"`
	Low      []int `json:"low,omitempty"`
	High     []int `json:"high,omitempty"`
}

// unknown is an entry of a column without a value.
const unknown = -1

// column is a column of a historyDay: how a minute is written to it and read from it.
type column struct {
	of  func(*historyDay) *[]int
	get func(staging.Minute) int
	set func(*staging.Minute, int)
}

var columns = []column{
	{of: func(d *historyDay) *[]int { return &d.Claims }, get: func(m staging.Minute) int { return m.Claims }, set: func(m *staging.Minute, n int) { m.Claims = n }},
	{of: func(d *historyDay) *[]int { return &d.Misses }, get: func(m staging.Minute) int { return m.Misses }, set: func(m *staging.Minute, n int) { m.Misses = n }},
	{of: func(d *historyDay) *[]int { return &d.Made }, get: func(m staging.Minute) int { return m.Made }, set: func(m *staging.Minute, n int) { m.Made = n }},
	{of: func(d *historyDay) *[]int { return &d.ToReady }, get: func(m staging.Minute) int { return tenths(m.ToReadySeconds) }, set: func(m *staging.Minute, n int) { m.ToReadySeconds = float64(n) / 10 }},
	{of: func(d *historyDay) *[]int { return &d.Ready }, get: func(m staging.Minute) int { return orUnknown(m.Ready) }, set: func(m *staging.Minute, n int) { m.Ready = &n }},
	{of: func(d *historyDay) *[]int { return &d.Wanted }, get: func(m staging.Minute) int { return orUnknown(m.Wanted) }, set: func(m *staging.Minute, n int) { m.Wanted = &n }},
	{of: func(d *historyDay) *[]int { return &d.Expected }, get: func(m staging.Minute) int { return tenthsOrUnknown(m.Expected) }, set: func(m *staging.Minute, n int) { m.Expected = inTenths(n) }},
	{of: func(d *historyDay) *[]int { return &d.Low }, get: func(m staging.Minute) int { return tenthsOrUnknown(m.Low) }, set: func(m *staging.Minute, n int) { m.Low = inTenths(n) }},
	{of: func(d *historyDay) *[]int { return &d.High }, get: func(m staging.Minute) int { return tenthsOrUnknown(m.High) }, set: func(m *staging.Minute, n int) { m.High = inTenths(n) }},
}

func tenths(x float64) int { return int(math.Round(x * 10)) }

func inTenths(n int) *float64 { x := float64(n) / 10; return &x }

func orUnknown(n *int) int {
	if n == nil {
		return unknown
	}
	return *n
}

func tenthsOrUnknown(x *float64) int {
	if x == nil {
		return unknown
	}
	return tenths(*x)
}

// encodeDay encodes minutes of one day.
func encodeDay(minutes []staging.Minute) ([]byte, error) {
	d := historyDay{Version: dayVersion}
	for i, c := range columns {
		values, says := make([]int, minutesOfDay), i == 0
		for n := range values {
			values[n] = unknown
		}
		for _, m := range minutes {
			at := m.At.UTC()
			n := c.get(m)
			values[at.Hour()*60+at.Minute()] = n
			says = says || n > 0 || n == 0 && c.get(staging.Minute{}) == unknown
		}
		if says {
			*c.of(&d) = values
		}
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := json.NewEncoder(z).Encode(d); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// decodeDay decodes the record of a day, whose key says which day it is. An error names the key.
func decodeDay(key string, value []byte) ([]staging.Minute, error) {
	day, err := time.Parse(time.DateOnly, path.Base(key))
	if err != nil {
		return nil, fmt.Errorf("%s does not parse: %w", key, err)
	}
	z, err := gzip.NewReader(bytes.NewReader(value))
	if err != nil {
		return nil, fmt.Errorf("%s does not parse: %w", key, err)
	}
	var d historyDay
	if err := json.NewDecoder(io.LimitReader(z, longestDay)).Decode(&d); err != nil {
		return nil, fmt.Errorf("%s does not parse: %w", key, err)
	}
	if d.Version != dayVersion || len(d.Claims) > minutesOfDay {
		return nil, fmt.Errorf("%s is of version %d with %d minutes, and this program knows version %d with %d", key, d.Version, len(d.Claims), dayVersion, minutesOfDay)
	}
	var minutes []staging.Minute
	for n, claims := range d.Claims {
		if claims == unknown {
			continue
		}
		m := staging.Minute{At: day.Add(time.Duration(n) * time.Minute)}
		for _, c := range columns {
			if values := *c.of(&d); n < len(values) && values[n] >= 0 {
				c.set(&m, values[n])
			}
		}
		minutes = append(minutes, m)
	}
	return minutes, nil
}
