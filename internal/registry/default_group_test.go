package registry

import (
	"testing"

	"github.com/hashicorp/consul/api"
)

// TestAGroupThatCannotBeReadMayBeTheDefault, by its text; others of before may not.
func TestAGroupThatCannotBeReadMayBeTheDefault(t *testing.T) {
	for value, want := range map[string]bool{
		`{"name":"g","priority":"1","default":true}`: true,
		`{"name":"g","priority":1,"default":true`:    true,
		`{"name":"g","priority":"1"}`:                false,
		`{`:                                          false,
	} {
		res := decodeResources("p/", api.KVPairs{{Key: "p/groups/g", Value: []byte(value)}}, 1)
		u, found := res.UnreadableOf("group", "g")
		if !found || u.MayBeDefault != want {
			t.Errorf("%s: %+v", value, u)
		}
	}
	res := decodeResources("p/", api.KVPairs{{Key: "p/images/i", Value: []byte(`{"default":true}`)}}, 1)
	if u, found := res.UnreadableOf("image", "i"); !found || u.MayBeDefault {
		t.Errorf("an image: %+v", u)
	}
}
