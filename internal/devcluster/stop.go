package devcluster

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"
)

// Bounds of a stop's parts; with stopGrace in between they stay below the 15 s
// within which a cluster promises to be gone. Docker ends about three
// containers a second on a small machine; the scrub is for those that remain.
const (
	endSessionsTimeout = 5 * time.Second
	scrubTimeout       = 5 * time.Second
	// deregisterers bounds how many jobs are deregistered at a time.
	deregisterers = 16
)

// Stop ends the cluster: first every Nomad job, then the servers, then whatever
// a task left behind. It returns when all is gone and may be called again,
// which gives the same answer. Data is kept when a directory was given.
func (c *Cluster) Stop() error {
	c.stopOnce.Do(func() { c.stopErr = c.stop() })
	return c.stopErr
}

func (c *Cluster) stop() error {
	ctx := context.Background()
	if c.NomadServer != nil {
		for _, p := range append([]*Process{c.NomadServer}, c.NomadClients...) {
			if p.running() {
				_ = p.Resume() // of a paused one no job could be ended
			}
		}
		c.endSessions(ctx)
	}
	var wg sync.WaitGroup
	for _, p := range c.Processes() {
		wg.Go(func() { p.stop(stopGrace) })
	}
	wg.Wait()
	ctx, cancel := context.WithTimeout(ctx, scrubTimeout)
	defer cancel()
	err := scrub(ctx, c.Dir, c.docker)
	// Where something could not be removed, the directory stays for the next
	// Start to try again.
	if err == nil && c.temporary {
		err = os.RemoveAll(c.Dir)
	}
	c.closeFiles()
	return err
}

// closeFiles gives back what prepare took.
func (c *Cluster) closeFiles() {
	if c.spawn != nil {
		c.spawn.close()
	}
	if c.ports != nil {
		c.ports.release()
	}
	if c.dirLock != nil {
		c.dirLock.Close()
	}
}

// endSessions deregisters every job and waits until no allocation runs on a
// node whose client is there to end it. What it cannot end in time is left to
// the scrub, so nothing here is an error.
func (c *Cluster) endSessions(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, endSessionsTimeout)
	defer cancel()
	alive := map[string]bool{}
	for _, p := range c.NomadClients {
		var self agentSelf
		if p.running() && getJSON(ctx, p.addr+"/v1/agent/self", &self) == nil {
			alive[self.Stats.Client.NodeID] = true
		}
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for c.NomadServer.running() && c.deregisterAll(ctx) == nil && !c.allEnded(ctx, alive) {
		select {
		case <-ctx.Done():
			return
		case <-c.NomadServer.Done():
			return
		case <-tick.C:
		}
	}
}

// deregisterAll stops every job that is not stopped yet. A scaler that still
// runs may add others meanwhile, so it is called again until nothing runs.
func (c *Cluster) deregisterAll(ctx context.Context) error {
	var jobs []struct {
		ID, Namespace, Type string
		Stop                bool
	}
	if err := getJSON(ctx, c.NomadAddr+"/v1/jobs?namespace=*", &jobs); err != nil {
		return err
	}
	slots := make(chan struct{}, deregisterers)
	var wg sync.WaitGroup
	for _, j := range jobs {
		if j.Stop {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			u := fmt.Sprintf("%s/v1/job/%s?namespace=%s", c.NomadAddr, url.PathEscape(j.ID), url.QueryEscape(j.Namespace))
			// One that fails is tried again in the next round.
			_ = callJSON(ctx, http.MethodDelete, u, nil)
		})
	}
	wg.Wait()
	return nil
}

// allEnded reports whether no allocation runs, or is about to, on these nodes.
func (c *Cluster) allEnded(ctx context.Context, nodes map[string]bool) bool {
	var allocs []struct{ NodeID, ClientStatus string }
	if err := getJSON(ctx, c.NomadAddr+"/v1/allocations?namespace=*&task_states=false", &allocs); err != nil {
		return false
	}
	for _, a := range allocs {
		if nodes[a.NodeID] && (a.ClientStatus == "running" || a.ClientStatus == "pending") {
			return false
		}
	}
	return true
}
