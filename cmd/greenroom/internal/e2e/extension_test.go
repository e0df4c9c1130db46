package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// writingHook returns a hook that writes a line to a file: the end that it is told of.
func writingHook(file string) *staging.Hook {
	return &staging.Hook{Cmd: []string{"/bin/sh", "-c", `echo "$GREENROOM_USER_ID $GREENROOM_END_REASON $GREENROOM_ENDS_AT" >>"` + file + `"`}}
}

// linesOf returns the lines of a file; none where it does not exist.
func linesOf(t *testing.T, file string) []string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return slices.DeleteFunc(strings.Split(string(b), "\n"), func(l string) bool { return l == "" })
}

// TestASessionIsExtendedWithinItsBound: its user is warned of each end, by an event and by its pre_end
// hook, once; Redis may lose the extension; and at the end its pre_stop hook runs, once.
func TestASessionIsExtendedWithinItsBound(t *testing.T) {
	d := sharedDev(t)
	dir := t.TempDir()
	image := quickImage("extended")
	warned, stopped := filepath.Join(dir, "pre_end"), filepath.Join(dir, "pre_stop")
	image.ExecConfig.PreEnd, image.ExecConfig.PreStop = writingHook(warned), writingHook(stopped)
	image.ExecConfig.PreEnd.Before = staging.Duration(10 * time.Second)
	d.stage(t, image, 1)
	d.untilReady(t, "extended", 1)
	d.group(t, staging.Group{Name: "patient", SessionTimeLimit: staging.Duration(25 * time.Second), MaxExtension: staging.Duration(40 * time.Second)})
	l := inGroup(t, d, "extended", "east", "ines", "patient")
	path := "/v1/sessions/" + l.ID
	type times struct {
		State  string
		EndsAt time.Time `json:"ends_at"`
		Until  time.Time `json:"extendable_until"`
	}
	var first, second, again times
	d.ask(t, "GET", path, nil, 200, &first)
	var p struct{ Code, Detail string }
	d.ask(t, "POST", path+"/extend", `{"by":"41s"}`, 409, &p)
	if p.Code != "extension_limit" || !strings.Contains(p.Detail, "its max_extension of 40s leaves 40s") || !first.Until.Equal(first.EndsAt.Add(40*time.Second)) {
		t.Errorf("%+v; %+v", p, first)
	}
	line := func(s times) string { return "u-ines session_time_limit " + s.EndsAt.UTC().Format(time.RFC3339) }
	until(t, "the pre_end hook ran", func() (bool, string) { return len(linesOf(t, warned)) == 1, "" })
	rdb := redis.NewClient(&redis.Options{Addr: strings.TrimPrefix(d.Redis, "redis://")})
	defer rdb.Close()
	before, err := rdb.HGet(t.Context(), "greenroom:session:"+l.ID, "terms").Result()
	must(t, err)
	for _, answer := range []*times{&second, &again} {
		d.ask(t, "POST", path+"/extend", `{"by":"20s"}`, 200, answer, "Idempotency-Key", t.Name())
	}
	if !second.EndsAt.Equal(first.EndsAt.Add(20*time.Second)) || again != second {
		t.Errorf("it ended at %s, extended at %s, by a repeat at %s", first.EndsAt, second.EndsAt, again.EndsAt)
	}
	// Redis is as it was before, as after the restore of a backup.
	must(t, rdb.HSet(t.Context(), "greenroom:session:"+l.ID, "terms", before).Err())
	until(t, "the pre_end hook ran again", func() (bool, string) { return len(linesOf(t, warned)) == 2, d.session(t, l.ID).State })
	if reason := d.untilEnded(t, l.ID); reason != "its time limit of 25s, extended by 20s, is over" {
		t.Errorf("it ended with %q", reason)
	}
	if got, want := linesOf(t, warned), []string{line(first), line(second)}; !slices.Equal(got, want) {
		t.Errorf("the pre_end hook wrote %q, want %q", got, want)
	}
	if got := linesOf(t, stopped); len(got) != 1 || !strings.HasPrefix(got[0], "u-ines its time limit of 25s, extended by 20s, is over") {
		t.Errorf("the pre_stop hook wrote %q", got)
	}
	counted := map[string]int{}
	for _, e := range d.events(t) {
		if e["session"] == l.ID {
			counted[fmt.Sprint(e["type"])]++
		}
	}
	if counted[string(staging.EventEndingSoon)] != 2 || counted[string(staging.EventExtended)] == 0 || counted[string(staging.EventHookFailed)] != 0 {
		t.Errorf("events: %v", counted)
	}
	d.ask(t, "POST", path+"/extend", `{"by":"1s"}`, 409, &p)
	if p.Code != "session_not_assigned" {
		t.Errorf("an ended session: %+v", p)
	}
}

// TestAPreStopHookHasItsTimeAndNoMore: staged and on demand, ended by request; one that does not end is
// left, and the session with it; one that fails is an event.
func TestAPreStopHookHasItsTimeAndNoMore(t *testing.T) {
	d := sharedDev(t)
	dir := t.TempDir()
	image := quickImage("saving")
	file := filepath.Join(dir, "saved")
	image.ExecConfig.PreStop = writingHook(file)
	hanging := quickImage("hanging")
	hung := filepath.Join(dir, "hung")
	hanging.ExecConfig.PreStop = writingHook(hung)
	hanging.ExecConfig.PreStop.Cmd[2] += "; exec sleep 1000"
	hanging.ExecConfig.PreStop.Timeout = staging.Duration(2 * time.Second)
	d.stage(t, image, 1)
	d.stage(t, hanging, 1)
	d.untilReady(t, "saving", 1)
	d.untilReady(t, "hanging", 1)
	var staged, onDemand, stuck launched
	d.ask(t, "POST", "/v1/sessions", launch("saving", "east", "sam"), 201, &staged)
	d.ask(t, "POST", "/v1/sessions?wait=60s", launch("saving", "west", "sue"), 201, &onDemand)
	d.ask(t, "POST", "/v1/sessions", launch("hanging", "east", "tom"), 201, &stuck)
	for _, l := range []launched{staged, onDemand, stuck, stuck} {
		d.ask(t, "DELETE", "/v1/sessions/"+l.ID, nil, 204, nil)
	}
	for _, l := range []launched{staged, onDemand, stuck} {
		if reason := d.untilEnded(t, l.ID); reason != "ended by request" {
			t.Errorf("%s ended with %q", l.ID, reason)
		}
	}
	saved := linesOf(t, file)
	slices.Sort(saved)
	if want := []string{"u-sam ended by request ", "u-sue ended by request "}; !slices.Equal(saved, want) {
		t.Errorf("the hooks wrote %q, want %q", saved, want)
	}
	if got := linesOf(t, hung); len(got) != 1 {
		t.Errorf("the hook that hangs wrote %q", got)
	}
	failed := slices.DeleteFunc(d.noted(t, staging.EventHookFailed), func(e map[string]any) bool { return e["session"] != stuck.ID })
	if len(failed) != 1 || failed[0]["hook"] != "pre_stop" {
		t.Errorf("events: %v", failed)
	}
}
