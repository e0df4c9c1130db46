package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/staging"
)

// progressPoll is the interval at which a slow launch is checked. A staged session is
// assigned before the first check.
const progressPoll = 300 * time.Millisecond

// checkPoll is the interval at which the failing check of a session that starts is read: each
// read is one of Consul's catalog.
const checkPoll = 2 * time.Second

// progress prints for a person how far a launch is, while the command waits for it. It only
// reads: a read that fails leaves steps out and does not affect the launch.
type progress struct {
	client  *client.Client
	launch  staging.Launch
	out     io.Writer
	began   time.Time
	printed map[string]bool
	// checked is when the session's checks were read last, failing what was printed of them.
	checked time.Time
	failing string
	// room is what was printed last of what it waits for before it is placed.
	room string
}

// follow prints each step that it observes, until ctx is done.
func (p *progress) follow(ctx context.Context) {
	tick := time.NewTicker(progressPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s, found := p.look(ctx)
		if !found {
			continue
		}
		p.placing(s)
		if s.State == staging.Pending {
			p.waiting(s.Reason)
		}
		if s.State == staging.Starting {
			p.starting(s)
			p.check(ctx, s.ID)
		}
	}
}

// check prints the check that keeps a session from being up, and again when it says something
// else.
func (p *progress) check(ctx context.Context, id string) {
	if time.Since(p.checked) < checkPoll {
		return
	}
	p.checked = time.Now()
	r, err := p.client.GetSessionWithResponse(ctx, id, nil)
	if err != nil || r.JSON200 == nil || r.JSON200.FailingCheck == (staging.FailingCheck{}) {
		return
	}
	if text := r.JSON200.FailingCheck.String(); text != p.failing {
		p.failing = text
		p.write("waiting", text)
	}
}

// waiting prints what the session waits for, and again when that is something else.
func (p *progress) waiting(reason string) {
	if reason == "" || reason == p.room {
		return
	}
	p.room = reason
	p.write("waiting", strings.TrimPrefix(reason, "waiting "))
}

// look returns the session that is being created: the user's newest of the image that is made on
// demand and not assigned.
func (p *progress) look(ctx context.Context) (newest httpapi.Session, found bool) {
	all, err := p.client.ListSessions(ctx, httpapi.ListSessionsParams{User: p.launch.User.ID, Image: p.launch.Image, Origin: staging.OnDemand})
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

// done prints the remaining steps once the launch has been answered, if any step was
// printed before.
func (p *progress) done(s httpapi.Session) {
	if len(p.printed) == 0 {
		return
	}
	if s.State == staging.Starting || s.State == staging.Assigned {
		p.starting(s)
	}
	if s.State == staging.Assigned {
		p.print("healthy", endpoints(s.Address, s.Ports))
		p.print("assigned", "to "+userName(s))
	}
}

func (p *progress) placing(s httpapi.Session) {
	p.print("placing", "image "+s.Image+" in zone "+s.Zone)
}

func (p *progress) starting(s httpapi.Session) {
	where := s.ID + " in zone " + s.Zone
	if s.NodeID != "" {
		where += " on node " + s.NodeID
	}
	p.print("starting", where)
}

// print prints a step, once.
func (p *progress) print(step, what string) {
	if p.printed[step] {
		return
	}
	p.printed[step] = true
	p.write(step, what)
}

func (p *progress) write(step, what string) {
	fmt.Fprintf(p.out, "%6.1fs  %-8s  %s\n", time.Since(p.began).Seconds(), step, output.Printable(what))
}
