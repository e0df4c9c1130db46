package staging_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// These benchmarks measure a launch, and a change of resources, without any server.

// aLaunch is a launch with a value in every field that a broker passes on.
func aLaunch() staging.Launch {
	return staging.Launch{
		Image: "desktop", Zone: "east", User: staging.User{ID: "u-4711", Name: "Ada O'Brien"},
		Groups: []string{"everyone", "staff"}, URL: "https://example.org/start?q=1",
		Environment:     map[string]string{"LANG": "en_IE.UTF-8", "TZ": "Europe/Dublin", "PROJECT": "atlas"},
		UserEnvironment: map[string]string{"COURSE_ID": "7"},
		SSHKeys:         []string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJvZ3VzS2V5Rm9yQmVuY2htYXJrcw ada@example.org"},
	}
}

// BenchmarkLaunchValidate checks a valid launch.
func BenchmarkLaunchValidate(b *testing.B) {
	l := aLaunch()
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Validate(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLaunchFingerprint computes the fingerprint of a launch with an Idempotency-Key.
func BenchmarkLaunchFingerprint(b *testing.B) {
	l := aLaunch()
	b.ReportAllocs()
	for b.Loop() {
		l.Fingerprint()
	}
}

// BenchmarkResolve merges one group, and five groups, that have a value for every setting.
// Each launch does it once.
func BenchmarkResolve(b *testing.B) {
	yes, most := true, 3
	var groups []staging.Group
	for n := range 5 {
		groups = append(groups, staging.Group{
			Name: fmt.Sprintf("g%d", n), Priority: 10 - n, MaxSessionsPerUser: &most, InjectSSHKeys: &yes,
			Permissions:         staging.Permissions{staging.AllowAudio: true, staging.AllowWebcam: n == 0},
			KeepaliveExpiration: staging.Duration(time.Minute), RunConfig: map[string]any{"hostname": "desk"},
			VolumeMapping: []staging.VolumeMapping{{Source: "/srv", Target: fmt.Sprintf("/mnt/%d", n)}},
		})
	}
	for _, n := range []int{1, 5} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				staging.Resolve(groups[:n])
			}
		})
	}
}

// BenchmarkRevision computes a pool's revision, with a jobspec of 4 KiB. Each change of the
// resources does it once per pool.
func BenchmarkRevision(b *testing.B) {
	i := staging.Image{
		Name: "desktop", Jobspec: strings.Repeat("# a line of a jobspec\n", 4096/22), Variables: map[string]string{"memory": "2048", "cpu": "500"},
		RunConfig:  map[string]any{"hostname": "desk", "shm_size": 1 << 30},
		ExecConfig: staging.ExecConfig{Assign: &staging.Hook{Cmd: []string{"/usr/bin/assign", "{username}"}}},
	}
	z := staging.Zone{Name: "east", Datacenters: []string{"dc1", "dc2"}, AllowOriginDomain: "example.org", UpstreamAuthAddress: "10.0.0.1"}
	p := staging.Permissions{staging.AllowAudio: false}
	b.ReportAllocs()
	for b.Loop() {
		staging.Revision(i, z, p)
	}
}
