package broker

import (
	"context"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/background"
	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// Registry is what launches need of Consul's KV store.
type Registry interface {
	Resources() staging.Resources
	Refresh(ctx context.Context) (staging.Resources, error)
	// CreateFate decides a session once; won is false when it was decided before, and
	// stands is the record that counts.
	CreateFate(ctx context.Context, f staging.Fate) (won bool, stands staging.Fate, err error)
	FinishFate(ctx context.Context, f staging.Fate) error
	// CreateFates decides several sessions for one launch, and FinishFates finishes
	// them: all or none. lost are the records that were there before.
	CreateFates(ctx context.Context, fates []staging.Fate) (stand []staging.Fate, lost map[string]staging.Fate, err error)
	FinishFates(ctx context.Context, fates []staging.Fate) error
	// AbandonFate takes the record from its claim, which then cannot finish it; after any
	// error the outcome is unknown.
	AbandonFate(ctx context.Context, f staging.Fate, reason string) error
	// Fates reads every fate; only while Redis is away or untrusted.
	Fates(ctx context.Context) (map[string]staging.Fate, error)
	// Key reads the holder of an Idempotency-Key; staging.ErrNoResource for none.
	Key(ctx context.Context, idempotencyKey string) (staging.KeyHold, error)
	Fate(ctx context.Context, session string) (staging.Fate, error)
	// ReleaseKey frees the key of a launch that got no session.
	ReleaseKey(ctx context.Context, idempotencyKey, claim string) error
	// Secret returns a secret that all brokers share; the first caller creates it.
	Secret(ctx context.Context, name string) ([]byte, error)
	Ping(ctx context.Context) error
}

// Store is what launches need of Redis.
type Store interface {
	Claim(ctx context.Context, pool string, c staging.Claim) (staging.ClaimResult, error)
	// ClaimSeveral takes n ready sessions from the pools, in their order, or none.
	ClaimSeveral(ctx context.Context, pools []staging.Config, n int, c staging.Claim) (staging.SeveralResult, error)
	// Unclaim puts a claimed session back of which no fate was recorded, nor will be.
	Unclaim(ctx context.Context, s staging.Session) error
	Begin(ctx context.Context, s staging.Session, c staging.Claim) (staging.ClaimResult, error)
	Assign(ctx context.Context, s staging.Session) (staging.Session, error)
	Finish(ctx context.Context, id, claim, reason string) error
	Restore(ctx context.Context, s staging.Session, f staging.Fate) (staging.State, error)
	// Release frees a claim's key; with a session only while the key names it.
	Release(ctx context.Context, idempotencyKey, claim, session string) error
	KeyHolder(ctx context.Context, idempotencyKey string) (staging.ClaimResult, error)
	// DetachKey removes the session from the key, for a launch that tries another.
	DetachKey(ctx context.Context, idempotencyKey, claim string) error
	// Adopt reserves the key for a session that the user has already, Bind binds it permanently.
	Adopt(ctx context.Context, idempotencyKey string, c staging.Claim, session string) (staging.ClaimResult, error)
	Bind(ctx context.Context, idempotencyKey, claim string) error
	// Rebind binds the key that a repeat's claim holds to the session of the earlier
	// launch, or to its several.
	Rebind(ctx context.Context, idempotencyKey string, repeat staging.Claim, s staging.Session, several ...string) error
	// Trusted reports whether a scaler has lately renewed the trust in Redis's data of a zone.
	Trusted(ctx context.Context, zone string) (bool, error)
	UserSessions(ctx context.Context, userID string) ([]staging.Session, error)
	// Note keeps an event that is no move of a session.
	Note(ctx context.Context, e staging.Event) error
}

// Fleet is what launches need of Nomad.
type Fleet interface {
	Register(ctx context.Context, spec staging.Spec) (evalID string, err error)
	Placement(ctx context.Context, s staging.Session, evalID string) (staging.PlacementFacts, error)
	WaitRunning(ctx context.Context, s staging.Session) (staging.AllocFacts, error)
	WaitOver(ctx context.Context, s staging.Session) (staging.AllocFacts, error)
	Stop(ctx context.Context, s staging.Session) error
	// Find reads a session from its job and allocation; staging.ErrNoSession when
	// its job is not there or stopped.
	Find(ctx context.Context, s staging.Session) (staging.Session, error)
	Ping(ctx context.Context) error
}

// Health is what launches need of Consul's catalog.
type Health interface {
	WaitPassing(ctx context.Context, service, session string) error
	// Passing reads a service's instances as they are now.
	Passing(ctx context.Context, service string) ([]staging.Health, error)
}

// Hooks runs an image's hooks. Any error of a run, a *staging.HookError or
// another, means that the hook is not known to have done its work.
type Hooks interface {
	// Ready prepares the assign hook of a session, so that it starts sooner; it sends
	// nothing of a user's. The assignment must be run or dropped.
	Ready(ctx context.Context, s staging.Session, h staging.Hook) Assignment
	// Run runs a hook for a launch; first_launch at most once a session, however many
	// callers ask for it.
	Run(ctx context.Context, s staging.Session, name staging.HookName, h staging.Hook, l staging.Launch) error
}

// Assignment is an assign hook that is ready to run.
type Assignment interface {
	Run(ctx context.Context, l staging.Launch) error
	// Drop closes what was prepared; after a run it does nothing.
	Drop()
}

// Shells reports the shells that are open ahead of time.
type Shells interface {
	// Armed returns the ids of a pool's sessions in which a shell is open.
	Armed(pool string) []string
}

// Meter counts launches.
type Meter interface {
	// Attempt counts a step of a launch by its outcome.
	Attempt(step staging.Step, outcome staging.Outcome)
	// Violation counts a launch that had a setting that no staged session can honour.
	Violation(v staging.Violation)
	// WithoutRedis counts a launch that was served while Redis was away.
	WithoutRedis()
	// Refused counts a launch that got no session, by the reason.
	Refused(why refusal.Kind)
	// HookFailed counts a hook that failed.
	HookFailed(name staging.HookName)
	// Launched observes a served launch.
	Launched(origin staging.Origin, t staging.Timings)
}

// LaunchParts are the adapters that launches work with.
type LaunchParts struct {
	Registry Registry
	Store    Store
	Fleet    Fleet
	Health   Health
	Hooks    Hooks
	// Shells is nil where none is kept open ahead of time.
	Shells Shells
	Meter  Meter
}

// launchState is the state of launches.
type launchState struct {
	LaunchParts
	Log *logrus.Entry
	o   Options
	// background runs what a launch's answer does not wait for.
	background *background.Group
	// The semaphores of Bounds.
	onDemands, hooks slots
	// gathers has one place: one launch at a time acquires places for several hooks.
	gathers slots
	// consul and nomad are suspected when they did not answer a launch.
	consul, nomad suspicion
	// closing is done when nothing is to be waited for any more.
	closing context.Context
	close   context.CancelFunc
}

func newLaunchState(p Parts, o Options, work *background.Group) *launchState {
	l := &launchState{
		LaunchParts: p.Launch, Log: p.Log, o: o, background: work,
		onDemands: newSlots(o.Bounds.OnDemand), hooks: newSlots(o.Bounds.Hooks), gathers: newSlots(1),
	}
	l.closing, l.close = context.WithCancel(context.Background())
	return l
}

const (
	storeTimeout   = deadline.Redis
	consulTimeout  = deadline.Consul
	nomadTimeout   = deadline.Nomad
	cleanupTimeout = deadline.Cleanup
)
