package launch_test

import (
	"context"

	"github.com/greenroom/greenroom/internal/quota"
	"github.com/greenroom/greenroom/internal/staging"
)

// The world as limits of sessions see it.

func (w *world) Counts(_ context.Context, pools ...string) (current, ready map[string]int, err error) {
	if err := w.note("counts"); err != nil {
		return nil, nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	current, ready = map[string]int{}, map[string]int{}
	for _, name := range pools {
		ready[name] = len(w.pools[name])
		current[name] = ready[name]
	}
	return current, ready, nil
}

func (w *world) Reservations(context.Context) (staging.Reservations, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reservations, nil
}

func (w *world) StoreReservations(_ context.Context, all staging.Reservations) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if all.Index != w.reservations.Index {
		return false, nil
	}
	all.Index++
	w.reservations = all
	return true, nil
}

// Running are the sessions that have a fate, and those that a test names.
func (w *world) Running(context.Context) ([]staging.SessionUse, error) {
	all := append([]staging.SessionUse{}, w.existing...)
	for id := range w.fates {
		all = append(all, staging.SessionUse{Session: id, Image: "hooked", Zone: "east"})
	}
	return all, nil
}

// limits are what a quota counts.
type limits interface {
	quota.Ledger
	quota.Fleet
}

// limitedToTwo are the world's resources, of which a user may have two sessions.
func limitedToTwo() *staging.Resources {
	two := 2
	r := new(world).Resources()
	r.Groups = map[string]staging.Group{"all": {Name: "all", Default: true, MaxSessionsPerUser: &two}}
	return &r
}
