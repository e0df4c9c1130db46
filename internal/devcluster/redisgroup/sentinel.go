package redisgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/devcluster/devtest"
)

// Watched is a primary with replicas that Sentinels watch.
type Watched struct {
	// Name is what the Sentinels call the primary.
	Name             string
	Redis, Sentinels []*Server
	access           Access
}

// StartWatched starts a primary with two replicas, and three Sentinels.
func StartWatched(t testing.TB, access Access) *Watched {
	t.Helper()
	const servers = 3
	ports, dir := devtest.FreePorts(t, 2*servers), t.TempDir()
	w := &Watched{Name: "greenroom", access: access}
	for i, port := range ports[:servers] {
		name := fmt.Sprintf("redis-%d", i)
		more := access.args()
		if i > 0 {
			more = append(more, "--replicaof", fmt.Sprintf("127.0.0.1 %d", ports[0]))
		}
		own := serverDir(t, dir, name)
		w.Redis = append(w.Redis, start(t, name, own, port, access.Admin, redisArgs(own, port, more...)...))
	}
	for i, port := range ports[servers:] {
		name := fmt.Sprintf("sentinel-%d", i)
		own := serverDir(t, dir, name)
		file := filepath.Join(own, "sentinel.conf")
		settings := fmt.Sprintf(`
bind 127.0.0.1
port %d
sentinel monitor %s 127.0.0.1 %d 2
sentinel down-after-milliseconds %s 2000
sentinel failover-timeout %s 20000
`, port, w.Name, ports[0], w.Name, w.Name)
		if as := access.Sentinel; as.User != "" {
			settings += fmt.Sprintf("sentinel auth-user %s %s\nsentinel auth-pass %s %s\n", w.Name, as.User, w.Name, as.Password)
		}
		if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
			t.Fatal(err)
		}
		// Debian's redis-sentinel is this program under another name.
		w.Sentinels = append(w.Sentinels, start(t, name, own, port, Login{}, file, "--sentinel"))
	}
	w.UntilWhole(t)
	return w
}

// Addresses are those of the Sentinels.
func (w *Watched) Addresses() string { return addresses(w.Sentinels) }

// UntilWhole waits until every Sentinel knows the others and two replicas that follow the
// primary, and a majority could fail it over.
func (w *Watched) UntilWhole(t testing.TB) {
	t.Helper()
	until(t, "the Sentinels know one another and the replicas", func(ctx context.Context) error {
		for _, s := range w.Sentinels {
			c := w.sentinel(s)
			err := c.CkQuorum(ctx, w.Name).Err()
			m, merr := c.Master(ctx, w.Name).Result()
			replicas, rerr := c.Replicas(ctx, w.Name).Result()
			c.Close()
			if err != nil || merr != nil || rerr != nil {
				return fmt.Errorf("%s: %w %w %w", s.Name, err, merr, rerr)
			}
			linked := 0
			for _, r := range replicas {
				if r["master-link-status"] == "ok" && r["flags"] == "slave" {
					linked++
				}
			}
			if m["num-other-sentinels"] != "2" || linked != len(w.Redis)-1 {
				return fmt.Errorf("%s: %s other Sentinels, %d replicas", s.Name, m["num-other-sentinels"], linked)
			}
		}
		return nil
	})
}

func (w *Watched) sentinel(s *Server) *redis.SentinelClient {
	return redis.NewSentinelClient(&redis.Options{Addr: s.Address, ContextTimeoutEnabled: true, MaxRetries: -1})
}

// Primary is the server that the Sentinels call the primary.
func (w *Watched) Primary(t testing.TB) *Server {
	t.Helper()
	var found *Server
	until(t, "a Sentinel names the primary", func(ctx context.Context) error {
		c := w.sentinel(w.Sentinels[0])
		defer c.Close()
		at, err := c.GetMasterAddrByName(ctx, w.Name).Result()
		if err != nil {
			return err
		}
		for _, s := range w.Redis {
			if s.Address == at[0]+":"+at[1] {
				found = s
				return nil
			}
		}
		return fmt.Errorf("it names %v", at)
	})
	return found
}

// Sever keeps the primary's replicas from following it, while it goes on: what it takes from
// now on is lost when it is.
func (w *Watched) Sever(t testing.TB) {
	t.Helper()
	c := w.Primary(t).Client(t)
	follow := func(ctx context.Context) (string, error) {
		n, err := c.InfoMap(ctx, "replication").Result()
		return n["Replication"]["connected_slaves"], err
	}
	until(t, "a replica follows the primary", func(ctx context.Context) error {
		n, err := follow(ctx)
		if err == nil && n == "0" {
			err = errors.New("none does")
		}
		return err
	})
	replica := w.access.Replica.User
	if replica == "" {
		replica = "default"
	}
	for _, command := range [][]any{{"ACL", "SETUSER", replica, "-psync", "-sync"}, {"CLIENT", "KILL", "TYPE", "replica"}} {
		if err := c.Do(t.Context(), command...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "no replica follows the primary", func(ctx context.Context) error {
		n, err := follow(ctx)
		if err == nil && n != "0" {
			err = fmt.Errorf("%s follow", n)
		}
		return err
	})
}
