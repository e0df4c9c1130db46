package broker_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker"
)

// TestStatusAnswersWhateverDoesNot: with what is known then, and why it is not well.
func TestStatusAnswersWhateverDoesNot(t *testing.T) {
	logger := logrus.New()
	logger.SetOutput(io.Discard)
	status := func(w *world) broker.Status {
		return broker.New(broker.Parts{Registry: w, Store: w, Fleet: w, Log: logrus.NewEntry(logger)}, broker.Options{}).Status(t.Context())
	}
	for _, c := range []struct {
		what     string
		world    *world
		standing broker.Standing
		known    bool
		reason   string
	}{
		{"all is well", &world{}, broker.StandingOK, true, ""},
		{"no scaler is at work", &world{unvouched: true}, broker.StandingDegraded, true, "no scaler is at work in zone east"},
		{"nothing answers", &world{fail: map[string]error{"ping": errors.New("x")}}, broker.StandingUnavailable, false, "consul does not answer"},
		{"counts cannot be read", &world{fail: map[string]error{"activity": errors.New("x")}}, broker.StandingOK, false, ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := status(c.world)
			if s.Standing != c.standing || len(s.Zones) != 1 || len(s.Zones[0].Pools) != 2 || s.Zones[0].Known != c.known {
				t.Errorf("%+v", s)
			}
			if c.reason != "" && !slices.ContainsFunc(s.Reasons, func(r string) bool { return strings.HasPrefix(r, c.reason) }) {
				t.Errorf("no reason %q in %q", c.reason, s.Reasons)
			}
			if c.known && s.Zones[0].Pools[0].Activity.Staged != 30 {
				t.Errorf("the pool's activity is %+v", s.Zones[0].Pools[0].Activity)
			}
		})
	}
}
