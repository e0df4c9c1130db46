package admin_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/broker/admin"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// invalidField returns the field and message of an error about one field.
func invalidField(err error) (field, message string) {
	var invalid *staging.InvalidError
	if errors.As(err, &invalid) && len(invalid.Fields) == 1 {
		return invalid.Fields[0].Field, invalid.Fields[0].Message
	}
	return "", ""
}

// TestAnAllowedGroupExists: an image or a zone for a group that does not exist is refused, and
// the group is not deleted while one names it: created anew, it would let others in.
func TestAnAllowedGroupExists(t *testing.T) {
	m := newMemory()
	a, _ := on(m)
	ctx := t.Context()
	image, zone := sampleImage, sampleZone
	image.AllowedGroups, zone.AllowedGroups = []string{"students"}, []string{"students"}
	_, _, imageErr := a.Images.Put(ctx, image)
	_, _, zoneErr := a.Zones.Put(ctx, zone)
	for what, err := range map[string]error{"image": imageErr, "zone": zoneErr} {
		if field, message := invalidField(err); field != "allowed_groups[0]" || !strings.Contains(message, `there is no group "students"`) {
			t.Errorf("%s: %v", what, err)
		}
	}
	set := admin.Set{Zones: []staging.Zone{zone}, Images: []staging.Image{image}}
	if err := a.Check(ctx, set); err == nil || !strings.Contains(err.Error(), "zones[0].allowed_groups[0]") || !strings.Contains(err.Error(), "images[0].allowed_groups[0]") {
		t.Errorf("check: %v", err)
	}
	set.Groups = []staging.Group{sampleGroup}
	if err := a.Check(ctx, set); err != nil {
		t.Errorf("check with the group: %v", err)
	}
	// A record that cannot be read is a group that exists.
	m.Unreadable = map[string]staging.UnreadableResource{"k": {Kind: staging.KindGroup, Name: "students"}}
	if _, _, err := a.Images.Put(ctx, image); err != nil {
		t.Errorf("a group that cannot be read: %v", err)
	}
	m.Unreadable = nil
	if _, _, err := a.Groups.Put(ctx, sampleGroup); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Zones.Put(ctx, zone); err != nil {
		t.Fatal(err)
	}
	if err := a.Groups.Delete(ctx, "students"); kindOf(err) != refusal.InUse || !strings.Contains(err.Error(), `allowed_groups of image "demo", zone "east"`) {
		t.Errorf("delete: %v", err)
	}
	if _, _, err := a.Images.Put(ctx, sampleImage); err != nil {
		t.Fatal(err)
	}
	if err := a.Zones.Delete(ctx, "east"); err != nil {
		t.Fatal(err)
	}
	if err := a.Groups.Delete(ctx, "students"); err != nil {
		t.Errorf("delete what nothing names: %v", err)
	}
}

// TestOneGroupIsTheDefault: a second one is refused and names the first; in a set it may move.
func TestOneGroupIsTheDefault(t *testing.T) {
	a, _ := on(newMemory())
	ctx := t.Context()
	guests, students := staging.Group{Name: "guests", Default: true}, staging.Group{Name: "students", Default: true}
	for range 2 { // it may be stored again
		if _, _, err := a.Groups.Put(ctx, guests); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := a.Groups.Put(ctx, students)
	if field, message := invalidField(err); field != "default" || !strings.Contains(message, `"guests"`) {
		t.Errorf("a second: %v", err)
	}
	if err := a.Check(ctx, admin.Set{Groups: []staging.Group{guests, students}}); err == nil || !strings.Contains(err.Error(), "groups[1].default") {
		t.Errorf("two in a set: %v", err)
	}
	guests.Default = false
	if err := a.Check(ctx, admin.Set{Groups: []staging.Group{students, guests}}); err != nil {
		t.Errorf("it moves in a set: %v", err)
	}
}
