package status

import (
	"slices"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestTwoPoolsOfOneZoneAndImageGetARemark, which changes no health; two of one image in two
// zones, or of two images in one, get none.
func TestTwoPoolsOfOneZoneAndImageGetARemark(t *testing.T) {
	pool := func(name, image string) PoolStatus {
		return PoolStatus{Pool: Pool{Config: staging.Config{Name: name, Image: image}}}
	}
	s := Status{Zones: []ZoneStatus{
		{Name: "east", Pools: []PoolStatus{pool("c", "demo"), pool("a", "demo"), pool("d", "other"), pool("b", "demo")}},
		{Name: "west", Pools: []PoolStatus{pool("e", "demo")}},
	}}
	got := s.Remarks()
	if len(got) != 1 || !strings.HasPrefix(got[0], "staging configs a, b and c stage the same image demo in zone east: ") {
		t.Errorf("%q", got)
	}
	s.Zones[0].Pools = s.Zones[0].Pools[1:3]
	if got := s.Remarks(); got != nil {
		t.Errorf("nothing is alike, and there is %q", slices.Clone(got))
	}
}

// TestAnImagesRemarkIsTheStatuss, for callers whose scope reaches the image.
func TestAnImagesRemarkIsTheStatuss(t *testing.T) {
	s := Status{images: []staging.Image{{Name: "a", Jobspec: "kill_timeout = \"2m\""}, {Name: "b", Jobspec: "kill_timeout = \"3m\""}}}
	if got := s.Remarks(); len(got) != 2 || !strings.HasPrefix(got[1], "image b: its jobspec has a kill_timeout of 3m") {
		t.Errorf("%q", got)
	}
	if got := s.Within(access.Scope{Images: []string{"a"}}).Remarks(); len(got) != 1 || !strings.HasPrefix(got[0], "image a: ") {
		t.Errorf("within a scope: %q", got)
	}
}
