package dev

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
)

// awaitPools waits until every demo pool is at its desired number. It retries reads that
// fail. Where it takes long, it prints what is in the way, such as a pause that --data-dir kept.
func (d *dev) awaitPools(ctx context.Context) error {
	c, err := client.New(d.broker, "")
	if err != nil {
		return err
	}
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	began, told := time.Now(), ""
	for {
		pools, err := c.Pools(ctx)
		if err == nil && d.full(pools) {
			return nil
		}
		if text := d.inTheWay(pools); err == nil && text != told && time.Since(began) > readySoon {
			fmt.Fprint(d.out, text)
			told = text
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// writeReadyFile writes the addresses to --ready-file, atomically.
func (d *dev) writeReadyFile() error {
	if d.readyFile == "" {
		return nil
	}
	b, err := json.MarshalIndent(map[string]string{
		"broker": d.broker, "gateway": d.gateway, "consul": d.cluster.ConsulAddr, "nomad": d.cluster.NomadAddr, "redis": d.cluster.RedisAddr,
		// No token guards the API of a dev broker, which is bound to loopback.
		"token": "",
	}, "", "  ")
	if err != nil {
		return err
	}
	part := d.readyFile + ".part"
	if err := os.WriteFile(part, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("--ready-file: %w", err)
	}
	if err := os.Rename(part, d.readyFile); err != nil {
		return fmt.Errorf("--ready-file: %w", err)
	}
	return nil
}

// full reports whether every demo pool is at its desired number.
func (d *dev) full(pools []httpapi.StagingPool) bool {
	full := map[string]bool{}
	for _, p := range pools {
		full[p.Name] = p.ReadySessions >= client.Desired(p)
	}
	for _, zone := range demoZones(d.zones) {
		if !full[d.pool(zone)] {
			return false
		}
	}
	return true
}

// inTheWay has a line for each condition of a demo pool; "" for none.
func (d *dev) inTheWay(pools []httpapi.StagingPool) string {
	var lines strings.Builder
	for _, p := range pools {
		for _, zone := range demoZones(d.zones) {
			if p.Name != d.pool(zone) {
				continue
			}
			for _, c := range p.Conditions {
				fmt.Fprintf(&lines, "Waiting for pool %s: %s: %s\n", p.Name, c.Type, c.Message)
			}
		}
	}
	return lines.String()
}

// readySoon is how long the first sessions may take before awaitPools says what is in the way: what
// passes by itself while the servers start is no news.
const readySoon = 10 * time.Second

// readyPoll is the interval at which awaitPools reads the pools.
const readyPoll = 100 * time.Millisecond
