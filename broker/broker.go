package broker

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/time/rate"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// Registry is what the broker asks of Consul's KV store.
type Registry interface {
	Resources() staging.Resources
	Refresh(ctx context.Context) (staging.Resources, error)
	// The puts give what they replaced, nil for nothing, the deletes what they deleted.
	PutZone(ctx context.Context, z staging.Zone) (before *staging.Zone, err error)
	PutImage(ctx context.Context, i staging.Image) (before *staging.Image, err error)
	PutConfig(ctx context.Context, c staging.Config) (before *staging.Config, err error)
	PutGroup(ctx context.Context, g staging.Group) (before *staging.Group, err error)
	DeleteZone(ctx context.Context, name string) (before *staging.Zone, err error)
	DeleteImage(ctx context.Context, name string) (before *staging.Image, err error)
	DeleteConfig(ctx context.Context, name string) (before *staging.Config, err error)
	DeleteGroup(ctx context.Context, name string) (before *staging.Group, err error)
	// CreateFate decides a session once and for all; won is false when it was
	// decided before, and the record that stands is given.
	CreateFate(ctx context.Context, f staging.Fate) (won bool, stands staging.Fate, err error)
	FinishFate(ctx context.Context, f staging.Fate) error
	// CreateFates decides several sessions for one launch, and FinishFates finishes
	// them: all or none. lost are the records that were there before.
	CreateFates(ctx context.Context, fates []staging.Fate) (stand []staging.Fate, lost map[string]staging.Fate, err error)
	FinishFates(ctx context.Context, fates []staging.Fate) error
	// AbandonFate takes the record from its claim, which then cannot finish it; any
	// error says that this is not known to have happened.
	AbandonFate(ctx context.Context, f staging.Fate, reason string) error
	// Fates reads every fate; only asked while Redis is away or not believed.
	Fates(ctx context.Context) (map[string]staging.Fate, error)
	// Key reads who holds an Idempotency-Key; staging.ErrNoResource for nobody.
	Key(ctx context.Context, idempotencyKey string) (staging.KeyHold, error)
	Fate(ctx context.Context, session string) (staging.Fate, error)
	// ReleaseKey frees the key of a launch that gave no session.
	ReleaseKey(ctx context.Context, idempotencyKey, claim string) error
	// Secret gives a secret that all brokers share; the first to ask makes it.
	Secret(ctx context.Context, name string) ([]byte, error)
	// RefreshTokens reads the tokens anew.
	RefreshTokens(ctx context.Context) (*access.Tokens, error)
	CreateToken(ctx context.Context, t access.Token) error
	// RevokeToken gives the token that it deleted; staging.ErrNoResource for none.
	RevokeToken(ctx context.Context, accessor string) (access.Token, error)
	// Bootstrap stores the first administrator's token; made is false when it was
	// done before. BootstrapKey is the key that says so.
	Bootstrap(ctx context.Context, t access.Token) (made bool, err error)
	BootstrapKey() string
	Ping(ctx context.Context) error
}

// Store is what the broker asks of Redis.
type Store interface {
	Claim(ctx context.Context, pool string, c staging.Claim) (staging.ClaimResult, error)
	// ClaimSeveral takes n ready sessions from the pools, in their order, or none.
	ClaimSeveral(ctx context.Context, pools []staging.Config, n int, c staging.Claim) (staging.SeveralResult, error)
	// Unclaim puts a claimed session back of which no fate was recorded, nor will be.
	Unclaim(ctx context.Context, s staging.Session) error
	// Arm leases the oldest ready sessions of each pool to a broker, at most so many
	// of each, and gives their ids.
	Arm(ctx context.Context, broker string, pools []string, most int, lease time.Duration) (map[string][]string, error)
	Begin(ctx context.Context, s staging.Session, c staging.Claim) (staging.ClaimResult, error)
	Assign(ctx context.Context, s staging.Session) (staging.Session, error)
	Finish(ctx context.Context, id, claim, reason string) error
	Retire(ctx context.Context, s staging.Session, reason string) error
	Restore(ctx context.Context, s staging.Session, f staging.Fate) (staging.State, error)
	// Release frees a claim's key; with a session given only while the key names it.
	Release(ctx context.Context, idempotencyKey, claim, session string) error
	KeyHolder(ctx context.Context, idempotencyKey string) (staging.ClaimResult, error)
	// DetachKey lets the key go on without a session, for a launch that tries another.
	DetachKey(ctx context.Context, idempotencyKey, claim string) error
	// Adopt reserves the key for a session that the user has already, Bind binds it for good.
	Adopt(ctx context.Context, idempotencyKey string, c staging.Claim, session string) (staging.ClaimResult, error)
	Bind(ctx context.Context, idempotencyKey, claim string) error
	// Rebind binds the key that a repeat's claim holds to the session of the earlier launch.
	// Where that was given several, their ids are given too.
	Rebind(ctx context.Context, idempotencyKey string, repeat staging.Claim, s staging.Session, several ...string) error
	// Vouched reports whether a scaler has vouched of late for what is said of a zone.
	Trusted(ctx context.Context, zone string) (bool, error)
	UserSessions(ctx context.Context, userID string) ([]staging.Session, error)
	Keepalive(ctx context.Context, id string) (staging.Session, error)
	// LastEvent gives the position of the newest event, Events what happened after a
	// position, waiting for the first of it, and EventsFrom the same without waiting,
	// with whether the event at the position is still kept.
	LastEvent(ctx context.Context) (position string, err error)
	Events(ctx context.Context, after string, block time.Duration) (events []staging.Event, position string, err error)
	EventsFrom(ctx context.Context, position string, count int) (events []staging.Event, kept bool, err error)
	// Note keeps an event that is no move of a session.
	Note(ctx context.Context, e staging.Event) error
	Session(ctx context.Context, id string) (staging.Session, error)
	// Page reads a part of the sessions that have not ended, the oldest first.
	Page(ctx context.Context, f staging.SessionFilter, after staging.Position, limit int) (staging.SessionPage, error)
	Counts(ctx context.Context, pools ...string) (current, ready map[string]int, err error)
	Conditions(ctx context.Context, pools ...string) (map[string][]staging.Condition, error)
	// Activity reads what has gone on in pools of late, by the names of their configs.
	Activity(ctx context.Context, configs []staging.Config) (map[string]staging.Activity, error)
	// NoteHistory notes how pools stand, History gives what was noted of one, minute by
	// minute, and the time by the store's clock.
	NoteHistory(ctx context.Context, configs []staging.Config) error
	History(ctx context.Context, pool string) (minutes []staging.Minute, now time.Time, err error)
	Ping(ctx context.Context) error
}

// Fleet is what the broker asks of Nomad.
type Fleet interface {
	// Check says whether Nomad takes the image's jobspec; an
	// *staging.InvalidError carries its message.
	Check(ctx context.Context, i staging.Image) error
	// OwnRegion reports whether a region is the one whose sessions are watched.
	OwnRegion(ctx context.Context, region string) (bool, error)
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

// Health is what the broker asks of Consul's catalog.
type Health interface {
	WaitPassing(ctx context.Context, service, session string) error
	// Passing reads a service's instances as they are now.
	Passing(ctx context.Context, service string) ([]staging.Health, error)
}

// Hooks runs an image's hooks. Any error of a run, a *staging.HookError or
// another, means that the hook is not known to have done its work.
type Hooks interface {
	// Ready gets ready to run the assign hook in a session, so that it may begin the
	// sooner; nothing of a user's is sent. What it gives must be run or dropped.
	Ready(ctx context.Context, s staging.Session, h staging.Hook) Assignment
	// Run runs a hook for a launch; first_launch, whoever asks for it, at most
	// once a session.
	Run(ctx context.Context, s staging.Session, name staging.HookName, h staging.Hook, l staging.Launch) error
}

// Assignment is an assign hook that is ready to run.
type Assignment interface {
	Run(ctx context.Context, l staging.Launch) error
	// Drop gives it up; after a run it does nothing.
	Drop()
}

// Shells keeps shells in sessions ahead of time, for the hooks that may come. Each
// holds a connection to Nomad.
type Shells interface {
	// Arm opens one in a task of the session ("" is its main task), unless there is one.
	Arm(ctx context.Context, s staging.Session, task string) error
	// Armed names the sessions of a pool in which one waits.
	Armed(pool string) []string
	// Keep closes those in all other sessions.
	Keep(ctx context.Context, sessions map[string]bool)
}

// Meter counts what the broker does.
type Meter interface {
	// Attempt counts a step of a launch by its outcome.
	Attempt(step staging.Step, outcome staging.Outcome)
	// Violation counts a launch that had a setting that no staged session can honour.
	Violation(v staging.Violation)
	// WithoutRedis counts a launch that was served while Redis was away.
	WithoutRedis()
	// Refused counts a launch that got no session, by why.
	Refused(why refusal.Kind)
	// HookFailed counts a hook that failed.
	HookFailed(name staging.HookName)
	// Launched observes a served launch.
	Launched(origin staging.Origin, t staging.Timings)
}

// Parts are the adapters that a broker works with.
type Parts struct {
	Registry Registry
	Store    Store
	Fleet    Fleet
	Health   Health
	Hooks    Hooks
	// Shells is nil where none is kept ahead of time.
	Shells Shells
	Meter  Meter
	Log    *logrus.Entry
}

// Options bound what a broker does.
type Options struct {
	// Limits bound what a staging config may ask for.
	Limits staging.Limits
	// Bounds are how much is done at once; each that is 0 is DefaultBounds'.
	Bounds Bounds
	// Unfenced lets Redis decide alone: no fate is recorded of staged sessions.
	// Faster, for those who accept that a Redis that lost its newest writes gives
	// a session to a second user.
	Unfenced bool
}

// Broker serves launches. It may be used concurrently.
type Broker struct {
	Parts
	o Options
	// asked is what Dependencies answers with.
	asked asked
	// told is what Status answers with.
	told told
	// rearm is told that a session was claimed in which a shell may have waited.
	rearm chan struct{}
	// feed reads what happens for all who wait for it.
	feed *feed
	// cleanups are the ends of sessions that go on after their launch was answered.
	cleanups sync.WaitGroup
	// The places of Bounds.
	onDemands, hooks, behinds slots
	// gathers has one place: who gathers places for several hooks does so alone.
	gathers slots
	// consul and nomad are suspected when they did not answer a launch.
	consul, nomad suspicion
	// denials bounds the events of denied calls.
	denials *rate.Limiter
	// closing is done when no more is to be waited for.
	closing context.Context
	close   context.CancelFunc
}

// New returns a broker on its parts.
func New(p Parts, o Options) *Broker {
	if o.Limits == (staging.Limits{}) {
		o.Limits = staging.DefaultLimits
	}
	o.Bounds.OnDemand = cmp.Or(o.Bounds.OnDemand, DefaultBounds.OnDemand)
	o.Bounds.Hooks = cmp.Or(o.Bounds.Hooks, DefaultBounds.Hooks)
	o.Bounds.Armed = cmp.Or(o.Bounds.Armed, DefaultBounds.Armed)
	o.Bounds.ArmedPerPool = cmp.Or(o.Bounds.ArmedPerPool, DefaultBounds.ArmedPerPool)
	o.Bounds.HookWait = cmp.Or(o.Bounds.HookWait, DefaultBounds.HookWait)
	o.Bounds.Behind = cmp.Or(o.Bounds.Behind, DefaultBounds.Behind)
	b := &Broker{
		Parts: p, o: o, rearm: make(chan struct{}, 1), denials: newDenials(),
		onDemands: newSlots(o.Bounds.OnDemand), hooks: newSlots(o.Bounds.Hooks), behinds: newSlots(o.Bounds.Behind),
		gathers: newSlots(1),
	}
	b.feed = newFeed(p.Store, p.Log)
	b.closing, b.close = context.WithCancel(context.Background())
	return b
}

// Close waits until what goes on behind the answers is done; every piece of it
// has a deadline of its own. Call it after the last launch has been answered.
func (b *Broker) Close() {
	b.close()
	b.cleanups.Wait()
}

// Deadlines of the calls out of the broker. None is ever reached on a healthy
// cluster; each is the point from which waiting longer helps nobody.
const (
	storeTimeout   = 3 * time.Second
	consulTimeout  = 5 * time.Second
	nomadTimeout   = 10 * time.Second
	cleanupTimeout = 15 * time.Second
)
