package redisstore

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestAForecastIsOnesOwnPools, and is gone a while after no scaler makes it any more.
func TestAForecastIsOnesOwnPools(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	at := time.Date(2026, 11, 24, 6, 21, 0, 0, time.UTC)
	forecast := []staging.Forecast{{At: at, Expected: 2.5, Low: 1, High: 4}, {At: at.Add(staging.ForecastStep), Expected: 3, Low: 1, High: 9}}
	must(t, s.SetForecasts(ctx, nil))
	must(t, s.SetForecasts(ctx, map[string][]staging.Forecast{"demo-east": forecast[:1], "other": nil}))
	must(t, s.SetForecasts(ctx, map[string][]staging.Forecast{"demo-east": forecast}))
	for pool, want := range map[string][]staging.Forecast{"demo-east": forecast, "other": nil, "none": nil} {
		got, err := s.Forecast(ctx, pool)
		must(t, err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", pool, diff)
		}
	}
	if life := s.rdb.PTTL(ctx, s.forecastKey("demo-east")).Val(); life <= 0 || life > forecastLife {
		t.Errorf("it lives for %s", life)
	}
	s.rdb.Set(ctx, s.forecastKey("demo-east"), "not JSON", 0)
	if got, err := s.Forecast(ctx, "demo-east"); err != nil || got != nil {
		t.Errorf("one that cannot be read: %v, %v", got, err)
	}
}
