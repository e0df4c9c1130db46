// Package bench is greenroom bench: it sends a load of launches to a broker, measures
// the answers, ends what it launched, and checks that no session was given twice. Its
// subcommand floor sends the same load to a bare server, to compare with.
package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"

	launching "github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/staging"
)

// benchFlags are the flags of greenroom bench.
type benchFlags struct {
	loadFlags
	image, zone string
	dwell, wait time.Duration
	keys, keep  bool
}

// NewCommand returns greenroom bench, with its subcommands.
func NewCommand() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench --image IMAGE --zone ZONE",
		Short: "Launch many sessions, measure how fast they are given, and end them",
		Long: `Launch many sessions of an image through a broker, each for a user of its own, and
print how many were staged, made on demand, refused or failed, and how long that
took. Every session that it was given is checked to be nobody else's, and is ended.

Four loads: closed has clients that each launch one after the other; open has
launches at random moments at a rate, measured from the moment at which each was
due, so that a broker that stalls is charged with everybody whom it kept waiting;
burst launches many at once; replay launches at the times of a recorded demand, faster
if you like, and shows with a pool that follows its demand what simulate foretells.

It is a load on a real cluster: sessions are taken from its pools, and those that
are not ready are made on demand. What the figures can be compared with is greenroom
bench floor, the same load on the same servers without greenroom.`,
		Example: `  greenroom bench --image demo --zone east --clients 32 --requests 100
  greenroom bench --image demo --zone east --mode open --rate 45 --duration 60s --dwell 2s
  greenroom bench --image demo --zone east --mode burst --burst 300 --json burst.json
  greenroom bench --image demo --zone east --mode replay --demand day.csv --speed 288`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.settle(cmd.Flags().Changed); err != nil {
				return exit.BadUsage(err)
			}
			return runBench(cmd, f)
		},
	}
	f.add(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.image, "image", "", "the image to launch (required)")
	fl.StringVar(&f.zone, "zone", "", "the zone to launch in (required)")
	fl.DurationVar(&f.dwell, "dwell", 0, "end each session so long after it was given (default: all after the run)")
	fl.DurationVar(&f.wait, "wait", time.Minute, "how long a launch waits for a session made on demand")
	fl.BoolVar(&f.keys, "keys", true, "send an Idempotency-Key with each launch, as careful callers do")
	fl.BoolVar(&f.keep, "keep", false, "leave the sessions to their users: do not end them")
	for _, name := range []string{"image", "zone"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic("greenroom: " + err.Error())
		}
	}
	cmd.AddCommand(newBenchFloorCommand())
	return cmd
}

// settle validates the flags; given reports whether a flag was set.
func (f *benchFlags) settle(given func(flag string) bool) error {
	if err := f.loadFlags.settle(given); err != nil {
		return err
	}
	for _, n := range []struct{ flag, value string }{{"image", f.image}, {"zone", f.zone}} {
		if n.value == "" || n.value == "." || n.value == ".." {
			return fmt.Errorf("--%s: %q names nothing", n.flag, n.value)
		}
	}
	if f.wait < 0 || f.wait > launching.MaxWait {
		return fmt.Errorf("--wait: must be between 0s and %s, is %s", launching.MaxWait, f.wait)
	}
	if f.dwell < 0 {
		return fmt.Errorf("--dwell: must not be negative, is %s", f.dwell)
	}
	if f.keep && f.dwell > 0 {
		return errors.New("--dwell: is not for --keep, which ends nothing")
	}
	return nil
}

// bench is one run.
type bench struct {
	benchFlags
	*client.Client
	// name is unique to the run, and the start of every user's id and idempotency key.
	name string
	// calls is the context of launches. It ends interruptGrace after the command is
	// interrupted: the session of a launch that is cancelled is unknown, and so cannot be
	// ended.
	calls context.Context
	ends  *ends
	given given
}

// interruptGrace is how long launches in flight may go on after an interrupt.
const interruptGrace = 10 * time.Second

func runBench(cmd *cobra.Command, f benchFlags) error {
	t := transport(f.atOnce() + endsAtOnce)
	defer t.CloseIdleConnections()
	c, err := client.FromFlagsWith(cmd, t)
	if err != nil {
		return err
	}
	b := &bench{benchFlags: f, Client: c, name: "bench-" + strings.ToLower(ulid.Make().String())}
	report, err := b.before(cmd.Context())
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s of image %s in zone %s, users %s-...\n", f.loadFlags, f.image, f.zone, b.name)

	calls, giveUp := context.WithCancel(context.WithoutCancel(cmd.Context()))
	defer giveUp()
	defer context.AfterFunc(cmd.Context(), func() { time.AfterFunc(interruptGrace, giveUp) })()
	b.calls = calls
	b.ends = newEnds(cmd.Context(), c, f.dwell)
	result, interrupted := f.load().Run(cmd.Context(), b.launch)
	if result == nil {
		return interrupted
	}
	report.add(result)
	report.Given, report.Duplicates = b.given.sum()
	if !f.keep {
		fmt.Fprintln(cmd.ErrOrStderr(), "ending the sessions ...")
		report.Ended, report.EndSeconds, err = b.end()
	}
	if interrupted != nil {
		err = errors.Join(errors.New("interrupted: the figures are of what was sent until then"), err)
	}
	return errors.Join(report.write(cmd, f.file), report.duplicates(), err)
}

// before reads the image, the zone and the pools, and starts the report with them. Where
// the image or the zone is missing, the run fails here and not in each launch.
func (b *bench) before(ctx context.Context) (*Report, error) {
	ctx, cancel := client.Brief(ctx)
	defer cancel()
	image, err := b.GetImageWithResponse(ctx, b.image)
	if err := b.Answered(image, err, http.StatusOK); err != nil {
		return nil, err
	}
	zone, err := b.GetZoneWithResponse(ctx, b.zone)
	if err := b.Answered(zone, err, http.StatusOK); err != nil {
		return nil, err
	}
	pools, err := b.Pools(ctx)
	if err != nil {
		return nil, err
	}
	r := &Report{
		Time: time.Now().UTC(), Run: b.name, Load: b.loadFlags, Image: b.image, Zone: b.zone,
		AssignHook: image.JSON200.ExecConfig.Assign != nil, DwellSeconds: b.dwell.Seconds(), WaitSeconds: b.wait.Seconds(), Keys: b.keys,
	}
	for _, p := range pools {
		if p.Image == b.image && p.Zone == b.zone {
			r.Pools = append(r.Pools, Pool{p.Name, client.Desired(p), p.ReadySessions})
		}
	}
	return r, nil
}

// user returns the user of launch n.
func (b *bench) user(n int) staging.User {
	return staging.User{ID: fmt.Sprintf("%s-%d", b.name, n), Name: fmt.Sprintf("bench %d", n)}
}
