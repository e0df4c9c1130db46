package admin_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/admin"
	"github.com/greenroom/greenroom/broker/audit"
	"github.com/greenroom/greenroom/broker/background"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// unpaused is an OrderStore that finds no pause to delete.
type unpaused struct{ admin.OrderStore }

func (unpaused) DeletePause(context.Context, staging.PauseTarget) (*staging.Pause, error) {
	return nil, staging.ErrNoResource
}

// TestResumingWhatSomethingElsePausesNamesThat: who resumes a pool whose zone is paused is told so.
func TestResumingWhatSomethingElsePausesNamesThat(t *testing.T) {
	m := newMemory()
	m.Configs["demo-east"] = staging.Config{Name: "demo-east", Zone: "east"}
	m.Configs["demo-west"] = staging.Config{Name: "demo-west", Zone: "west"}
	east := staging.PauseTarget{Zone: "east"}
	m.Pauses = map[staging.PauseTarget]staging.Pause{east: {PauseTarget: east, PausedBy: "token:tk-1", Reason: "works on the rack"}}
	log := logrus.New()
	log.SetOutput(io.Discard)
	work := background.New(1)
	a := admin.New(admin.Servers{Registry: m, Orders: unpaused{}, Names: staging.DefaultNames}, numbers{}, nil, audit.New(&records{}, work, logrus.NewEntry(log), false), work, admin.Options{})
	for name, want := range map[string]string{
		"demo-east": "staging config demo-east is not paused by itself: zone east paused by token:tk-1: works on the rack; greenroom resume east ends that",
		"demo-west": "staging config demo-west is not paused; GET /v1/pauses, or greenroom pause --list, lists what is",
	} {
		err := a.Pauses.Resume(t.Context(), staging.PauseTarget{Staging: name})
		var refused *refusal.Error
		if !errors.As(err, &refused) || refused.Kind != refusal.NotFound || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
