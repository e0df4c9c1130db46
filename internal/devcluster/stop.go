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

const (
	// endSessionsTimeout is how long Nomad may take to end its jobs in order. It fails nothing:
	// on a small machine Docker ends about three containers per second, and scrub removes the
	// remaining ones. A stop itself has no deadline, so that a slow machine leaves nothing.
	endSessionsTimeout = 5 * time.Second
	// maxDeregistrations limits how many jobs are deregistered at a time.
	maxDeregistrations = 16
)

// Stop ends all Nomad jobs, then the servers, and then removes what tasks left behind.
// It returns when everything is gone. Further calls return the same result. If
// Options.Dir was set, Stop keeps the data.
func (c *Cluster) Stop() error {
	c.stopOnce.Do(func() { c.stopErr = c.stop() })
	return c.stopErr
}

func (c *Cluster) stop() error {
	ctx := context.Background()
	if c.NomadServer != nil {
		for _, p := range append([]*Process{c.NomadServer}, c.NomadClients...) {
			if p.running() {
				_ = p.Resume() // a paused agent cannot end its jobs
			}
		}
		c.endSessions(ctx)
	}
	var wg sync.WaitGroup
	for _, p := range c.Processes() {
		wg.Go(func() { p.stop(stopGrace) })
	}
	wg.Wait()
	err := scrub(ctx, c.Dir, c.docker)
	// If something could not be removed, the directory stays, and the next Start tries
	// again.
	if err == nil && c.temporary {
		err = os.RemoveAll(c.Dir)
	}
	c.release()
	return err
}

// release releases what prepare acquired.
func (c *Cluster) release() {
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

// endSessions deregisters all jobs and waits until their allocations have ended on every
// node with a running client. It returns no error, because scrub removes what does not
// end in time.
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

// deregisterAll stops all jobs that are not stopped yet. endSessions calls it
// repeatedly, because a running scaler may register new jobs meanwhile.
func (c *Cluster) deregisterAll(ctx context.Context) error {
	var jobs []struct {
		ID, Namespace, Type string
		Stop                bool
	}
	if err := getJSON(ctx, c.NomadAddr+"/v1/jobs?namespace=*", &jobs); err != nil {
		return err
	}
	semaphore := make(chan struct{}, maxDeregistrations)
	var wg sync.WaitGroup
	for _, j := range jobs {
		if j.Stop {
			continue
		}
		semaphore <- struct{}{}
		wg.Go(func() {
			defer func() { <-semaphore }()
			u := fmt.Sprintf("%s/v1/job/%s?namespace=%s", c.NomadAddr, url.PathEscape(j.ID), url.QueryEscape(j.Namespace))
			// If this fails, the next call tries again.
			_ = callJSON(ctx, http.MethodDelete, u, nil)
		})
	}
	wg.Wait()
	return nil
}

// allEnded reports whether the given nodes have no running or pending allocation.
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
