package registry

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// somethingEachMinute returns minutes of a busy pool with sizing.
func somethingEachMinute(from time.Time, n int) []staging.Minute {
	random := rand.New(rand.NewPCG(1, 2))
	minutes := make([]staging.Minute, n)
	for i := range minutes {
		ready, wanted := random.IntN(9), 5+random.IntN(5)
		expected, low, high := float64(random.IntN(90))/10, float64(random.IntN(30))/10, float64(100+random.IntN(90))/10
		minutes[i] = staging.Minute{
			At: from.Add(time.Duration(i) * time.Minute), Claims: random.IntN(8), Misses: max(0, random.IntN(20)-18), Ready: &ready, Wanted: &wanted,
			Made: random.IntN(7), ToReadySeconds: float64(random.IntN(200)) / 10, Expected: &expected, Low: &low, High: &high,
		}
	}
	return minutes
}

func TestAHistoryOutlivesRedis(t *testing.T) {
	r, client := newRegistry(t)
	ctx := t.Context()
	from := time.Date(2026, time.November, 28, 22, 30, 0, 0, time.UTC)
	all := somethingEachMinute(from, 200)
	must(t, r.AddHistory(ctx, "demo", all[:120]))
	// The next part overlaps, as after a scaler's restart, and a minute of it has grown.
	all[119].Claims++
	must(t, r.AddHistory(ctx, "demo", all[110:]))
	must(t, r.AddHistory(ctx, "demo-2", all[:1]))

	read, err := r.StoredHistory(ctx, "demo", from)
	must(t, err)
	if diff := cmp.Diff(all, read); diff != "" {
		t.Error(diff)
	}
	read, err = r.StoredHistory(ctx, "demo", from.Add(100*time.Minute))
	must(t, err)
	if diff := cmp.Diff(all[100:], read); diff != "" {
		t.Error(diff)
	}

	// A newer version's day is left as it is, and costs no other day.
	newer := &api.KVPair{Key: t.Name() + "/history/demo/2026-11-28", Value: []byte("from the future")}
	_, err = client.KV().Put(newer, nil)
	must(t, err)
	if read, err = r.StoredHistory(ctx, "demo", from); err == nil || !strings.Contains(err.Error(), newer.Key) || len(read) != 110 {
		t.Errorf("%d minutes beside a day that does not parse, %v", len(read), err)
	}
	if err := r.AddHistory(ctx, "demo", all[:1]); err == nil || errors.Is(err, ErrConflict) {
		t.Errorf("a day that does not parse was written: %v", err)
	}
	kept, _, err := client.KV().Get(newer.Key, nil)
	must(t, err)
	if string(kept.Value) != string(newer.Value) {
		t.Error("the newer version's day was changed")
	}

	days, err := r.PurgeHistory(ctx, from.Add(24*time.Hour))
	must(t, err)
	read, err = r.StoredHistory(ctx, "demo", from)
	must(t, err)
	if days != 2 || len(read) != 110 {
		t.Errorf("%d days were deleted, and %d minutes are left", days, len(read))
	}
}

// TestADayOfHistoryIsSmall: eight weeks of it for each pool are in Consul's memory.
func TestADayOfHistoryIsSmall(t *testing.T) {
	record, err := encodeDay(somethingEachMinute(time.Date(2026, time.November, 28, 0, 0, 0, 0, time.UTC), minutesOfDay))
	must(t, err)
	t.Logf("a day in which everything is random takes %d bytes", len(record))
	if len(record) > 12_000 {
		t.Errorf("a day takes %d bytes", len(record))
	}
}
