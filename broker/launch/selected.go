package launch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// A launch names an image, or chooses by labels among the images and staging configs: then
// staged sessions of the pools that match are tried, best filled first in each zone, and after
// them sessions of the images that match are made on demand. Each is tried as if it had been
// named: what the user may not have is not among them.

// candidateImages are the images that may serve the launch: the one that it names, or those
// that its selector chooses, or chooses a pool of, by name.
func (l *launch) candidateImages() []staging.Image {
	if l.Selector == "" {
		image, ok := l.resources.Images[l.Image]
		if !ok || !mayHaveImage(l.Scope, image, l.groups) {
			return nil
		}
		return []staging.Image{image}
	}
	var all []staging.Image
	for _, name := range slices.Sorted(maps.Keys(l.resources.Images)) {
		image := l.resources.Images[name]
		if !image.IsEnabled() || !mayHaveImage(l.Scope, image, l.groups) {
			continue
		}
		ofPool := func(c staging.Config) bool { return c.Image == name && l.selector.Matches(staging.LabelsOf(image, c)) }
		if l.selector.Matches(image.Labels) || len(l.resources.ConfigsOf(ofPool)) > 0 {
			all = append(all, image)
		}
	}
	return all
}

// choose makes an image the one that is tried.
func (l *launch) choose(image staging.Image) {
	l.image, l.Image, l.pool, l.choice = image, image.Name, "", ""
	l.claim.Image, l.claim.Terms = image.Name, l.settings.TermsFor(image)
	l.claim.Terms.Groups = strings.Join(staging.GroupNames(l.groups), ",")
	l.claim.MaxSessionsPerUser, l.claim.MaxOfImagePerUser = 0, 0
	for _, limit := range l.userLimits() {
		if limit.Kind == staging.KindImage {
			l.claim.MaxOfImagePerUser = limit.Max
		} else {
			l.claim.MaxSessionsPerUser = limit.Max
		}
	}
	l.admittedUntil = time.Time{} // the limit may be another
}

// imageOf is the image of one of the launch's sessions, which a repeat may not have chosen.
func (l *launch) imageOf(s staging.Session) staging.Image {
	for _, image := range l.images {
		if image.Name == s.Image {
			return image
		}
	}
	return l.image
}

// chosenPools are those of an image's pools that the launch tries.
func (l *launch) chosenPools(pools []staging.Config) []staging.Config {
	if l.Selector == "" {
		return pools
	}
	return slices.DeleteFunc(pools, func(c staging.Config) bool {
		return l.pool != "" && c.Name != l.pool || !l.selector.Matches(staging.LabelsOf(l.image, c))
	})
}

// reuseAny is reuse of the first image that may serve the launch and of which the user has a
// session that can be shown the URL.
func (l *launch) reuseAny(ctx context.Context) (staging.Session, error) {
	for _, image := range l.images {
		l.choose(image)
		if s, err := l.reuse(ctx); err != nil || s.ID != "" {
			return s, err
		}
	}
	return staging.Session{}, nil
}

// anyStaged serves the launch with staged sessions. No sessions and no error: none could serve.
func (l *launch) anyStaged(ctx context.Context) ([]staging.Session, error) {
	switch {
	case l.Selector == "":
		candidates, err := l.candidates()
		if err != nil {
			return nil, err
		}
		return l.staged(ctx, candidates)
	case l.Several():
		return l.severalSelected(ctx)
	}
	pools := l.byFill(ctx)
	violated := map[string]bool{}
	for i, p := range pools {
		if p.remote != nil {
			if sessions, err := l.cross(ctx, *p.remote, staging.StepStaged); err != nil || sessions != nil {
				return sessions, err
			}
			continue
		}
		if violated[p.image.Name] {
			continue // said once
		}
		l.choose(p.image)
		l.pool, l.choice = p.config.Name, p.reason(l.Selector, i, len(pools))
		violated[p.image.Name] = len(staging.Violations(p.image, l.settings)) > 0
		candidates, err := l.candidatesIn([]zoneCandidate{l.zoneNamed(p.config.Zone)})
		if err != nil {
			return nil, err
		}
		if sessions, err := l.staged(ctx, candidates); err != nil || sessions != nil {
			return sessions, err
		}
	}
	if len(pools) == 0 {
		l.attempt(staging.StepStaged, l.Zone, staging.OutcomeSkipped, "no staging config matches "+l.Selector)
	}
	return nil, nil
}

// severalSelected serves a launch of several, all of one image, with the image first of which
// the best filled pool is.
func (l *launch) severalSelected(ctx context.Context) ([]staging.Session, error) {
	var last error
	tried := map[string]bool{}
	for _, p := range l.byFill(ctx) {
		if tried[p.image.Name] {
			continue
		}
		tried[p.image.Name] = true
		l.choose(p.image)
		l.choice = fmt.Sprintf("image %s matches %s", p.image.Name, l.Selector)
		candidates, err := l.candidates()
		var sessions []staging.Session
		if err == nil {
			sessions, err = l.staged(ctx, candidates)
		}
		if err == nil || !mayServeWithAnother(err) {
			return sessions, err
		}
		last = err
	}
	if last == nil {
		last = staging.Invalid("launch", "count", "cannot be served: several sessions are given from what is staged alone, and no staging config matches %q; launch one at a time", l.Selector)
	}
	return nil, last
}

// anyOnDemand makes a session of the first image that can be had. Of those that a selector
// chooses, an image counts that matches by its own labels: what is made on demand is no pool's.
// Room is waited for, and made by other pools, only where none of them can be had without.
func (l *launch) anyOnDemand(ctx context.Context) (staging.Session, error) {
	if l.Selector == "" {
		return l.onDemand(ctx)
	}
	images := slices.DeleteFunc(slices.Clone(l.images), func(i staging.Image) bool { return !l.selector.Matches(i.Labels) })
	l.atOnce = len(images) > 1
	defer func() { l.atOnce = false }()
	var first error
	var full []staging.Image
	for _, image := range images {
		s, err := l.onDemandOf(ctx, image)
		if err == nil || !mayServeWithAnother(err) {
			return s, err
		}
		if cannotBePlaced(err) {
			full = append(full, image)
		}
		if first == nil {
			first = err
		}
	}
	if l.atOnce {
		l.atOnce = false
		for _, image := range full {
			if l.mayWaitForRoom(image) {
				return l.onDemandOf(ctx, image)
			}
		}
	}
	if first == nil {
		first = &refusal.Error{Kind: refusal.NoCapacity, Detail: fmt.Sprintf(
			"no session is ready in the pools that match %q, and none is made on demand: no image matches by its own labels; try again shortly, or give the label to an image", l.Selector)}
	}
	return staging.Session{}, first
}

// onDemandOf makes a session of one of the images that a selector chooses.
func (l *launch) onDemandOf(ctx context.Context, image staging.Image) (staging.Session, error) {
	l.choose(image)
	l.choice = fmt.Sprintf("image %s matches %s", image.Name, l.Selector)
	return l.onDemand(ctx)
}

// mayWaitForRoom reports whether a session of an image may wait for room in a zone of the launch.
func (l *launch) mayWaitForRoom(image staging.Image) bool {
	l.choose(image)
	return slices.ContainsFunc(l.zones(), func(z zoneCandidate) bool { return z.skip == "" && l.roomWait(z.zone.Name) > 0 })
}

// mayServeWithAnother reports whether another image may do better.
func mayServeWithAnother(err error) bool {
	if _, ok := errors.AsType[*staging.InvalidError](err); ok {
		return true
	}
	e, ok := errors.AsType[*refusal.Error](err)
	if !ok || e.Kind == refusal.NomadUnavailable {
		return false
	}
	ofOthers := e.Limit != nil && e.Limit.Kind != "" && e.Limit.Kind != staging.KindGroup
	return mayServeElsewhere(e) || e.Kind == refusal.SessionLimit && ofOthers
}

// filledPool is a pool that a selector chooses, with how full it is.
type filledPool struct {
	config staging.Config
	image  staging.Image
	// ready are those that can be claimed, of as many as there shall be, or are. zone is the
	// place of its zone among those that the launch searches.
	ready, of, zone int
	// remote is a zone at a peer, which chooses among its own pools; nil for a pool.
	remote *staging.Zone
}

// share is how much of a pool is ready.
func (p filledPool) share() float64 {
	if p.of == 0 {
		return 0
	}
	return float64(p.ready) / float64(p.of)
}

// reason says why the pool is tried at its place.
func (p filledPool) reason(selector string, place, pools int) string {
	return fmt.Sprintf("staging config %s of image %s matches %s; %d of %d are ready, number %d of %s by how full they are",
		p.config.Name, p.image.Name, selector, p.ready, p.of, place+1, staging.Count(pools, "pool"))
}

// byFill are the pools that the selector chooses in the zones that the launch searches: zone by
// zone in the order of the search, and in each the best filled first.
func (l *launch) byFill(ctx context.Context) []filledPool {
	var all []filledPool
	for zone, z := range l.zones() {
		if z.unsearched {
			continue
		}
		if z.zone.Peer != "" && !l.Several() {
			if z.skip == "" {
				all = append(all, filledPool{remote: &z.zone, zone: zone})
			} else {
				l.attempt(staging.StepStaged, z.zone.Name, staging.OutcomeSkipped, z.skip)
			}
			continue
		}
		for _, image := range l.images {
			for _, c := range l.resources.Pools(z.zone.Name, image.Name) {
				if l.selector.Matches(staging.LabelsOf(image, c)) {
					all = append(all, filledPool{config: c, image: image, zone: zone})
				}
			}
		}
	}
	l.countReady(ctx, all)
	slices.SortStableFunc(all, func(a, b filledPool) int {
		return cmp.Or(cmp.Compare(a.zone, b.zone), -cmp.Compare(a.share(), b.share()), -cmp.Compare(a.ready, b.ready), strings.Compare(a.config.Name, b.config.Name))
	})
	return all
}

// countReady counts the ready sessions of pools: in Redis, or, where that does not answer, by
// what passes its checks in Consul. The counts order what is tried, and decide nothing.
func (l *launch) countReady(ctx context.Context, pools []filledPool) {
	if len(pools) == 0 {
		return
	}
	start := time.Now()
	defer func() { l.timings.Claim += time.Since(start) }()
	names := make([]string, 0, len(pools))
	for _, p := range pools {
		if p.remote == nil {
			names = append(names, p.config.Name)
		}
	}
	redis, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	current, ready, err := l.Store.Counts(redis, names...)
	for i := range pools {
		p := &pools[i]
		if p.remote != nil {
			continue
		}
		name := p.config.Name
		p.ready, p.of = ready[name], max(p.config.DesiredSessions, current[name])
		if err == nil {
			continue
		}
		consul, cancel := context.WithTimeout(ctx, deadline.Consul)
		n, countErr := l.listings.count(consul, name)
		cancel()
		if countErr != nil {
			l.log().WithError(countErr).Warn("could not count the ready sessions of the pools; they are tried in the order of their names")
			return
		}
		p.ready, p.of = n, max(p.config.DesiredSessions, n)
	}
}

// joinedReasons joins the parts of a reason that are not empty.
func joinedReasons(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "; ")
}
