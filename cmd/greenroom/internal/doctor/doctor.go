// Package doctor is greenroom doctor: it reads the settings of the servers that an agent would use,
// and says which are not as deploy/README.md wants them.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/agent"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/config"
	"github.com/greenroom/greenroom/internal/staging"
)

const (
	// callTimeout bounds a call to one agent, readTimeout all reads.
	callTimeout = 5 * time.Second
	readTimeout = time.Minute
)

var killTimeout = regexp.MustCompile(`(?m)^\s*kill_timeout\s*=\s*"([^"$]+)"`)

// NewCommand returns greenroom doctor.
func NewCommand() *cobra.Command {
	var load *config.Loader
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what to change in the settings of Nomad, Consul and Redis",
		Long: `Check the settings of the Nomad, Consul and Redis that an agent would use against
the table in deploy/README.md: for each, what was found, and what to change.

It takes a scaler's configuration: run it where an agent runs, with the same
files, variables and flags. It changes nothing. To read the settings of Nomad's and
Consul's agents it needs a token that may (agent: read); what it cannot read it says.
Nomad's servers are read at the port of the agent that --nomad-address names.

The exit code is 1 if a setting fails, and 0 if there are warnings alone.`,
		Example: `  greenroom doctor
  greenroom doctor --config /etc/greenroom/
  greenroom doctor -o json | jq '.checks[] | select(.status != "ok")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := load.Load()
			if err != nil {
				return exit.BadUsage(err)
			}
			return run(cmd, a)
		},
	}
	load = agent.Flags(cmd, config.Scaler)
	return cmd
}

// Check is the result of one row, as greenroom doctor -o json prints it.
type Check struct {
	ID    string `json:"id"`
	Where string `json:"where"`
	// Wanted is the setting as deploy/README.md has it, without Markdown.
	Wanted string `json:"wanted"`
	Found  string `json:"found"`
	Status level  `json:"status"`
	// Advice says what to change; "" where nothing is.
	Advice string `json:"advice,omitempty"`
}

func run(cmd *cobra.Command, a config.Agent) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), readTimeout)
	defer cancel()
	logging.Disable() // the client's own words on a Redis that does not answer, which a row has
	redisSettings, err := agent.RedisSettings(a)
	if err != nil {
		return exit.BadUsage(err)
	}
	consul, err := agent.ConsulSettings(a)
	if err != nil {
		return exit.BadUsage(err)
	}
	nomad := nomadapi.DefaultConfig()
	nomad.Address, nomad.SecretID, nomad.TLSConfig, nomad.Namespace = a.NomadAddress, string(a.NomadToken), agent.NomadTLS(a.NomadTLS), ""
	checks := examine(read(ctx, *nomad, consul, redisSettings, agent.RedisKeys(a), agent.Names(a)))
	if output.WantsJSON(cmd) {
		err = output.JSON(cmd, map[string][]Check{"checks": checks})
	} else {
		err = show(cmd.OutOrStdout(), checks)
	}
	for _, c := range checks {
		if c.Status == Fail {
			return errors.Join(err, exit.Error(exit.Failed))
		}
	}
	return err
}

// read reads the servers, all at once.
func read(ctx context.Context, nomad nomadapi.Config, consul *consulapi.Config, r *redis.UniversalOptions, redisKeys string, names staging.Names) facts {
	f := facts{clocks: map[string]time.Duration{}}
	var (
		g         errgroup.Group
		jobspecs  map[string]string
		redisTime time.Duration
	)
	g.Go(func() error { f.nomad = readNomad(ctx, nomad); return nil })
	g.Go(func() error { f.consul = readConsul(ctx, consul, names); return nil })
	g.Go(func() error { f.redis, redisTime = readRedis(ctx, r, redisKeys); return nil })
	g.Go(func() error { jobspecs, f.imagesErr = readImages(ctx, consul, names); return nil })
	nomadTime, consulTime := clockOf(ctx, nomad.Address), clockOf(ctx, withScheme(consul.Address))
	_ = g.Wait() // each has its error in the facts
	f.killTimeout, f.killImage = longestKillTimeout(jobspecs)
	if f.redis.err == nil {
		f.clocks["redis"] = redisTime
	}
	for name, ahead := range map[string]*time.Duration{"nomad": nomadTime, "consul": consulTime} {
		if ahead != nil {
			f.clocks[name] = *ahead
		}
	}
	return f
}

func withScheme(address string) string {
	if strings.Contains(address, "://") {
		return address
	}
	return "http://" + address
}

// clockOf returns how far the clock of an HTTP server is ahead, by the date of any answer; nil where
// it does not answer so. The date has whole seconds: the middle of it is taken.
func clockOf(ctx context.Context, address string) *time.Duration {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/v1/status/leader", nil)
	if err != nil {
		return nil
	}
	began := time.Now()
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil
	}
	answer.Body.Close()
	date, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		return nil
	}
	ahead := date.Add(time.Second / 2).Sub(began.Add(time.Since(began) / 2))
	return &ahead
}

// noAnswer is what was found where a server does not answer.
const noAnswer = "no answer"

// examine compares facts with every row.
func examine(f facts) []Check {
	checks := make([]Check, 0, len(rows))
	for _, r := range rows {
		c := Check{ID: r.id, Where: r.where, Wanted: strings.ReplaceAll(r.setting, "`", ""), Status: OK}
		found, wrong, err := r.check(f)
		var hidden hiddenError
		switch {
		case errors.As(err, &hidden):
			c.Found, c.Status, c.Advice = "not told", Warn, err.Error()
		case err != nil:
			c.Found, c.Status, c.Advice = noAnswer, Fail, err.Error()
		case wrong != "":
			c.Found, c.Status, c.Advice = found, r.level, wrong
		default:
			c.Found = found
		}
		checks = append(checks, c)
	}
	return checks
}

// show prints a line for each check, and below those that are not as wanted what to change.
func show(w io.Writer, checks []Check) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "STATUS\tCHECK\tFOUND")
	counts := map[level]int{}
	for _, c := range checks {
		counts[c.Status]++
		fmt.Fprintf(t, "%s\t%s\t%s\n", c.Status, c.ID, output.Printable(c.Found))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	said := map[string]bool{}
	for _, c := range checks {
		if c.Found == noAnswer && said[c.Advice] {
			continue // the same server, of which nothing is known
		}
		said[c.Advice] = c.Found == noAnswer
		if c.Status != OK {
			fmt.Fprintf(w, "\n%s: %s\n  wanted for %s: %s\n  %s\n", c.Status, c.ID, c.Where, c.Wanted, output.Printable(c.Advice))
		}
	}
	_, err := fmt.Fprintf(w, "\n%d as wanted, %s, %d failed.\n", counts[OK], staging.Count(counts[Warn], "warning"), counts[Fail])
	return err
}
