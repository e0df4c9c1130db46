package httpapi_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/broker/status"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestAHistoryEndsWithWhatIsExpected: a caller that asks up to now sees what comes next, and one that
// asks for a time that is over does not.
func TestAHistoryEndsWithWhatIsExpected(t *testing.T) {
	f := newFake()
	f.pools["demo-east"] = status.Pool{}
	e := newEdge(t, f)
	for query, want := range map[string]int{"": 2, "?since=2026-11-24T00:00:00Z&until=2026-11-24T06:00:00Z&step=60": 0} {
		got := e.do("GET", strings.Replace(operation(t, "getHistory"), "{name}", "demo-east", 1)+query, "")
		var h struct{ Forecast []staging.Forecast }
		if err := json.Unmarshal(got.body, &h); err != nil || got.status != 200 || len(h.Forecast) != want {
			t.Errorf("%q: %d %s, %v", query, got.status, got.body, err)
		}
		if want > 0 && (h.Forecast[1].Expected != 4 || h.Forecast[1].At.Sub(h.Forecast[0].At) != staging.ForecastStep) {
			t.Errorf("%+v", h.Forecast)
		}
	}
}
