package redisstore

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// forecastLife is how long a pool's forecast is kept after its last write, which is once a minute
// while a scaler sizes the pool.
const forecastLife = 10 * time.Minute

func (s *Store) forecastKey(pool string) string { return s.o.Prefix + "forecast:" + pool }

// SetForecasts stores what pools may expect of the coming hours. It is gone a while after the last
// call.
func (s *Store) SetForecasts(ctx context.Context, forecasts map[string][]staging.Forecast) error {
	if len(forecasts) == 0 {
		return nil
	}
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for pool, forecast := range forecasts {
			p.Set(ctx, s.forecastKey(pool), mustJSON(forecast), forecastLife)
		}
		return nil
	})
	return callError(err, "set the forecasts of %d pools", len(forecasts))
}

// Forecast reads what a pool may expect of the coming hours; nothing where no scaler has lately
// sized it by its demand.
func (s *Store) Forecast(ctx context.Context, pool string) ([]staging.Forecast, error) {
	text, err := s.rdb.Get(ctx, s.forecastKey(pool)).Bytes()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, callError(err, "read the forecast of pool %s", pool)
	}
	var forecast []staging.Forecast
	if json.Unmarshal(text, &forecast) != nil {
		return nil, nil // none, or one that cannot be read and is soon written again
	}
	return forecast, nil
}
