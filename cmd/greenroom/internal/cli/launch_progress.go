package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/staging"
)

// progressPoll is how often a launch that takes its time is looked at. A staged session
// is given before the first look.
const progressPoll = 300 * time.Millisecond

// progress tells a person how far a launch is, while it is waited for. It changes
// nothing about the launch: it looks, and says less when it cannot.
type progress struct {
	client *client.Client
	launch staging.Launch
	out    io.Writer
	began  time.Time
	told   map[string]bool
}

// follow tells each step that it sees until ctx is done.
func (p *progress) follow(ctx context.Context) {
	tick := time.NewTicker(progressPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p.tell("placing", "image "+p.launch.Image+" in zone "+p.launch.Zone)
		s, found := p.look(ctx)
		if found && s.State == staging.Starting {
			p.starting(s)
		}
	}
}

// look finds the session that is being made: the user's newest of the image.
func (p *progress) look(ctx context.Context) (newest httpapi.Session, found bool) {
	all, err := p.client.ListSessions(ctx, httpapi.ListSessionsParams{User: p.launch.User.ID, Image: p.launch.Image})
	if err != nil {
		return newest, false
	}
	for _, s := range all.Items {
		if s.State != staging.Assigned && s.CreatedAt.After(newest.CreatedAt) {
			newest, found = s, true
		}
	}
	return newest, found
}

// done tells what is known once the launch is answered, of one that took its time.
func (p *progress) done(s httpapi.Session) {
	if len(p.told) == 0 {
		return
	}
	if s.State == staging.Starting || s.State == staging.Assigned {
		p.starting(s)
	}
	if s.State == staging.Assigned {
		p.tell("healthy", endpoints(s.Address, s.Ports))
		p.tell("assigned", "to "+userName(s))
	}
}

func (p *progress) starting(s httpapi.Session) {
	where := s.ID + " in zone " + s.Zone
	if s.NodeID != "" {
		where += " on node " + s.NodeID
	}
	p.tell("starting", where)
}

// tell says a step, once.
func (p *progress) tell(step, what string) {
	if p.told[step] {
		return
	}
	p.told[step] = true
	fmt.Fprintf(p.out, "%6.1fs  %-8s  %s\n", time.Since(p.began).Seconds(), step, output.Printable(what))
}
