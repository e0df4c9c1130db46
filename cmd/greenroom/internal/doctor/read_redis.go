package doctor

import (
	"bufio"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// readRedis reads what can be read of Redis with an agent's settings, and how far its clock is
// ahead. Of several servers it reads the primary that has the agent's keys, which begin so.
func readRedis(ctx context.Context, settings *redis.UniversalOptions, keys string) (f redisFacts, ahead time.Duration) {
	where := "redis at " + strings.Join(settings.Addrs, ", ")
	c, err := primary(ctx, settings, keys)
	if err != nil {
		return redisFacts{err: fmt.Errorf("%s: %w; --redis-address or GREENROOM_REDIS_ADDR names another", where, err)}, 0
	}
	defer c.Close()
	began := time.Now()
	now, err := c.Time(ctx).Result()
	if err != nil {
		return redisFacts{err: fmt.Errorf("%s: %w; --redis-address or GREENROOM_REDIS_ADDR names another", where, err)}, 0
	}
	ahead = now.Sub(began.Add(time.Since(began) / 2))
	info, err := c.Info(ctx).Result()
	if err != nil {
		return redisFacts{err: fmt.Errorf("%s: INFO: %w", where, err)}, ahead
	}
	values := lines(info)
	f = redisFacts{version: values["redis_version"], eviction: values["maxmemory_policy"], appendOnly: values["aof_enabled"] == "1", open: true}
	f.replicas, _ = strconv.Atoi(values["connected_slaves"])
	// It is there only where the primary refuses writes without replicas.
	_, f.refusesAlone = values["min_slaves_good_slaves"]
	f.readFailover(ctx, settings, c)
	if settings.Password != "" {
		anybody := *c.Options()
		anybody.Username, anybody.Password = "", ""
		without := redis.NewClient(&anybody)
		defer without.Close()
		f.open = without.Ping(ctx).Err() == nil
	}
	return f, ahead
}

// primary returns a client of the one server that has an agent's keys.
func primary(ctx context.Context, settings *redis.UniversalOptions, keys string) (*redis.Client, error) {
	switch {
	case settings.MasterName != "":
		return redis.NewFailoverClient(settings.Failover()), nil
	case !settings.IsClusterMode:
		return redis.NewClient(settings.Simple()), nil
	}
	cluster := redis.NewClusterClient(settings.Cluster())
	defer cluster.Close()
	node, err := cluster.MasterForKey(ctx, keys)
	if err != nil {
		return nil, err
	}
	return redis.NewClient(node.Options()), nil
}

// readFailover reads what takes over from the primary c.
func (f *redisFacts) readFailover(ctx context.Context, settings *redis.UniversalOptions, c *redis.Client) {
	switch {
	case settings.IsClusterMode:
		info, err := c.ClusterInfo(ctx).Result()
		if err != nil {
			f.failoverErr = fmt.Errorf("CLUSTER INFO: %w", err)
			return
		}
		values := lines(info)
		f.failover = fmt.Sprintf("a cluster of %s primaries, state %s", values["cluster_size"], values["cluster_state"])
		size, _ := strconv.Atoi(values["cluster_size"])
		if f.takesOver = size >= leastVoters && values["cluster_state"] == "ok" && f.replicas > 0; f.replicas == 0 {
			f.failover += ", no replica of the keys' node"
		}
	case settings.MasterName != "":
		f.readSentinels(ctx, settings)
	case f.replicas > 0:
		f.failover = fmt.Sprintf("one address, %d replicas", f.replicas)
	default:
		f.failover, f.takesOver = "one server", true
	}
}

// readSentinels reads how many Sentinels watch the primary, from the first that answers.
func (f *redisFacts) readSentinels(ctx context.Context, settings *redis.UniversalOptions) {
	for _, address := range settings.Addrs {
		s := redis.NewSentinelClient(&redis.Options{
			Addr: address, Username: settings.SentinelUsername, Password: settings.SentinelPassword, TLSConfig: settings.TLSConfig,
			DialTimeout: settings.DialTimeout, ReadTimeout: settings.ReadTimeout, ContextTimeoutEnabled: true, MaxRetries: -1,
		})
		values, err := s.Master(ctx, settings.MasterName).Result()
		if err != nil {
			f.failoverErr = fmt.Errorf("sentinel at %s: SENTINEL MASTER %s: %w", address, settings.MasterName, err)
			s.Close()
			continue
		}
		others, _ := strconv.Atoi(values["num-other-sentinels"])
		f.failoverErr, f.failover = nil, fmt.Sprintf("%d Sentinels, quorum %s, %d replicas", others+1, values["quorum"], f.replicas)
		f.takesOver = others+1 >= leastVoters && f.replicas > 0 && s.CkQuorum(ctx, settings.MasterName).Err() == nil
		s.Close()
		return
	}
}

// lines reads the lines NAME:VALUE that Redis answers.
func lines(text string) map[string]string {
	values := map[string]string{}
	for scan := bufio.NewScanner(strings.NewReader(text)); scan.Scan(); {
		if name, value, ok := strings.Cut(scan.Text(), ":"); ok {
			values[name] = value
		}
	}
	return values
}
