package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestALaunchByLabelsGetsTheFullestPool: of the pools that match the fullest serves, then the
// others, then a session is made on demand of an image that matches; each says why. What the
// user may not have is not chosen.
func TestALaunchByLabelsGetsTheFullestPool(t *testing.T) {
	d := sharedDev(t)
	pool := func(name string, desired int, image, config map[string]string, change ...func(*staging.Image)) {
		t.Helper()
		i := quickImage(name)
		i.Labels = image
		for _, f := range change {
			f(&i)
		}
		d.stage(t, i, desired, func(c *staging.Config) { c.Labels = config })
	}
	d.group(t, staging.Group{Name: "vip", Priority: 5})
	pool("lab-a", 2, map[string]string{"lab": "yes", "tier": "gold"}, nil)
	pool("lab-b", 1, nil, map[string]string{"lab": "yes", "tier": "silver"})
	pool("lab-vip", 1, map[string]string{"lab": "yes"}, nil, func(i *staging.Image) { i.AllowedGroups = []string{"vip"} })
	d.untilReady(t, "lab-a", 2)
	d.untilReady(t, "lab-b", 1)
	d.untilReady(t, "lab-vip", 1)
	n := 0
	choose := func(selector string, change ...func(map[string]any)) (l launched) {
		t.Helper()
		n++
		body := map[string]any{"selector": selector, "zone": "east", "user": map[string]string{"id": fmt.Sprint("u-lab-", n), "name": "lab"}}
		for _, f := range change {
			f(body)
		}
		d.ask(t, "POST", "/v1/sessions?wait=1m", body, 201, &l)
		if l.Image == "lab-vip" {
			t.Errorf("%+v", l)
		}
		return l
	}
	last := func(l launched) string { return l.Attempts[len(l.Attempts)-1].Reason }

	if l := choose("lab=yes,tier in (silver, bronze)"); l.Staging != "lab-b" || !strings.Contains(last(l), "staging config lab-b of image lab-b matches lab=yes,tier in (silver, bronze); 1 of 1 are ready, number 1 of 1 pool") {
		t.Errorf("%+v", l)
	}
	// Half of lab-a goes: lab-b is fuller once it is refilled, although fewer are ready in it.
	if l := choose("tier=gold,!gpu"); l.Staging != "lab-a" {
		t.Errorf("%+v", l)
	}
	// What is made on demand is of an image that matches itself.
	l := choose("tier=gold", func(body map[string]any) { body["skip_staged"] = true })
	if l.Origin != "on_demand" || l.Image != "lab-a" || len(l.Attempts) != 2 || !strings.Contains(l.Attempts[0].Reason, "skip_staged") || last(l) != "image lab-a matches tier=gold" {
		t.Errorf("%+v", l)
	}
	// Several are all of one image.
	d.untilReady(t, "lab-a", 2)
	var list launchedList
	d.ask(t, "POST", "/v1/sessions", map[string]any{"selector": "lab", "zone": "east", "count": 2, "user": map[string]string{"id": "u-labs"}}, 201, &list)
	if len(list.Items) != 2 || list.Items[0].Staging != "lab-a" || list.Items[1].Staging != "lab-a" {
		t.Errorf("%+v", list)
	}
	// A repeat of the key gets the same session, of the image that was chosen.
	var first, again launched
	keyed := map[string]any{"selector": "lab=yes", "zone": "east", "user": map[string]string{"id": "u-keyed"}}
	d.ask(t, "POST", "/v1/sessions?wait=1m", keyed, 201, &first, "Idempotency-Key", "lab-key")
	d.ask(t, "POST", "/v1/sessions?wait=1m", keyed, 201, &again, "Idempotency-Key", "lab-key")
	if first.ID != again.ID || again.Image != first.Image {
		t.Errorf("%+v, and again %+v", first, again)
	}
	// A user of the group may have the third.
	var vip launched
	d.ask(t, "POST", "/v1/sessions?wait=1m", map[string]any{"selector": "lab,!tier", "zone": "east", "groups": []string{"vip"}, "user": map[string]string{"id": "u-vip"}}, 201, &vip)
	if vip.Image != "lab-vip" {
		t.Errorf("%+v", vip)
	}
	for selector, says := range map[string]string{"lab,!tier": "chooses no image", "tier in": "must have a set", "nothing=here": "chooses no image"} {
		r, err := d.call("POST", "/v1/sessions", jsonText(map[string]any{"selector": selector, "zone": "east", "user": map[string]string{"id": "u-none"}}))
		must(t, err)
		if r.status != 422 || !strings.Contains(string(r.body), says) {
			t.Errorf("%s: %d %s", selector, r.status, r.body)
		}
	}
	// The command line says what was chosen.
	d.untilReady(t, "lab-b", 1)
	out, errs, err := d.greenroom("", "launch", "--selector", "tier=silver", "--zone", "east", "--user", "cli-lab")
	if err != nil || !strings.Contains(out, "lab-b") || !strings.Contains(out, "matches tier=silver") {
		t.Errorf("%v\n%s%s", err, out, errs)
	}
}

// TestTheFullestPoolIsByShare: 2 of 2 are ready before 2 of 6, and without Redis the same.
func TestTheFullestPoolIsByShare(t *testing.T) {
	c, brokers := twoBrokers(t)
	d := brokers[0]
	limited := func(name string, desired, most int) {
		i := quickImage(name)
		i.Labels = map[string]string{"share": "yes"}
		d.ask(t, "PUT", "/v1/images/"+name, i, 201, nil)
		d.ask(t, "PUT", "/v1/staging/"+name, staging.Config{Zone: "east", Image: name, DesiredSessions: desired, MaxSessions: most}, 201, nil)
	}
	limited("large", 6, 2)
	limited("small", 2, 2)
	d.untilReady(t, "large", 2)
	d.untilReady(t, "small", 2)
	take := func(user, want string) {
		t.Helper()
		var l launched
		d.ask(t, "POST", "/v1/sessions", map[string]any{"selector": "share", "zone": "east", "user": map[string]string{"id": user}}, 201, &l)
		if l.Staging != want {
			t.Errorf("%s: %+v", user, l)
		}
	}
	take("u-1", "small") // the whole of its two
	must(t, c.Redis.Kill())
	take("u-2", "small") // half of two, a third of six
	take("u-3", "large")
}
