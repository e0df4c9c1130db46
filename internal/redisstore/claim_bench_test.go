package redisstore

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// BenchmarkClaims measures the processor's time of a claim in Redis and in this process, which does
// not depend on what else the machine does.
func BenchmarkClaims(b *testing.B) {
	for _, final := range []bool{false, true} {
		for _, clients := range []int{1, 32, 128} {
			b.Run(fmt.Sprintf("final=%t/clients=%d", final, clients), func(b *testing.B) { claims(b, clients, final) })
		}
	}
}

func claims(b *testing.B, clients int, final bool) {
	ctx := b.Context()
	rdb := redis.NewClient(&redis.Options{Addr: servers.Cluster(b).RedisAddr})
	defer rdb.Close()
	s := New(rdb, Options{Prefix: fmt.Sprintf("%s/%d:", b.Name(), b.N)})
	if err := s.PlaceMarker(ctx, "east", "first"); err != nil {
		b.Fatal(err)
	}
	for i := range b.N {
		x := session(fmt.Sprintf("gr-%026d", i), time.Hour)
		x.State = staging.Ready
		if err := s.Publish(ctx, x); err != nil {
			b.Fatal(err)
		}
	}
	if renewed, err := s.RenewTrust(ctx, "east", staging.TrustRenewal{Before: "first", Marker: "second"}); err != nil || !renewed {
		b.Fatal(renewed, err)
	}
	pool := staging.Config{Name: "demo-east", Zone: "east", Image: "demo"}
	redisBefore, hereBefore := redisCPU(b, rdb), cpuHere(b)
	b.ResetTimer()
	var all sync.WaitGroup
	for client := range clients {
		all.Go(func() {
			for i := client; i < b.N; i += clients {
				id := strconv.Itoa(i)
				r, err := s.Claim(ctx, []staging.Config{pool}, 1, staging.Claim{
					ID: staging.NewClaimID(), User: staging.User{ID: "u-" + id, Name: "user " + id}, Zone: "east", Image: "demo", Final: final, RequestID: id,
				})
				if err != nil || r.Outcome != staging.ClaimTaken {
					b.Errorf("claim %d: %s %v", i, r.Outcome, err)
					return
				}
				if final {
					continue
				}
				if _, err := s.Assign(ctx, r.Sessions[0]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
	b.ReportMetric((redisCPU(b, rdb)-redisBefore)*1e6/float64(b.N), "redis-us/op")
	b.ReportMetric((cpuHere(b)-hereBefore)*1e6/float64(b.N), "cpu-us/op")
	if err := rdb.FlushDB(ctx).Err(); err != nil {
		b.Fatal(err)
	}
}

// redisCPU reads the seconds of processor time that Redis has used.
func redisCPU(b *testing.B, rdb *redis.Client) (sum float64) {
	info, err := rdb.Info(b.Context(), "cpu").Result()
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_user" || name == "used_cpu_sys" {
			seconds, err := strconv.ParseFloat(value, 64)
			if err != nil {
				b.Fatal(err)
			}
			sum += seconds
		}
	}
	return sum
}

// cpuHere reads the seconds of processor time that this process has used.
func cpuHere(b *testing.B) float64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds()
}
