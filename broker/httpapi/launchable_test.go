package httpapi_test

import (
	"slices"
	"testing"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/status"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestWhatAUserMayLaunchIsListed: for the groups of a user's own token, or for those that another
// caller names, page by page, and with the zones where a session is ready.
func TestWhatAUserMayLaunchIsListed(t *testing.T) {
	f := newFake()
	f.launchable = []launch.Launchable{{Image: "demo", Zones: []string{"east", "west"}, OpensURLs: true}, {Image: "notebook", Zones: []string{"west"}}}
	pool := func(image string, ready int) status.PoolStatus {
		return status.PoolStatus{Pool: status.Pool{Config: staging.Config{Image: image}, Ready: ready}}
	}
	f.status.Zones = []status.ZoneStatus{
		{Name: "east", Known: true, Pools: []status.PoolStatus{pool("demo", 0), pool("demo", 2)}},
		// While Redis is away, the numbers are old.
		{Name: "west", Pools: []status.PoolStatus{pool("demo", 2), pool("notebook", 1)}},
	}
	e := newEdge(t, f, func(o *httpapi.Options) {
		o.Guard = access.Guard{On: true, Agent: access.Hash("the agent's"), Issuer: canned{"a.user.x": {Role: access.User, Subject: "u-1", Groups: []string{"staff"}}}}
	})
	as, own := header("Authorization", "Bearer the agent's"), header("Authorization", "Bearer a.user.x")
	const first = `{"items":[{"image":"demo","opens_urls":true,"zones":[{"ready":true,"zone":"east"},{"ready":false,"zone":"west"}]}]`
	got := e.do("GET", "/v1/launchable?limit=1&groups=a,b", "", as)
	if want := first + `,"next_cursor":"bjpkZW1v"}` + "\n"; got.status != 200 || string(got.body) != want {
		t.Errorf("%d %s, want %s", got.status, got.body, want)
	}
	if !slices.Equal(f.asked.Groups, []string{"a", "b"}) || f.asked.GroupsOfProvider {
		t.Errorf("it was listed for %+v", f.asked)
	}
	got = e.do("GET", "/v1/launchable?cursor=bjpkZW1v", "", own)
	if want := `{"items":[{"image":"notebook","opens_urls":false,"zones":[{"ready":false,"zone":"west"}]}]}` + "\n"; got.status != 200 || string(got.body) != want {
		t.Errorf("%d %s, want %s", got.status, got.body, want)
	}
	if !slices.Equal(f.asked.Groups, []string{"staff"}) || !f.asked.GroupsOfProvider {
		t.Errorf("it was listed for %+v", f.asked)
	}
	e.do("GET", "/v1/launchable?groups=other", "", own).expect(t, 403, "forbidden", "groups")
}

// TestAScopeBoundsWhatIsListedToLaunch as it bounds launches: its groups must be named.
func TestAScopeBoundsWhatIsListedToLaunch(t *testing.T) {
	f := newFake()
	g, secret := scopedGuard(access.Launcher, access.Scope{Images: []string{"demo"}, Groups: []string{"acme"}})
	e := newEdge(t, f, func(o *httpapi.Options) { o.Guard = g })
	as := header("Authorization", "Bearer "+secret)
	e.do("GET", "/v1/launchable", "", as).expect(t, 403, "forbidden", "groups")
	e.do("GET", "/v1/launchable?groups=acme,other", "", as).expect(t, 403, "forbidden", "groups[1]")
	if got := e.do("GET", "/v1/launchable?groups=acme", "", as); got.status != 200 || string(got.body) != `{"items":[]}`+"\n" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if !slices.Equal(f.asked.Scope.Images, []string{"demo"}) {
		t.Errorf("it was listed within %s", f.asked.Scope)
	}
}
