package scaler

import (
	"strings"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// pool is what the scaler knows of one staging config's pool. Only the loop uses it. A
// zone's on-demand sessions have one, too, of which only the health fields are used.
type pool struct {
	config  staging.Config
	removed bool
	// unknown: the config is stored and cannot be read, and this scaler has never read it;
	// config then has only what the sessions say.
	unknown bool
	members roster
	target  target
	// unrecorded are the ids of the entries that are unrecorded.
	unrecorded map[string]bool
	where      whereabouts
	// healthKnown: the watch on its service has reported and not failed since.
	healthKnown bool
	// health is Consul's, by allocation: a clone that Nomad made of a lost allocation
	// has its own, and is not the session.
	health    map[string]staging.Health
	stopWatch func()
	backoff   Backoff
	// failedOn are the nodes on which all of backoff's failures happened; nil when some
	// happened on none.
	failedOn []string
	// lastFailure is the session that failed last, and lastWords what its program wrote last if
	// it crashed; nil and "" while that is not known. readingWords: a step reads them now.
	// forgetFailure: what Redis has of an earlier one counts no more.
	lastFailure                 *staging.PoolFailure
	lastWords                   string
	readingWords, forgetFailure bool
	// endedFailed are the ids of sessions that failed and have ended, and that Nomad has.
	endedFailed map[string]bool
	// usualStart is how long its sessions usually take from their placement on a node until
	// they are ready; 0 for not known.
	usualStart time.Duration
	// limited is the limit of sessions that keeps it from growing.
	limited limited
	// assignHook counts the assign hook's failures since one succeeded.
	assignHook Backoff
	// size is what its demand asks for; nil while that is not known, and without sizing.
	size       *staging.DemandSize
	conditions []staging.Condition
	// reported is what was last given to a worker to write to Redis; nil when it must be
	// written again. While writing, another report waits: workers would reorder them.
	reported         *report
	writing, waiting bool
	// shown: the metrics and the board have its status.
	shown bool
	// wake is when to decide it again although nothing happened; zero for never.
	wake time.Time
}

// target is what a pool's config and the resources that it names ask for. It is
// computed at every change of them, not for every decision.
type target struct {
	noZone, noImage bool
	// unreadable says which of the three cannot be read; "" if all can. unknown: of one of
	// them nothing is known. unknownImage: of the image.
	unreadable            string
	unknown, unknownImage bool
	blocked               *staging.Failure
	// permits and revision are those of a session that is made now.
	permits, revision string
	// patience is the image's.
	patience staging.Patience
}

// resolveTarget computes a pool's target, after its config or the resources changed.
func (v *view) resolveTarget(p *pool) {
	res := v.resources
	zone, zoneKnown := res.Zones[p.config.Zone]
	image, imageKnown := res.Images[p.config.Image]
	p.target = target{permits: p.config.Permissions.Permits()}
	p.target.unknownImage = res.Unknown(staging.KindImage, p.config.Image)
	p.target.unknown = p.unknown || p.target.unknownImage || res.Unknown(staging.KindZone, p.config.Zone)
	p.target.unreadable = unreadableOf(res, p.config)
	p.target.noZone = !zoneKnown && !res.HasZone(p.config.Zone)
	p.target.noImage = !imageKnown && !p.target.unknownImage
	p.target.patience = image.Patience
	if zoneKnown && imageKnown {
		p.target.blocked = blocked(image, zone)
		p.target.revision = staging.Revision(image, zone, p.config.Permissions)
	}
	p.where.version = 0
	p.members.changeAll()
}

// unreadableOf says which of a config, its zone and its image are stored and cannot be
// read; "" for none.
func unreadableOf(res staging.Resources, c staging.Config) string {
	var found []string
	for _, named := range []struct {
		kind staging.ResourceKind
		name string
	}{{staging.KindStaging, c.Name}, {staging.KindZone, c.Zone}, {staging.KindImage, c.Image}} {
		if u, ok := res.UnreadableOf(named.kind, named.name); ok {
			found = append(found, u.String())
		}
	}
	return strings.Join(found, "; ")
}

// intern replaces strings of a session that equal the pool's by the pool's own. Each
// session was decoded separately and would otherwise keep a copy of its own.
func (p *pool) intern(s *staging.Session) {
	for _, field := range []struct {
		session *string
		pool    string
	}{
		{&s.Staging, p.config.Name},
		{&s.Zone, p.config.Zone},
		{&s.Image, p.config.Image},
		{&s.Revision, p.target.revision},
		{&s.Permits, p.target.permits},
	} {
		if *field.session == field.pool {
			*field.session = field.pool
		}
	}
}

// failed counts a failure of no particular node towards the pool's backoff.
func (p *pool) failed(why *staging.Failure, now time.Time) {
	p.backoff, p.failedOn = p.backoff.failed(why, now), nil
}

// countFailure counts a session's failure towards its pool's backoff, once. A session
// that ended without a failure was lost with its node, moved or stopped.
func (v *view) countFailure(e *entry, now time.Time) {
	p := v.pools[e.s.Staging]
	if p == nil || e.counted || !e.pooled() || e.failed() == nil || e.stopped {
		return
	}
	e.counted = true
	v.noteFailure(p, e, e.failed(), now)
}
