package status_test

import (
	"context"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker/status"
	"github.com/greenroom/greenroom/internal/staging"
)

// halted are servers in which zone east is paused, and whose scalers have said so of west alone,
// before it was resumed.
type halted struct {
	rolling
	at time.Time
}

func (s *halted) Resources() staging.Resources {
	r := s.rolling.Resources()
	east := staging.PauseTarget{Zone: "east"}
	r.Pauses = map[staging.PauseTarget]staging.Pause{east: {PauseTarget: east, Reason: "works", PausedBy: "token:tk-1", PausedAt: s.at}}
	return r
}

func (s *halted) Conditions(context.Context, ...string) (map[string][]staging.Condition, error) {
	return map[string][]staging.Condition{"west": {{Type: staging.Paused, Message: "old"}, {Type: staging.CrashLooping}}}, nil
}

// TestAPoolIsPausedByWhatConsulHas, whether a scaler has said so yet, or still says so.
func TestAPoolIsPausedByWhatConsulHas(t *testing.T) {
	s := &halted{at: time.Now()}
	pools, err := status.New(status.Servers{Registry: s, Store: s, Histories: s, Fleet: s}, nil).Pools(t.Context(), []staging.Config{
		{Name: "east", Zone: "east", Image: "demo"}, {Name: "west", Zone: "west", Image: "demo"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if p := pools[0]; p.Pause == nil || len(p.Conditions) != 1 || p.Conditions[0].Type != staging.Paused || !p.Conditions[0].Since.Equal(s.at) {
		t.Errorf("paused: %+v %+v", p.Pause, p.Conditions)
	}
	if p := pools[1]; p.Pause != nil || len(p.Conditions) != 1 || p.Conditions[0].Type != staging.CrashLooping {
		t.Errorf("resumed: %+v %+v", p.Pause, p.Conditions)
	}
}
