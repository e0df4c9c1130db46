package redisstore

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/internal/staging"
)

func TestRedisBelongsToOneInstallation(t *testing.T) {
	s := newStore(t)
	first, second := staging.Installation{ID: staging.NewInstallationID()}, staging.Installation{ID: staging.NewInstallationID()}
	must(t, s.Belongs(t.Context(), first))
	must(t, s.Belongs(t.Context(), first))
	err := s.Belongs(t.Context(), second)
	var foreign *staging.ForeignError
	if !errors.As(err, &foreign) || !strings.Contains(err.Error(), first.ID) || !strings.Contains(err.Error(), second.ID) {
		t.Errorf("another installation: %v", err)
	}
	must(t, s.rdb.Del(t.Context(), s.installationKey()).Err())
	must(t, s.Belongs(t.Context(), second)) // Redis was wiped
	first.Adopted = []string{second.ID}
	must(t, s.Belongs(t.Context(), first))
	if id, err := s.Installation(t.Context()); err != nil || id != first.ID {
		t.Errorf("after the take-over it belongs to %q, %v", id, err)
	}
}

func TestForeignSessionsAreStored(t *testing.T) {
	s := newStore(t)
	if none, err := s.Foreign(t.Context()); err != nil || len(none) != 0 {
		t.Errorf("%v, %v", none, err)
	}
	want := []staging.Foreign{{Installation: staging.NoInstallation, Sessions: 3}}
	must(t, s.SetForeign(t.Context(), want))
	if got, err := s.Foreign(t.Context()); err != nil || cmp.Diff(want, got) != "" {
		t.Errorf("%v, %v", got, err)
	}
}
