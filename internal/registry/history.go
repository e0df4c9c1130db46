package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// A pool's history is below history/POOL/, one key for each day of UTC, written by scalers. It is
// kept for staging.HistoryWindow, also that of a pool that was deleted. history_day.go has the
// record.

func (r *Registry) historyPrefix() string { return r.prefix + "history/" }

func (r *Registry) historyKey(pool string, day time.Time) string {
	return r.historyPrefix() + pool + "/" + day.Format(time.DateOnly)
}

// StoredHistory reads what is stored of a pool's history since a time, oldest minute first. A day that
// cannot be read is left out, and is named by the error beside what could be read.
func (r *Registry) StoredHistory(ctx context.Context, pool string, since time.Time) ([]staging.Minute, error) {
	pairs, _, err := list(r.kv, r.historyPrefix()+pool+"/", query(ctx))
	if err != nil {
		return nil, err
	}
	var minutes []staging.Minute
	var unreadable error
	first := r.historyKey(pool, since.UTC())
	for _, p := range pairs {
		if p.Key < first {
			continue
		}
		day, err := decodeDay(p.Key, p.Value)
		if err != nil {
			unreadable = err
			continue
		}
		minutes = append(minutes, staging.HistorySince(day, since)...)
	}
	return slices.Clip(minutes), unreadable
}

// AddHistory stores minutes of a pool's history. A minute that is stored already is replaced;
// the others of its day stay. A day's record that cannot be read, such as that of a newer
// version, is left as it is, which is an error.
func (r *Registry) AddHistory(ctx context.Context, pool string, minutes []staging.Minute) error {
	for len(minutes) > 0 {
		day := minutes[0].At.UTC().Truncate(24 * time.Hour)
		n := 0
		for n < len(minutes) && minutes[n].At.UTC().Truncate(24*time.Hour).Equal(day) {
			n++
		}
		if err := r.addToDay(ctx, r.historyKey(pool, day), minutes[:n]); err != nil {
			return err
		}
		minutes = minutes[n:]
	}
	return nil
}

func (r *Registry) addToDay(ctx context.Context, key string, minutes []staging.Minute) error {
	for range casTries {
		p, _, err := r.kv.Get(key, query(ctx))
		if err != nil {
			return callError(err, "read %s", key)
		}
		var stored []staging.Minute
		if p == nil {
			p = &api.KVPair{Key: key}
		} else if stored, err = decodeDay(key, p.Value); err != nil {
			return err
		}
		if p.Value, err = encodeDay(staging.MergeHistory(stored, minutes)); err != nil {
			return fmt.Errorf("encode %s: %w", key, err)
		}
		done, _, err := r.kv.CAS(p, write(ctx))
		if err != nil || done {
			return callError(err, "write %s", key)
		}
	}
	return callError(ErrConflict, "write %s", key)
}

// PurgeHistory deletes the history of days before a time, of all pools, and returns of how many.
func (r *Registry) PurgeHistory(ctx context.Context, before time.Time) (days int, err error) {
	keys, _, err := r.kv.Keys(r.historyPrefix(), "", query(ctx))
	if err != nil {
		return 0, callError(err, "list %s", r.historyPrefix())
	}
	first := before.UTC().Format(time.DateOnly)
	for _, key := range keys {
		_, day, found := strings.Cut(strings.TrimPrefix(key, r.historyPrefix()), "/")
		if _, err := time.Parse(time.DateOnly, day); !found || err != nil || day >= first {
			continue
		}
		if _, err := r.kv.Delete(key, write(ctx)); err != nil {
			return days, callError(err, "delete %s", key)
		}
		days++
	}
	return days, nil
}
