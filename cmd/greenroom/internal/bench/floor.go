package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/agent"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/baseline"
	"github.com/greenroom/greenroom/internal/config"
	"github.com/greenroom/greenroom/internal/loadgen"
	"github.com/greenroom/greenroom/internal/staging"
)

// floorFlags are the flags of greenroom bench floor.
type floorFlags struct {
	loadFlags
	servers config.Agent
	config  *config.Loader
	fence   bool
}

func newBenchFloorCommand() *cobra.Command {
	var f floorFlags
	cmd := &cobra.Command{
		Use:   "floor",
		Short: "Measure the least that a launch costs on these servers",
		Long: `Send the same load, over real HTTP on loopback, to a bare Gin handler, a process of
its own as a broker is, that does one SETNX on the Redis named, and with --fence one
create by compare-and-set in Consul after it: what a launch can cost at the least.

Its keys are its own, under greenroom-floor/ in both servers, and are removed
afterwards. The passwords come from the environment: GREENROOM_REDIS_PASSWORD and
CONSUL_HTTP_TOKEN, which must allow to write there.`,
		Example: `  greenroom bench floor --redis-address 127.0.0.1:6379 --clients 32
  greenroom bench floor --fence --consul-address http://127.0.0.1:8500 --json floor.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.settle(cmd.Flags().Changed); err != nil {
				return exit.BadUsage(err)
			}
			var err error
			if f.servers, err = f.config.Load(); err != nil {
				return exit.BadUsage(err)
			}
			return runFloor(cmd, f)
		},
	}
	f.add(cmd)
	f.addServers(cmd)
	cmd.AddCommand(newFloorServeCommand())
	return cmd
}

func (f *floorFlags) addServers(cmd *cobra.Command) {
	f.config = agent.Flags(cmd, config.Stores)
	cmd.Flags().BoolVar(&f.fence, "fence", false, "create a key in Consul, too, by compare-and-set")
}

// FloorReport is the JSON of greenroom bench floor.
type FloorReport struct {
	Time   time.Time       `json:"time"`
	Load   loadFlags       `json:"load"`
	Fence  bool            `json:"fence"`
	Result *loadgen.Result `json:"result"`
}

func (r *FloorReport) print(w io.Writer) error {
	what := "one SETNX"
	if r.Fence {
		what += " and one create in Consul"
	}
	fmt.Fprintf(w, "%s of a bare Gin handler with %s\n\n", r.Load, what)
	return r.Result.Print(w)
}

func runFloor(cmd *cobra.Command, f floorFlags) error {
	// A server that does not answer is reported better by this process than by the one
	// that it starts.
	_, _, closeClients, err := f.connect(cmd.Context(), 1)
	if err != nil {
		return err
	}
	closeClients()
	server, err := startFloor(cmd.Context(), f)
	if err != nil {
		return err
	}
	t := transport(f.atOnce())
	report := &FloorReport{Time: time.Now().UTC(), Load: f.loadFlags, Fence: f.fence}
	report.Result, err = f.load().Run(cmd.Context(), floorRequest(server.url, &http.Client{Transport: t}))
	t.CloseIdleConnections()
	fmt.Fprintln(cmd.ErrOrStderr(), "removing the keys ...")
	removed := server.stop()
	if report.Result == nil {
		return errors.Join(err, removed)
	}
	if err != nil {
		err = errors.New("interrupted: the figures are of what was sent until then")
	}
	return errors.Join(writeResults(cmd, f.file, report, report.print), err, removed)
}

// connect returns clients with enough connections for the load, and a function that closes
// them. It returns an error if a server does not answer. Without --fence, Consul's client
// is nil.
func (f floorFlags) connect(ctx context.Context, connections int) (redis.UniversalClient, *consulapi.Client, func(), error) {
	ctx, cancel := client.Brief(ctx)
	defer cancel()
	o, err := agent.RedisSettings(f.servers)
	if err != nil {
		return nil, nil, nil, err
	}
	o.PoolSize = connections
	o.MaxRetries = -1
	rdb := redis.NewUniversalClient(o)
	if err := rdb.Ping(ctx).Err(); err != nil {
		rdb.Close()
		return nil, nil, nil, fmt.Errorf("--redis-address %s: Redis does not answer: %w", f.servers.RedisAddress, err)
	}
	if !f.fence {
		return rdb, nil, func() { rdb.Close() }, nil
	}
	c, err := agent.ConsulSettings(f.servers)
	if err != nil {
		rdb.Close()
		return nil, nil, nil, err
	}
	c.Transport.MaxIdleConnsPerHost = connections
	consul, err := consulapi.NewClient(c)
	if err == nil {
		_, _, err = consul.KV().Get("greenroom-floor/", new(consulapi.QueryOptions).WithContext(ctx))
	}
	if err != nil {
		rdb.Close()
		return nil, nil, nil, fmt.Errorf("--consul-address %s: Consul does not answer: %w", f.servers.ConsulAddress, err)
	}
	return rdb, consul, func() { rdb.Close(); c.Transport.CloseIdleConnections() }, nil
}

// ClassClaimed is the class of requests that the floor served.
const ClassClaimed = "claimed"

// floorRequest returns a request with a body of the same size and shape as a launch's.
func floorRequest(url string, c *http.Client) loadgen.Request {
	return func(ctx context.Context, _, n int) (string, error) {
		name := strconv.Itoa(n)
		body, err := json.Marshal(staging.Launch{Image: "floor", Zone: "floor", User: staging.User{ID: "bench-" + name, Name: "bench " + name}})
		if err != nil {
			return "", err
		}
		ctx, cancel := client.Brief(context.WithoutCancel(ctx))
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, baseline.Claim(url, name), bytes.NewReader(body))
		if err != nil {
			return "", err
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := c.Do(req)
		if err != nil {
			return classNoAnswer, err
		}
		defer res.Body.Close()
		answer, err := io.ReadAll(res.Body)
		if err != nil {
			return classNoAnswer, err
		}
		if res.StatusCode != http.StatusCreated {
			return errorPrefix + strconv.Itoa(res.StatusCode), fmt.Errorf("%s: %s", res.Status, answer)
		}
		// As the answer to a launch is read.
		if _, err := sessionIn(answer); err != nil {
			return classNoAnswer, err
		}
		return ClassClaimed, nil
	}
}
