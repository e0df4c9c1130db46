package scaler

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Several installations may share one Nomad. A session whose job belongs to another one is
// foreign: it is counted, and nothing acts on it. That also holds for a foreign session
// that this installation has records of, such as one whose job was created before jobs
// carried an id: it stays as it is until an administrator takes its job over.

// Installation keeps this installation's data apart from that of others.
type Installation interface {
	// Verify returns an error unless Redis belongs to this installation. A Redis that was
	// wiped belongs to it afterwards.
	Verify(ctx context.Context) error
	// Foreign shows how many sessions of other installations run.
	Foreign(ctx context.Context, all []staging.Foreign) error
}

// anyInstallation is used where no other installation shares the servers.
type anyInstallation struct{}

func (anyInstallation) Verify(context.Context) error                     { return nil }
func (anyInstallation) Foreign(context.Context, []staging.Foreign) error { return nil }

// observeForeign notes that a session's job belongs to another installation. Sessions
// without an entry get none.
func (v *view) observeForeign(id string) {
	e := v.sessions[id]
	if e == nil {
		return
	}
	v.deniedStale = v.deniedStale || e.denied
	e.foreign, e.hasJob, e.missing, e.unlisted, e.denied = true, false, false, false, false
	v.updateMembership(e)
	v.markDirty(e)
}

// foreignIn counts the sessions of each other installation in a complete read of Nomad, in
// the order of the installations' ids.
func foreignIn(all []staging.Observation) []staging.Foreign {
	counts := map[string]int{}
	for _, o := range all {
		if o.Foreign != "" {
			counts[o.Foreign]++
		}
	}
	found := []staging.Foreign{}
	for _, id := range slices.Sorted(maps.Keys(counts)) {
		found = append(found, staging.Foreign{Installation: id, Sessions: counts[id]})
	}
	return found
}

// foreignTimeout bounds showing the sessions of other installations.
const foreignTimeout = 5 * time.Second

// showForeign shows how many sessions of other installations a complete read of Nomad
// found.
func (s *Scaler) showForeign(ctx context.Context, all []staging.Observation) {
	s.wg.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, foreignTimeout)
		defer cancel()
		if err := s.Installation.Foreign(ctx, foreignIn(all)); err != nil && ctx.Err() == nil {
			s.Log.WithError(err).Warn("cannot show how many sessions of other installations run; the next complete read of Nomad tries again")
		}
	})
}

// InstallationChanged makes the scaler read Nomad again, because an administrator took over
// another installation's jobs.
func (s *Scaler) InstallationChanged() { s.requestFleetResync() }

// ConsulRestored makes the scaler read Nomad and the generation again, because another scaler has
// noted a restore of Consul: brokers trust Redis in a zone only where its scaler knows of it.
func (s *Scaler) ConsulRestored() { s.requestFleetResync() }
