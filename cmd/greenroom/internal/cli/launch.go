package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/broker/httpapi"
	launching "github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/staging"
)

// launchFlags are the flags of greenroom launch.
type launchFlags struct {
	zone, user, userID, url string
	environment, groups     []string
	wait, room              time.Duration
	key                     string
	// roomSet is room where that was given.
	roomSet    *staging.Duration
	selector   string
	skipStaged bool
	count      int
	together   bool
}

func newLaunchCommand() *cobra.Command {
	var f launchFlags
	cmd := &cobra.Command{
		Use:   "launch {IMAGE | --selector LABELS} --zone ZONE [--user NAME]",
		Short: "Give a user a session of an image",
		Long: `Give a user a session of an image: a staged one of the zone if one is ready, or of
its alternate zones, else one that is made on demand and waited for. A token that is a
user's own launches for that user: leave --user out.

A user who has a session of the image gets another one, up to max_sessions_per_user.
Only with --url, and an image that has a go hook, the session that is there is given
again, and shows the URL.

With --selector the image is chosen by labels, among the images and staging configs that
match: staged sessions first, those of the fullest pool before others. The lines "tried"
say what was chosen, and why. With --skip-staged the session is made on demand.

One that is made on demand takes its time: each step (placing, starting, healthy,
assigned) is then printed on the standard error, unless the answer is wanted as JSON.

With -o name only the ids of the sessions are printed, one a line.

With --count the user is given that many sessions, or none: staged ones alone, with
--together all of one zone.

A session that no node can take is refused at once, unless --wait-for-room, its image
or the user's groups let it wait for room: its job stays queued in Nomad for so long.

A session that is not up when --wait is over is printed all the same, with the
state pending or starting; follow it with greenroom sessions show. A launch that
was begun goes on when this command is interrupted: repeat it with the same
--idempotency-key to get the same session.`,
		Example: `  greenroom launch demo --zone east --user alice
  greenroom launch demo --zone east --user alice --url https://example.org --env LANG=de_DE.UTF-8
  greenroom launch demo --zone west --user "Bob B." --user-id u-2 --wait 5m -o json
  greenroom launch demo --zone east --user carol --wait-for-room 2m
  greenroom launch demo --zone east --user teacher --count 20 --together
  greenroom launch --selector 'tier in (gold, silver), !gpu' --zone east --user alice
  greenroom sessions end $(greenroom launch demo --zone east --user test -o name)`,
		Args: imageOrSelector(&f), ValidArgsFunction: completeFirst(imageNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("user") && f.user == "" {
				return exit.BadUsage(errors.New("--user: must not be empty"))
			}
			if cmd.Flags().Changed("wait-for-room") {
				f.waitForRoom(cmd.Flags().Changed("wait"))
			}
			return runLaunch(cmd, strings.Join(args, ""), f)
		},
	}
	output.AllowFormats(cmd, output.Name)
	fl := cmd.Flags()
	fl.StringVar(&f.zone, "zone", "", "the zone to run in (required)")
	fl.StringVar(&f.user, "user", "", "what to call the user (left out with a token that is a user's own)")
	fl.StringVar(&f.userID, "user-id", "", "what identifies the user (default: the name)")
	fl.StringVar(&f.url, "url", "", "passed to the session, for example to open it")
	fl.StringArrayVar(&f.environment, "env", nil, "a variable for the hooks, and for the programs of a session made on demand, as KEY=VALUE (what runs in a warm session does not get it); may be repeated")
	fl.StringSliceVar(&f.groups, "group", nil, "a group of the user's; may be repeated")
	fl.DurationVar(&f.wait, "wait", time.Minute, "how long to wait for a session made on demand")
	fl.DurationVar(&f.room, "wait-for-room", 0, "how long a session on demand may wait for room (default: what its image says, else the user's groups); without --wait the command waits as long, and a minute")
	fl.StringVar(&f.key, "idempotency-key", "", "repeats with the same key get the same session (default: a fresh one)")
	fl.StringVar(&f.selector, "selector", "", "choose the image by labels, such as tier=gold,!gpu, instead of IMAGE")
	fl.BoolVar(&f.skipStaged, "skip-staged", false, "make a fresh session on demand, also where staged ones are ready")
	fl.IntVar(&f.count, "count", 1, "how many sessions, all of them or none")
	fl.BoolVar(&f.together, "together", false, "with --count: all in one zone")
	if err := cmd.MarkFlagRequired("zone"); err != nil {
		panic("greenroom: " + err.Error())
	}
	return cmd
}

// imageOrSelector accepts an image's name, or none where a selector chooses one.
func imageOrSelector(f *launchFlags) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case f.selector == "" && !cmd.Flags().Changed("selector"):
			if len(args) == 0 {
				return errors.New("give an IMAGE, or --selector, which chooses one by labels")
			}
			return oneArgument("IMAGE")(cmd, args)
		case len(args) > 0:
			return errors.New("--selector: chooses the image, so leave out IMAGE, or the selector")
		}
		if _, err := staging.ParseSelector(f.selector); err != nil {
			return fmt.Errorf("--selector: %w", err)
		}
		return nil
	}
}

// waitForRoom has the launch wait for room, and the command for that, unless how long the
// command waits was given.
func (f *launchFlags) waitForRoom(waitGiven bool) {
	room := staging.Duration(f.room)
	f.roomSet = &room
	if !waitGiven {
		f.wait = min(f.wait+max(f.room, 0), launching.MaxWait)
	}
}

// request returns the launch that the flags ask for. It validates what the broker would
// refuse under a name that is not the flag's.
func (f launchFlags) request(image string) (staging.Launch, error) {
	l := staging.Launch{
		Image: image, Selector: f.selector, SkipStaged: f.skipStaged, Zone: f.zone, User: staging.User{ID: f.userID, Name: f.user}, URL: f.url, Groups: f.groups,
		WaitForRoom: f.roomSet,
	}
	if l.User.ID == "" {
		l.User.ID = f.user // where this is empty too, the broker takes the token's user
	}
	if f.wait < 0 || f.wait > launching.MaxWait {
		return l, fmt.Errorf("--wait: must be between 0s and %s, is %s", staging.Duration(launching.MaxWait).Brief(), f.wait)
	}
	if f.room < 0 || staging.Duration(f.room) > staging.MaxRoomWait {
		return l, fmt.Errorf("--wait-for-room: must be between 0s and %s, is %s", staging.MaxRoomWait.Brief(), f.room)
	}
	if f.count < 1 || f.count > staging.MaxCount {
		return l, fmt.Errorf("--count: must be between 1 and %d, is %d", staging.MaxCount, f.count)
	}
	if f.skipStaged && f.count > 1 {
		return l, errors.New("--skip-staged: is for one session: several are given from what is staged alone")
	}
	if f.together && f.count == 1 {
		return l, errors.New("--together: is for several sessions: give a --count of 2 or more with it")
	}
	if f.count > 1 {
		l.Count, l.Together = f.count, f.together
	}
	for _, pair := range f.environment {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return l, fmt.Errorf("--env: must be KEY=VALUE, is %q", pair)
		}
		if _, twice := l.Environment[key]; twice {
			return l, fmt.Errorf("--env: %s is there twice", key)
		}
		if l.Environment == nil {
			l.Environment = map[string]string{}
		}
		l.Environment[key] = value
	}
	return l, nil
}

func runLaunch(cmd *cobra.Command, image string, f launchFlags) error {
	request, err := f.request(image)
	if err != nil {
		return exit.BadUsage(err)
	}
	c, err := client.FromFlags(cmd)
	if err != nil {
		return err
	}
	if f.key == "" {
		f.key = strings.ToLower(ulid.Make().String())
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), f.wait+client.LaunchGrace)
	defer cancel()
	p := &progress{client: c, launch: request, out: cmd.ErrOrStderr(), began: time.Now(), printed: map[string]bool{}}
	watching, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	// Several sessions are staged ones: they come at once, or not at all. What reads JSON reads no
	// steps.
	if f.wait > 0 && !request.Several() && !output.WantsJSON(cmd) {
		wg.Go(func() { p.follow(watching) })
	}
	r, err := c.CreateSessionWithResponse(ctx, &httpapi.CreateSessionParams{Wait: f.wait.String(), IdempotencyKey: f.key}, request)
	stop()
	wg.Wait()
	if err := c.Answered(r, err, http.StatusOK, http.StatusCreated, http.StatusAccepted); err != nil {
		var dial *net.OpError
		if r == nil && (!errors.As(err, &dial) || dial.Op != "dial") {
			// The request was sent, so the launch may have begun.
			return fmt.Errorf("%w\n  it may have been begun: repeat it with --idempotency-key %s", err, f.key)
		}
		return refusedLaunch(err)
	}
	sessions := launchedIn(r)
	if len(sessions) == 0 {
		return errors.New("the broker's answer has no session in it")
	}
	if !request.Several() {
		p.done(sessions[0].Session)
	}
	if err := printSessions(cmd, r.Body, sessions); err != nil {
		return err
	}
	if f.wait > 0 && slices.ContainsFunc(sessions, notUp) {
		return exit.Error(exit.NotUp)
	}
	return nil
}

// notUp: the session has its user and is still being started.
func notUp(s httpapi.Launched) bool { return s.State != staging.Assigned }

// printSessions prints what a launch answered.
func printSessions(cmd *cobra.Command, body []byte, sessions []httpapi.Launched) error {
	if output.WantsJSON(cmd) {
		return printBody(cmd, body)
	}
	if output.Format(cmd) == output.Name {
		for _, s := range sessions {
			fmt.Fprintln(cmd.OutOrStdout(), s.ID)
		}
		return nil
	}
	for i, s := range sessions {
		if i > 0 {
			fmt.Fprintln(cmd.OutOrStdout())
		}
		if err := printLaunched(cmd, s); err != nil {
			return err
		}
	}
	return nil
}

// launchedIn returns the sessions of an answer.
func launchedIn(r *httpapi.CreateSessionResponse) []httpapi.Launched {
	switch {
	case r.JSON200 != nil:
		return []httpapi.Launched{*r.JSON200}
	case r.JSON202 != nil:
		return []httpapi.Launched{*r.JSON202}
	case r.JSON201 != nil && r.JSON201.One != nil:
		return []httpapi.Launched{*r.JSON201.One}
	case r.JSON201 != nil:
		return r.JSON201.Items
	}
	return nil
}

func printLaunched(cmd *cobra.Command, s httpapi.Launched) error {
	facts := sessionFacts(s.Session)
	for _, a := range s.Attempts {
		facts = append(facts, fact{"tried", client.AttemptLine(a)})
	}
	if s.ConnectURL != "" {
		facts = append(facts, fact{"connect", s.ConnectURL})
	}
	t := s.TimingsMs
	facts = append(facts, fact{"took", fmt.Sprintf("%.1f ms (claim %.1f, fence %.1f, hook %.1f)", t.Total, t.Claim, t.Fence, t.Hook)})
	if err := printFacts(cmd.OutOrStdout(), facts); err != nil {
		return err
	}
	if notUp(s) {
		fmt.Fprintf(cmd.ErrOrStderr(), "It is not up yet; follow it with: greenroom sessions show %s\n", s.ID)
	}
	return nil
}
