package launch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// abroad is a peer with a zone, and the records of crossings, in memory: the key's record is the
// world's.
type abroad struct {
	*world
	away error
	// answers are the peer's, in order: the error of each, nil for a session.
	answers []error
	asked   []launch.PeerRequest
}

func (a *abroad) Reachable(string) error { return a.away }

func (a *abroad) Launch(_ context.Context, peer string, r launch.PeerRequest) ([]launch.Result, error) {
	held := "no record"
	if a.keyHolder.Crossing != nil {
		held = "the record is there"
	}
	if err := a.note("ask %s for %s in %s, %s", peer, r.Only, r.Launch.Zone, held); err != nil {
		return nil, err
	}
	a.asked = append(a.asked, r)
	answer := a.answers[0]
	if a.answers = a.answers[1:]; answer != nil {
		return nil, answer
	}
	return []launch.Result{{
		Session: staging.Session{ID: "w1", State: staging.Assigned, Origin: staging.Origin(r.Only), Zone: r.Launch.Zone, Image: r.Launch.Image, User: &r.Launch.User},
		Token:   "their token", ConnectURL: "https://west.example.org/",
	}}, nil
}

func (a *abroad) HoldCrossing(_ context.Context, _ string, hold staging.KeyHold) (staging.KeyHold, error) {
	if a.keyHolder.Claim != "" && a.keyHolder.Index != hold.Index {
		return hold, &staging.KeyHeldError{KeyHold: a.keyHolder}
	}
	hold.Index++
	a.keyHolder = hold
	return hold, a.note("hold")
}

func (a *abroad) FinishCrossing(_ context.Context, hold staging.KeyHold, given []staging.RemoteSession) error {
	if hold.Claim != "" {
		a.keyHolder = hold
	}
	return a.note("given %s at %s in %s to %s", given[0].Session, given[0].Peer, given[0].Zone, given[0].UserID)
}

func (a *abroad) DropCrossing(_ context.Context, _ string, hold staging.KeyHold) error {
	if hold.Index == a.keyHolder.Index {
		a.keyHolder = staging.KeyHold{}
	}
	return a.note("drop")
}

// newAbroad returns a world whose zone east searches west, which is at a peer, and then north.
func newAbroad(answers ...error) *abroad {
	w := &world{}
	res := w.Resources()
	east := zone("east")
	east.SearchAlternateZones, east.AlternateZones = true, []string{"west", "north"}
	res.Zones = map[string]staging.Zone{"east": east, "north": zone("north"), "west": {Name: "west", Peer: "wp", PeerZone: "west-1"}}
	w.resources = &res
	return &abroad{world: w, answers: answers}
}

// launch launches an image with a key, and returns the result with its steps.
func (a *abroad) launch(t *testing.T, image string, change ...func(*launch.Request)) (launch.Result, []string, error) {
	t.Helper()
	l := with(a.world, manyTasks, launch.Options{}, func(on *launch.Servers) { on.Peers, on.Crossings = a, a })
	defer l.Close()
	req := launch.Request{Launch: staging.Launch{Image: image, Zone: "east", User: staging.User{ID: "u"}}, IdempotencyKey: "k", Wait: time.Minute}
	for _, f := range change {
		f(&req)
	}
	r, err := l.one(t.Context(), req)
	attempts := r.Attempts
	if e, ok := errors.AsType[*refusal.Error](err); ok {
		attempts = e.Attempts
	}
	var steps []string
	for _, at := range attempts {
		steps = append(steps, fmt.Sprintf("%s %s %s", at.Step, at.Zone, at.Outcome))
	}
	return r, steps, err
}

func isKind(err error, kind refusal.Kind) bool {
	e, ok := errors.AsType[*refusal.Error](err)
	return ok && e.Kind == kind
}

var noneThere = &launch.PeerRefusal{Kind: refusal.NoCapacity, Detail: "nothing is ready", Attempts: []staging.Attempt{{Outcome: staging.OutcomeEmpty, Reason: "no session is ready"}}}

// TestALaunchCrossesInItsOrder: a zone at a peer is asked at its place, for the step that it is the
// turn of, once that is recorded.
func TestALaunchCrossesInItsOrder(t *testing.T) {
	a := newAbroad(noneThere, nil)
	a.refusedIn = map[string]bool{"east": true, "north": true}
	r, steps, err := a.launch(t, "hooked")
	if err != nil || r.Session.ID != "w1" || r.Peer != "wp" || r.Session.Zone != "west" || r.Token != "their token" || r.ConnectURL != "https://west.example.org/" {
		t.Fatalf("%+v, %v", r, err)
	}
	want := []string{"staged east empty", "staged west empty", "staged north skipped", "on_demand east failed", "on_demand west served"}
	if !slices.Equal(steps, want) {
		t.Errorf("steps %q, want %q", steps, want)
	}
	for i, call := range []string{"ask wp for staged in west-1, the record is there", "ask wp for on_demand in west-1, the record is there"} {
		if !slices.Contains(a.calls, call) {
			t.Errorf("no %q in %q", call, a.calls)
		}
		if q := a.asked[i]; q.IdempotencyKey != a.asked[0].IdempotencyKey || q.IdempotencyKey == "" || time.Until(q.StartBy) <= 0 {
			t.Errorf("asked with %+v", q)
		}
	}
	if !slices.Contains(a.calls, "given w1 at wp in west to u") || a.keyHolder.Crossing == nil || !slices.Equal(a.keyHolder.Crossing.Sessions, []string{"w1"}) {
		t.Errorf("recorded: %q, %+v", a.calls, a.keyHolder)
	}
}

// TestAnUnknownOutcomeIsFollowedByNothing: the launch is refused, and its repeat asks the same peer
// first, whatever has become ready here meanwhile.
func TestAnUnknownOutcomeIsFollowedByNothing(t *testing.T) {
	a := newAbroad(errAway, nil)
	_, _, err := a.launch(t, "hooked")
	if !isKind(err, refusal.PeerUnavailable) || a.keyHolder.Crossing == nil {
		t.Fatalf("%v, record %+v", err, a.keyHolder)
	}
	a.ready, a.calls = []string{"s1"}, nil
	r, _, err := a.launch(t, "hooked")
	if err != nil || r.Session.ID != "w1" || slices.Contains(a.calls, "claim") {
		t.Errorf("the repeat: %+v, %v, calls %q", r, err, a.calls)
	}
	if a.asked[1].IdempotencyKey != a.asked[0].IdempotencyKey || a.asked[1].Only != a.asked[0].Only {
		t.Errorf("the peer was asked for %+v, then for %+v", a.asked[0], a.asked[1])
	}
}

// TestAPeerThatHasGivenNothingFreesTheKey, as soon as what was sent before cannot begin any more, and
// by no refusal for which it has not looked for the key.
func TestAPeerThatHasGivenNothingFreesTheKey(t *testing.T) {
	busy := &launch.PeerRefusal{Kind: refusal.Overloaded, Detail: "busy"}
	a := newAbroad(errAway, noneThere, busy, noneThere, noneThere)
	a.ready = nil
	a.launch(t, "hooked")
	a.ready = []string{"s1"}
	if _, _, err := a.launch(t, "hooked"); !isKind(err, refusal.PeerUnavailable) {
		t.Fatalf("the first call may still be on its way: %v", err)
	}
	a.keyHolder.Crossing.Until = time.Now().Add(-time.Second)
	if _, _, err := a.launch(t, "hooked"); !isKind(err, refusal.PeerUnavailable) {
		t.Fatalf("a peer that is busy knows nothing of the first call: %v", err)
	}
	a.keyHolder.Crossing.Until = time.Now().Add(-time.Second)
	r, steps, err := a.launch(t, "hooked")
	if err != nil || r.Session.ID != "s1" || r.Peer != "" {
		t.Errorf("once nothing can come from there: %+v, %v, %q, calls %q", r, err, steps, a.calls)
	}
}

// TestAPeerThatIsAwayIsSkipped, and only what is there alone is refused for it.
func TestAPeerThatIsAwayIsSkipped(t *testing.T) {
	a := newAbroad()
	a.away = errAway
	r, steps, err := a.launch(t, "plain")
	if want := []string{"staged east empty", "staged west skipped", "staged north skipped", "on_demand east served"}; err != nil || r.Peer != "" || !slices.Equal(steps, want) {
		t.Errorf("%+v, %v: %q, want %q", r, err, steps, want)
	}
	only := a.resources.Images["plain"]
	only.RestrictToZones = []string{"west"}
	a.resources.Images["plain"] = only
	if _, _, err := a.launch(t, "plain"); !isKind(err, refusal.PeerUnavailable) {
		t.Errorf("an image that runs there alone: %v", err)
	}
}

// TestALaunchOfOneStepStaysWhereItIs: this is how a peer asks, and it never crosses.
func TestALaunchOfOneStepStaysWhereItIs(t *testing.T) {
	a := newAbroad()
	only := func(step staging.Step) func(*launch.Request) {
		return func(r *launch.Request) { r.Only = step }
	}
	if _, steps, err := a.launch(t, "plain", only(staging.StepStaged)); !isKind(err, refusal.NoCapacity) || !slices.Equal(steps, []string{"staged east empty"}) {
		t.Errorf("staged only: %v, %q", err, steps)
	}
	if r, steps, err := a.launch(t, "plain", only(staging.StepOnDemand)); err != nil || r.Session.Origin != staging.OnDemand || !slices.Equal(steps, []string{"on_demand east served"}) {
		t.Errorf("on demand only: %v, %q", err, steps)
	}
	at := func(r *launch.Request) { r.Zone = "west" }
	if _, _, err := a.launch(t, "plain", only(staging.StepOnDemand), at); err == nil || len(a.asked) > 0 {
		t.Errorf("in a zone at a peer: %v, asked %d times", err, len(a.asked))
	}
	late := func(r *launch.Request) { r.StartBy = time.Now() }
	if _, _, err := a.launch(t, "plain", only(staging.StepStaged), late); !isKind(err, refusal.TooLate) {
		t.Errorf("too late: %v", err)
	}
}

// TestAKeyThatHasCrossedGivesNoSessionHere, also where the zone has no peer among its alternate zones any
// more: the record of the key decides, and what was claimed goes back.
func TestAKeyThatHasCrossedGivesNoSessionHere(t *testing.T) {
	a := newAbroad(errAway, nil)
	if _, _, err := a.launch(t, "hooked"); !isKind(err, refusal.PeerUnavailable) {
		t.Fatal(err)
	}
	east := a.resources.Zones["east"]
	east.AlternateZones = []string{"north"}
	a.resources.Zones["east"] = east
	a.ready, a.calls = []string{"s1"}, nil
	r, _, err := a.launch(t, "hooked")
	if err != nil || r.Session.ID != "w1" || !slices.Contains(a.calls, "put back s1") || slices.Contains(a.calls, "hook s1") {
		t.Errorf("%+v, %v, calls %q", r, err, a.calls)
	}
}
