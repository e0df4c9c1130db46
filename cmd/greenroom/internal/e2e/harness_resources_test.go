package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/jobspecs"
)

// quickImage returns the demo as a plain process that is healthy at once, for tests with
// many sessions.
func quickImage(name string) staging.Image {
	return staging.Image{
		Name: name, Jobspec: jobspecs.DemoRawExec,
		Variables:  map[string]string{"command": filepath.Join(bin, "demo-session"), "warmup": "0s"},
		ExecConfig: staging.ExecConfig{Assign: &staging.Hook{Cmd: []string{filepath.Join(bin, "demo-session"), "assign"}}},
	}
}

// stage stores an image and a pool of it in zone east, with the same name. When the test
// ends it removes both, and every session of theirs.
func (d *devProcess) stage(t *testing.T, image staging.Image, desired int, change ...func(*staging.Config)) staging.Config {
	t.Helper()
	c := staging.Config{Name: image.Name, Zone: "east", Image: image.Name, DesiredSessions: desired}
	for _, f := range change {
		f(&c)
	}
	d.ask(t, "PUT", "/v1/images/"+image.Name, image, 201, nil)
	d.ask(t, "PUT", "/v1/staging/"+c.Name, c, 201, nil)
	t.Cleanup(func() {
		d.ask(t, "DELETE", "/v1/staging/"+c.Name, nil, 204, nil)
		d.ask(t, "DELETE", "/v1/images/"+image.Name, nil, 204, nil)
		d.endAll(t, image.Name)
	})
	return c
}

// zone stores a zone on a datacenter, in which sessions can be staged, and deletes it when
// the test ends.
func (d *devProcess) zone(t *testing.T, name, datacenter string, change ...func(*staging.Zone)) staging.Zone {
	t.Helper()
	z := staging.Zone{Name: name, Datacenters: []string{datacenter}, AllowOriginDomain: "127.0.0.1", UpstreamAuthAddress: "127.0.0.1"}
	for _, f := range change {
		f(&z)
	}
	d.ask(t, "PUT", "/v1/zones/"+name, z, 201, nil)
	t.Cleanup(func() { d.ask(t, "DELETE", "/v1/zones/"+name, nil, 204, nil) })
	return z
}

// group stores a group, and deletes it when the test ends.
func (d *devProcess) group(t *testing.T, g staging.Group) {
	t.Helper()
	d.ask(t, "PUT", "/v1/groups/"+g.Name, g, 201, nil)
	t.Cleanup(func() { d.ask(t, "DELETE", "/v1/groups/"+g.Name, nil, 204, nil) })
}

// store stores an image, and deletes it and its sessions when the test ends.
func (d *devProcess) store(t *testing.T, image staging.Image) {
	t.Helper()
	d.ask(t, "PUT", "/v1/images/"+image.Name, image, 201, nil)
	t.Cleanup(func() {
		d.ask(t, "DELETE", "/v1/images/"+image.Name, nil, 204, nil)
		d.endAll(t, image.Name)
	})
}

// dockerImage returns the demo in Docker under another name, healthy at once. It skips the
// test if no Docker daemon answers.
func (d *devProcess) dockerImage(t *testing.T, name string) staging.Image {
	t.Helper()
	var image staging.Image
	d.ask(t, "GET", "/v1/images/demo", nil, 200, &image)
	if !strings.Contains(image.Jobspec, `"docker"`) {
		t.Skip("no Docker daemon answers: what happens inside a container is not looked at")
	}
	image.Name = name
	image.Variables["warmup"] = "0s"
	return image
}
