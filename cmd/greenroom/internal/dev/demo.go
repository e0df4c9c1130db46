package dev

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/resources"
	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/jobspecs"
)

// demoZones returns the names of the demo's zones in order: dc1 is east, dc2 west.
func demoZones(n int) []string {
	names := []string{"east", "west", "north", "south"}
	for i := len(names); i < n; i++ {
		names = append(names, fmt.Sprintf("zone-%d", i+1))
	}
	return names[:n]
}

// demoImage returns the image "demo" for the driver, and builds what it runs.
func (d *dev) demoImage(ctx context.Context) (staging.Image, error) {
	image := staging.Image{Name: "demo", Variables: map[string]string{}}
	hooks := func(program string) staging.ExecConfig {
		return staging.ExecConfig{
			Assign: &staging.Hook{Cmd: []string{program, "assign"}},
			Go:     &staging.Hook{Cmd: []string{program, "go"}},
		}
	}
	switch d.driver {
	case "docker":
		tag, err := devcluster.BuildDemoImage(ctx)
		if err != nil {
			return image, err
		}
		image.Jobspec, image.Variables["image"] = jobspecs.DemoDocker, tag
		image.ExecConfig = hooks("/demo-session")
	case "raw_exec":
		binary, err := devcluster.DemoBinary(ctx)
		if err != nil {
			return image, err
		}
		image.Jobspec, image.Variables["command"] = jobspecs.DemoRawExec, binary
		image.ExecConfig = hooks(binary)
	default:
		image.Jobspec = jobspecs.DemoMock
	}
	return image, nil
}

// pool returns the name of a zone's demo pool.
func (d *dev) pool(zone string) string { return "demo-" + zone }

// setUp stores the demo's resources through the API, as any operator would.
func (d *dev) setUp(ctx context.Context, image staging.Image) error {
	var set resources.Set
	for i, name := range demoZones(d.zones) {
		set.Zones = append(set.Zones, staging.Zone{
			Name: name, Datacenters: []string{fmt.Sprintf("dc%d", i+1)},
			// Staged sessions are created before any request from which these could be taken.
			AllowOriginDomain: "127.0.0.1", UpstreamAuthAddress: strings.TrimPrefix(d.broker, "http://"),
		})
		set.Configs = append(set.Configs, staging.Config{
			Name: d.pool(name), Zone: name, Image: image.Name, DesiredSessions: d.desired,
			Expiration: staging.Duration(24 * time.Hour),
		})
	}
	set.Images = []staging.Image{image}
	c, err := client.New(d.broker, "")
	if err != nil {
		return err
	}
	return set.Store(ctx, c)
}
