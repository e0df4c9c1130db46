package scaler

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
)

// refusingStore records no session.
type refusingStore struct{ SessionStore }

func (refusingStore) Record(_ context.Context, s staging.Session) (staging.State, error) {
	return "", fmt.Errorf("redis: record session %s: %w", s.ID, errors.New("READONLY"))
}

// generationsOnly is a registry that begins generations.
type generationsOnly struct{ Registry }

func (generationsOnly) NextGeneration(_ context.Context, known uint64) (staging.Generation, error) {
	return staging.Generation{Current: known + 1}, nil
}

// TestEverySessionThatRedisRefusesHasTheSameFailure, so that the pool's condition does not
// change with every try.
func TestEverySessionThatRedisRefusesHasTheSameFailure(t *testing.T) {
	s := &Scaler{Parts: Parts{Registry: generationsOnly{}, SessionStore: refusingStore{}}}
	want := staging.Failure{Type: staging.RedisUnavailable, Message: "Redis did not store a new session: READONLY"}
	for _, id := range []string{"gr-1", "gr-2"} {
		r := s.apply(t.Context(), task{step: Step{Kind: Stage}, session: staging.Session{ID: id}})
		if r.failure == nil || *r.failure != want {
			t.Errorf("session %s: %+v, want %+v", id, r.failure, want)
		}
	}
}
