package launch_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/background"
	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// tenants has an image and two zones for staff alone, and a group for everybody else.
func tenants(r *staging.Resources) {
	one := 1
	r.Groups["staff"] = staging.Group{Name: "staff", Priority: 1}
	r.Groups["guests"] = staging.Group{Name: "guests", Priority: 9, Default: true, MaxSessionsPerUser: &one}
	r.Images["secret"] = staging.Image{Name: "secret", AllowedGroups: []string{"staff"}}
	r.Configs["se"] = staging.Config{Name: "se", Zone: "east", Image: "secret"}
	for _, name := range []string{"west", "vault"} {
		z := zone(name)
		z.AllowedGroups = []string{"staff"}
		r.Zones[name] = z
	}
}

// callers are the two kinds of callers: a user's own token, whose groups the identity provider
// names, and a launcher, which names the user's groups.
var callers = map[string]func(r *launch.Request, groups ...string){
	"a user":     func(r *launch.Request, groups ...string) { r.Groups, r.GroupsOfProvider = groups, true },
	"a launcher": func(r *launch.Request, groups ...string) { r.Groups = groups },
}

// TestWhatAUserMayNotHaveIsUnknown: the error is that of a name that does not exist, nothing
// is claimed, and the user's groups decide, whoever calls.
func TestWhatAUserMayNotHaveIsUnknown(t *testing.T) {
	for who, as := range callers {
		for what, c := range map[string]struct {
			field string
			name  func(r *launch.Request, name string)
			names [2]string
		}{
			"image": {"image", func(r *launch.Request, name string) { r.Image = name }, [2]string{"secret", "absent"}},
			"zone":  {"zone", func(r *launch.Request, name string) { r.Zone = name }, [2]string{"vault", "nowhr"}},
		} {
			var texts [2]string
			for i, name := range c.names {
				w := &world{resources: threeZones(tenants), pools: map[string][]string{"se": {"s1"}, "pe": {"e1"}}}
				_, err := launchIn(t, w, "plain", func(r *launch.Request) { as(r); c.name(r, name) })
				var invalid *staging.InvalidError
				if !errors.As(err, &invalid) || len(invalid.Fields) != 1 || invalid.Fields[0].Field != c.field || len(w.calls) != 0 {
					t.Fatalf("%s, %s %s: %v, calls %v", who, what, name, err, w.calls)
				}
				texts[i] = strings.ReplaceAll(err.Error(), name, "NAME")
			}
			if texts[0] != texts[1] {
				t.Errorf("%s: the %s that exists: %s\nthe one that does not: %s", who, what, texts[0], texts[1])
			}
		}
		w := &world{resources: threeZones(tenants), pools: map[string][]string{"se": {"s1"}}}
		r, err := launchIn(t, w, "secret", func(r *launch.Request) { as(r, "staff") })
		if err != nil || r.Session.ID != "s1" || !slices.Equal(r.Groups, []string{"staff"}) {
			t.Errorf("%s of staff: %+v %v", who, r, err)
		}
	}
}

// TestADisabledImageOfOthersIsUnknown, too: that it is disabled would reveal it.
func TestADisabledImageOfOthersIsUnknown(t *testing.T) {
	no := false
	w := &world{resources: threeZones(tenants, func(r *staging.Resources) {
		i := r.Images["secret"]
		i.Enabled = &no
		r.Images["secret"] = i
	})}
	_, err := launchIn(t, w, "secret")
	var invalid *staging.InvalidError
	if !errors.As(err, &invalid) || invalid.Fields[0].Field != "image" {
		t.Errorf("%v", err)
	}
}

// TestAlternateZonesOfOthersAreNotNamed, neither in attempts nor in a refusal, and no session
// of theirs is given. Users who may have them are served there.
func TestAlternateZonesOfOthersAreNotNamed(t *testing.T) {
	noRoom := map[string]bool{"east": true, "west": true, "vault": true, "north": true}
	for what, change := range map[string]func(*staging.Resources){
		"listed": func(*staging.Resources) {},
		"all": func(r *staging.Resources) {
			z := r.Zones["east"]
			z.AlternateZones = nil
			r.Zones["east"] = z
		},
		"an image restricted to them": func(r *staging.Resources) {
			r.Images["plain"] = staging.Image{Name: "plain", RestrictToZones: []string{"west", "vault"}}
		},
		"not searched, and no others": func(r *staging.Resources) {
			z := r.Zones["east"]
			z.SearchAlternateZones, z.AlternateZones = false, nil
			r.Zones["east"] = z
			delete(r.Zones, "north")
		},
	} {
		for who, as := range callers {
			w := &world{resources: threeZones(tenants, change), pools: map[string][]string{"pw": {"w1"}}, refusedIn: noRoom}
			_, err := launchIn(t, w, "plain", func(r *launch.Request) { as(r) })
			if err == nil {
				t.Errorf("%s, %s: served from the zone of others: %v", what, who, w.calls)
				continue
			}
			text := err.Error()
			var refused *refusal.Error
			if errors.As(err, &refused) {
				text += fmt.Sprint(refused.Attempts)
			}
			for _, name := range []string{"west", "vault", "alternate"} {
				if strings.Contains(text, name) {
					t.Errorf("%s, %s: %q is in %s", what, who, name, text)
				}
			}
		}
	}
	w := &world{resources: threeZones(tenants), pools: map[string][]string{"pw": {"w1"}}}
	r, err := launchIn(t, w, "plain", func(r *launch.Request) { callers["a user"](r, "staff") })
	if err != nil || r.Session.ID != "w1" {
		t.Errorf("staff: %+v %v", r.Session, err)
	}
}

// TestWithoutAGroupTheDefaultGroupApplies, with its limits, also to a user with groups of the
// identity provider alone; they are logged once, and are no error.
func TestWithoutAGroupTheDefaultGroupApplies(t *testing.T) {
	var log bytes.Buffer
	logger := logrus.New()
	logger.SetOutput(&log)
	w := &world{resources: threeZones(tenants), pools: map[string][]string{"pe": {"e1", "e2", "e3", "e4"}}}
	group := background.New(manyTasks)
	b := launch.New(launch.Parts{
		Servers:  launch.Servers{Resources: w, Locks: w, Fates: w, Store: w, Keys: w, Profiles: w, Fleet: w, Health: w, Hooks: w, Meter: w},
		Sessions: w, Background: group, Log: logrus.NewEntry(logger),
	}, launch.Options{})
	foreign := "Everybody at example.org\nwith a line"
	for what, c := range map[string]struct {
		provider bool
		groups   []string
		want     string
	}{
		"no group":                {false, nil, "guests"},
		"none of the provider":    {true, nil, "guests"},
		"foreign groups":          {true, []string{foreign, strings.Repeat("x", 10000)}, "guests"},
		"a foreign one and staff": {true, []string{foreign, "staff"}, "staff"},
	} {
		all, err := b.Launch(t.Context(), launch.Request{
			Launch:           staging.Launch{Image: "plain", Zone: "east", User: staging.User{ID: "u"}, Groups: c.groups},
			GroupsOfProvider: c.provider,
		})
		if err != nil || len(all) != 1 || !slices.Equal(all[0].Groups, []string{c.want}) || w.terms.Groups != c.want {
			t.Errorf("%s: %+v %v, stored with %+v", what, all, err, w.terms)
		}
	}
	b.Close()
	group.Wait()
	if n := strings.Count(log.String(), "no such group of the identity provider"); n != 2 || strings.Count(log.String(), "Everybody at example.org") != 1 || log.Len() > 2000 {
		t.Errorf("two foreign groups are logged %d times:\n%s", n, log.String())
	}
	// The limit that is claimed with is the default group's.
	w = &world{resources: threeZones(tenants), limited: []string{"a"}}
	_, err := launchIn(t, w, "plain")
	var refused *refusal.Error
	if !errors.As(err, &refused) || refused.Kind != refusal.SessionLimit || !strings.Contains(refused.Detail, "group guests allows 1 at once") {
		t.Errorf("%v", err)
	}
}

// TestADefaultGroupThatCannotBeRead: without it a user would have no limits, so the launch is
// refused; users of other groups, and other records that cannot be read, are not concerned.
func TestADefaultGroupThatCannotBeRead(t *testing.T) {
	unreadable := func(u staging.UnreadableResource) func(*staging.Resources) {
		return func(r *staging.Resources) {
			delete(r.Groups, "guests")
			u.Key, u.Kind, u.Name, u.Reason = "groups/guests", staging.KindGroup, "guests", "it is broken"
			r.Unreadable = map[string]staging.UnreadableResource{u.Key: u}
		}
	}
	for _, c := range []struct {
		what   string
		u      staging.UnreadableResource
		groups []string
		want   refusal.Kind
	}{
		{"it may be the default", staging.UnreadableResource{MayBeDefault: true}, nil, refusal.ResourceUnreadable},
		{"a user with a group", staging.UnreadableResource{MayBeDefault: true}, []string{"staff"}, ""},
		{"it is another", staging.UnreadableResource{}, nil, ""},
	} {
		w := &world{resources: threeZones(tenants, unreadable(c.u)), pools: map[string][]string{"pe": {"e1"}}}
		_, err := launchIn(t, w, "plain", func(r *launch.Request) { r.Groups = c.groups })
		var refused *refusal.Error
		if c.want == "" && err != nil || c.want != "" && (!errors.As(err, &refused) || refused.Kind != c.want) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

// TestAGroupAllowsWhatProgramsActOn: a launch for its user may set the variable, for hooks and
// for a session on demand, and a launch for another user claims nothing.
func TestAGroupAllowsWhatProgramsActOn(t *testing.T) {
	yes := true
	builders := func(r *staging.Resources) {
		r.Groups["builders"] = staging.Group{Name: "builders", AllowedEnvironment: []string{"PYTHONPATH", "GIT_*"}}
		r.Groups["open"] = staging.Group{Name: "open", Priority: 1, ExposeUserEnvironmentVars: &yes}
	}
	env := map[string]string{"PYTHONPATH": "/srv/lib", "GIT_DIR": "/srv/git"}
	for field, set := range map[string]func(*launch.Request){
		"environment":      func(r *launch.Request) { r.Environment = env },
		"user_environment": func(r *launch.Request) { r.UserEnvironment = env },
	} {
		w := &world{resources: threeZones(builders), pools: map[string][]string{"pe": {"e1"}}}
		_, err := launchIn(t, w, "plain", set, func(r *launch.Request) { r.Groups = []string{"open"} })
		var invalid *staging.InvalidError
		if !errors.As(err, &invalid) || len(invalid.Fields) != 2 || invalid.Fields[1].Field != field+".PYTHONPATH" || len(w.calls) != 0 {
			t.Errorf("%s of another user: %v, calls %v", field, err, w.calls)
		}
		_, err = launchIn(t, w, "plain", set, func(r *launch.Request) { r.Groups = []string{"open", "builders"} })
		if err != nil || len(w.specs) != 1 || w.specs[0].Environment["PYTHONPATH"] != "/srv/lib" || w.specs[0].Environment["GIT_DIR"] != "/srv/git" {
			t.Errorf("%s: %v, made of %+v", field, err, w.specs)
		}
	}
}
