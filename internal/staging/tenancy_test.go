package staging

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestWhoMayHaveWhatIsByGroups: all users where no group is listed, else those in one of
// them. A user without a group of greenroom's has the default group, and no other user has it.
func TestWhoMayHaveWhatIsByGroups(t *testing.T) {
	res := Resources{Groups: map[string]Group{
		"staff": {Name: "staff"}, "students": {Name: "students"}, "guests": {Name: "guests", Default: true},
	}}
	for _, c := range []struct {
		names, allowed []string
		want           bool
		groups         []string
		unknown        []string
	}{
		{nil, nil, true, []string{"guests"}, nil},
		{nil, []string{"staff"}, false, []string{"guests"}, nil},
		{nil, []string{"staff", "guests"}, true, []string{"guests"}, nil},
		{[]string{"staff"}, []string{"guests"}, false, []string{"staff"}, nil},
		{[]string{"students", "staff"}, []string{"staff"}, true, []string{"students", "staff"}, nil},
		{[]string{"Staff"}, []string{"staff"}, false, []string{"guests"}, []string{"Staff"}},
		{[]string{"everybody at example.org"}, nil, true, []string{"guests"}, []string{"everybody at example.org"}},
		{[]string{"x", "students"}, []string{"students"}, true, []string{"students"}, []string{"x"}},
		// A group that is listed and gone again lets nobody in by its name.
		{[]string{"gone"}, []string{"gone"}, false, []string{"guests"}, []string{"gone"}},
		{nil, []string{""}, false, []string{"guests"}, nil},
	} {
		groups, unknown := res.GroupsOf(c.names)
		if !slices.Equal(GroupNames(groups), c.groups) || !slices.Equal(unknown, c.unknown) {
			t.Errorf("%q: the groups are %q, and unknown %q", c.names, GroupNames(groups), unknown)
		}
		if got := (Image{AllowedGroups: c.allowed}).AllowedTo(groups); got != c.want {
			t.Errorf("an image for %q: %q may have it: %v", c.allowed, c.names, got)
		}
		if got := (Zone{AllowedGroups: c.allowed}).AllowedTo(groups); got != c.want {
			t.Errorf("a zone for %q: %q may have it: %v", c.allowed, c.names, got)
		}
	}
}

// TestWithoutADefaultGroupNobodyHasOne.
func TestWithoutADefaultGroupNobodyHasOne(t *testing.T) {
	res := Resources{Groups: map[string]Group{"staff": {Name: "staff"}}}
	if groups, _ := res.GroupsOf([]string{"x"}); len(groups) != 0 {
		t.Errorf("%+v", groups)
	}
	if (Image{AllowedGroups: []string{"staff"}}).AllowedTo(nil) || !(Image{}).AllowedTo(nil) {
		t.Error("a user without groups")
	}
}

// TestTheDefaultGroupIsOne, and the same at every broker, also where several were stored.
func TestTheDefaultGroupIsOne(t *testing.T) {
	res := Resources{Groups: map[string]Group{
		"a": {Name: "a", Priority: 2, Default: true}, "c": {Name: "c", Priority: 1, Default: true},
		"b": {Name: "b", Priority: 1, Default: true}, "0": {Name: "0"},
	}}
	for range 20 { // the order of a map differs
		if g, ok := res.DefaultGroup(); !ok || g.Name != "b" {
			t.Fatalf("%+v, %v", g, ok)
		}
	}
}

// TestMoreGroupsNeverTakeAway: a user with more of the stored groups may have all that the
// user may have with fewer, as long as the user has one of them.
func TestMoreGroupsNeverTakeAway(t *testing.T) {
	names := []string{"a", "b", "c", "d"}
	some := rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, -1, rapid.ID[string])
	rapid.Check(t, func(t *rapid.T) {
		res := Resources{Groups: map[string]Group{}}
		for _, name := range some.Draw(t, "stored") {
			res.Groups[name] = Group{Name: name}
		}
		image := Image{AllowedGroups: some.Draw(t, "allowed")}
		fewer := some.Draw(t, "has")
		more := append(slices.Clone(fewer), some.Draw(t, "further")...)
		have, _ := res.GroupsOf(fewer)
		haveMore, _ := res.GroupsOf(more)
		if image.AllowedTo(have) && !image.AllowedTo(haveMore) {
			t.Fatalf("with %q, and not with %q", fewer, more)
		}
		// By a naive rule: a stored group that the user has and the image lists.
		want := slices.ContainsFunc(fewer, func(name string) bool {
			_, stored := res.Groups[name]
			return stored && slices.Contains(image.AllowedGroups, name)
		})
		if got := image.AllowedTo(have); got != want {
			t.Fatalf("%q may have what %q may: %v", fewer, image.AllowedGroups, got)
		}
	})
}

// TestAllowedGroupsAreNames, each once.
func TestAllowedGroupsAreNames(t *testing.T) {
	allowed := []string{"staff", "", "Students", "staff"}
	want := []string{"allowed_groups[1]", "allowed_groups[2]", "allowed_groups[3]"}
	for what, err := range map[string]error{
		"image": Image{Name: "i", Jobspec: "job", AllowedGroups: allowed}.Validate(),
		"zone":  Zone{Name: "z", Datacenters: []string{"dc1"}, AllowedGroups: allowed}.Validate(),
	} {
		var invalid *InvalidError
		if !errors.As(err, &invalid) || len(invalid.Fields) != len(want) {
			t.Errorf("%s: %v", what, err)
			continue
		}
		for i, f := range invalid.Fields {
			if f.Field != want[i] {
				t.Errorf("%s: %s, want %s", what, f.Field, want[i])
			}
		}
	}
}
