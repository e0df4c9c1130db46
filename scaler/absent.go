package scaler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// What a list of Nomad lacks. Nomad silently leaves out what the scaler's token may not
// list, so a session that a list lacks may run, with a user in it. It is gone only when
// Nomad answers, about its very job, that the job does not exist.

// lookup is what a read of a session's job answered.
type lookup string

// The answers.
const (
	// lookupNone: the job was not read, or the read failed.
	lookupNone lookup = ""
	// lookupThere: the job exists. It was registered after the list was read, or the token
	// may read it and not list it.
	lookupThere lookup = "there"
	// lookupGone: the job does not exist.
	lookupGone lookup = "gone"
	// lookupDenied: the token may not read the job.
	lookupDenied lookup = "denied"
)

const (
	// fewAbsent is how many sessions may vanish from one list without a doubt about the list.
	fewAbsent = 5
	// lookupInterval is the time between two lookups, so that they do not load Nomad.
	lookupInterval = 10 * time.Millisecond
	// lookupsTimeout bounds the lookups of one reading. The next reading continues.
	lookupsTimeout = 20 * time.Second
)

// errImplausible: a list of Nomad lacks too many sessions to act on it.
var errImplausible = errors.New("the list lacks many sessions at once, and reads of their jobs have not confirmed that they are gone")

// implausible reports whether a list that lacks absent of known sessions is doubtful: more
// than a few are gone at once, and more than a tenth.
func implausible(known, absent int) bool { return absent > fewAbsent && 10*absent > known }

// absentSession is a session that a list of Nomad lacks.
type absentSession struct {
	id string
	// places are the regions and namespaces in which its job may be: one if it is known.
	places []place
}

type place struct{ region, namespace string }

// settledBefore: nothing acted on it since a time, and nothing does.
func (e *entry) settledBefore(at time.Time) bool { return !e.busy && e.touchedAt.Before(at) }

// absent notes that a list of Nomad lacks it, and what a read of its job answered.
func (e *entry) absent(l lookup) {
	switch {
	case l == lookupGone, e.missing, e.s.State == staging.Ended:
		e.hasJob, e.missing, e.unlisted, e.denied = false, true, false, false
	case l == lookupNone:
		e.unlisted = true
	default:
		e.unlisted, e.denied = true, l == lookupDenied
	}
}

// absentFrom returns the sessions that a list of Nomad lacks and of which this scaler must
// know whether they are gone: those in the zones whose locks it holds. doubtful is true
// when the list is implausible; then Nomad counts as not known until it is confirmed.
func (v *view) absentFrom(r fleetReading) (absent []absentSession, doubtful bool) {
	listed := make(map[string]bool, len(r.sessions))
	for _, o := range r.sessions {
		listed[o.Session] = true
	}
	known := 0
	for id, e := range v.sessions {
		if e.missing || e.s.State == staging.Ended || !v.holds(zoneOf(e.s)) {
			continue
		}
		known++
		if !listed[id] && r.lacks(e) {
			absent = append(absent, absentSession{id: id, places: v.placesOf(e)})
		}
	}
	if doubtful = implausible(known, len(absent)); doubtful {
		v.fleetKnown = false
	}
	return absent, doubtful
}

// placesOf returns where a session's job may be. Of a session of which only a fate record
// or an event is known, it is every place that a zone names: in a wrong one Nomad would
// answer that the job does not exist.
func (v *view) placesOf(e *entry) []place {
	if !e.s.CreatedAt.IsZero() {
		return []place{{e.s.Region, e.s.Namespace}}
	}
	var places []place
	seen := map[place]bool{}
	add := func(region, namespace string) {
		// A fate record keeps its job's namespace, which no zone may name any more.
		if p := (place{region, cmp.Or(e.fate().Namespace, namespace)}); !seen[p] {
			seen[p] = true
			places = append(places, p)
		}
	}
	add("", "")
	for _, z := range v.resources.Zones {
		add(z.Region, z.Namespace)
	}
	return places
}

// lookUp reads the jobs of absent sessions, a bounded number a second. complete is false
// when the time was over before every job was read.
func (s *Scaler) lookUp(ctx context.Context, absent []absentSession) (answers map[string]lookup, complete bool) {
	ctx, cancel := context.WithTimeout(ctx, lookupsTimeout)
	defer cancel()
	ticker := time.NewTicker(lookupInterval)
	defer ticker.Stop()
	answers = make(map[string]lookup, len(absent))
	denied := map[place]bool{}
	for _, a := range absent {
		answer := lookupGone
		for _, p := range a.places {
			if denied[p] {
				answer = lookupDenied // as was every job in this namespace
				break
			}
			select {
			case <-ctx.Done():
				return answers, false
			case <-ticker.C:
			}
			exists, err := s.Fleet.Exists(ctx, staging.Session{ID: a.id, Region: p.region, Namespace: p.namespace})
			switch {
			case errors.Is(err, staging.ErrJobDenied):
				denied[p], answer = true, lookupDenied
			case err != nil:
				answer = lookupNone
			case exists:
				answer = lookupThere
			}
			if answer != lookupGone {
				break
			}
		}
		answers[a.id] = answer
	}
	return answers, ctx.Err() == nil
}

// confirm looks up the sessions that a reading lacks. The error is errImplausible when the
// reading must not be used: it lacks many sessions, and some of them were not looked up.
func (s *Scaler) confirm(ctx context.Context, r *fleetReading) error {
	var absent []absentSession
	doubtful := false
	asked := make(chan struct{})
	s.post(ctx, func(v *view) {
		defer close(asked)
		absent, doubtful = v.absentFrom(*r)
	})
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-asked:
	}
	if doubtful {
		s.Log.WithField(logfield.Absent, len(absent)).
			Warn("nomad's list lacks many sessions at once; no action until reads of their jobs have answered")
	}
	var complete bool
	r.lookups, complete = s.lookUp(ctx, absent)
	if !doubtful || complete {
		return nil
	}
	// The next reading continues with those that were not looked up.
	s.post(ctx, func(v *view) { v.noteGone(r.lookups, r.began) })
	return fmt.Errorf("%w: %d of %d were read", errImplausible, len(r.lookups), len(absent))
}

// noteGone takes over the lookups of a reading that is not used.
func (v *view) noteGone(lookups map[string]lookup, began time.Time) {
	for id, l := range lookups {
		if e := v.sessions[id]; e != nil && l == lookupGone && e.settledBefore(began) {
			e.absent(l)
			v.updateMembership(e)
			v.markDirty(e)
		}
	}
}
