package broker

import (
	"cmp"
	"context"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/time/rate"

	"github.com/greenroom/greenroom/broker/background"
	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// Registry is greenroom's part of Consul's KV store.
type Registry interface {
	launch.Resources
	launch.Fates
	PutZone(ctx context.Context, z staging.Zone) (before *staging.Zone, err error)
	PutImage(ctx context.Context, i staging.Image) (before *staging.Image, err error)
	PutConfig(ctx context.Context, c staging.Config) (before *staging.Config, err error)
	PutGroup(ctx context.Context, g staging.Group) (before *staging.Group, err error)
	DeleteZone(ctx context.Context, name string) (before *staging.Zone, err error)
	DeleteImage(ctx context.Context, name string) (before *staging.Image, err error)
	DeleteConfig(ctx context.Context, name string) (before *staging.Config, err error)
	DeleteGroup(ctx context.Context, name string) (before *staging.Group, err error)
	// CreateFate decides one session; won is false when it was decided before.
	CreateFate(ctx context.Context, f staging.Fate) (won bool, stands staging.Fate, err error)
	RefreshTokens(ctx context.Context) (*access.Tokens, error)
	CreateToken(ctx context.Context, t access.Token) error
	RevokeToken(ctx context.Context, accessor string) (access.Token, error)
	Bootstrap(ctx context.Context, t access.Token) (made bool, err error)
	BootstrapKey() string
}

// Store is greenroom's state in Redis.
type Store interface {
	launch.Store
	launch.Keys
	Arm(ctx context.Context, broker string, pools []string, most int, lease time.Duration) (map[string][]string, error)
	Retire(ctx context.Context, s staging.Session, reason string) error
	Keepalive(ctx context.Context, id string) (staging.Session, error)
	LastEvent(ctx context.Context) (position string, err error)
	Events(ctx context.Context, after string, block time.Duration) (events []staging.Event, position string, err error)
	EventsFrom(ctx context.Context, position string, count int) (events []staging.Event, kept bool, err error)
	Session(ctx context.Context, id string) (staging.Session, error)
	Page(ctx context.Context, f staging.SessionFilter, after staging.Position, limit int) (staging.SessionPage, error)
	Counts(ctx context.Context, pools ...string) (current, ready map[string]int, err error)
	Conditions(ctx context.Context, pools ...string) (map[string][]staging.Condition, error)
	Activity(ctx context.Context, configs []staging.Config) (map[string]staging.Activity, error)
	NoteHistory(ctx context.Context, configs []staging.Config) error
	History(ctx context.Context, pool string) (minutes []staging.Minute, now time.Time, err error)
	Ping(ctx context.Context) error
}

// Fleet is the sessions' jobs in Nomad.
type Fleet interface {
	launch.Fleet
	// Check reports whether Nomad takes the image's jobspec; an *staging.InvalidError
	// carries its message.
	Check(ctx context.Context, i staging.Image) error
	// OwnRegion reports whether a region is the one whose sessions are watched.
	OwnRegion(ctx context.Context, region string) (bool, error)
}

// Shells keeps shells open in sessions ahead of time, for the hooks that may come. Each
// holds a connection to Nomad.
type Shells interface {
	launch.Shells
	// Arm opens a shell in a task of the session ("" is its main task), unless there is one.
	Arm(ctx context.Context, s staging.Session, task string) error
	// Keep closes those in all other sessions.
	Keep(ctx context.Context, sessions map[string]bool)
}

// Parts are the adapters that a broker works with.
type Parts struct {
	Registry Registry
	Store    Store
	Fleet    Fleet
	Health   launch.Health
	Hooks    launch.Hooks
	// Shells is nil where none is kept ahead of time.
	Shells Shells
	Meter  launch.Meter
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
	// background runs what answers do not wait for.
	background *background.Group
	launcher   *launch.Launcher
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
	o.Bounds.Armed = cmp.Or(o.Bounds.Armed, DefaultBounds.Armed)
	o.Bounds.ArmedPerPool = cmp.Or(o.Bounds.ArmedPerPool, DefaultBounds.ArmedPerPool)
	o.Bounds.Behind = cmp.Or(o.Bounds.Behind, DefaultBounds.Behind)
	b := &Broker{
		Parts: p, o: o, rearm: make(chan struct{}, 1), denials: newDenials(), background: background.New(o.Bounds.Behind),
	}
	b.feed = newFeed(p.Store, p.Log)
	b.closing, b.close = context.WithCancel(context.Background())
	parts := launch.Parts{
		Resources: p.Registry, Fates: p.Registry, Store: p.Store, Keys: p.Store, Sessions: b, Fleet: p.Fleet, Health: p.Health, Hooks: p.Hooks,
		Claimed: b.wantArmed, Meter: p.Meter, Background: b.background, Closing: b.closing, Log: p.Log,
	}
	if p.Shells != nil {
		parts.Shells = p.Shells
	}
	b.launcher = launch.New(parts, launch.Options{Bounds: o.Bounds.Bounds, Unfenced: o.Unfenced})
	return b
}

// Launch gives a user the sessions that a request asks for.
func (b *Broker) Launch(ctx context.Context, req launch.Request) ([]launch.Result, error) {
	return b.launcher.Launch(ctx, req)
}

// Close waits until what runs in the background has ended; every task has a deadline of
// its own. Call it after the last launch has been answered.
func (b *Broker) Close() {
	b.close()
	b.background.Wait()
}

// Deadlines of the calls out of the broker. None is ever reached on a healthy
// cluster; each is the point from which waiting longer helps nobody.
const (
	storeTimeout  = 3 * time.Second
	consulTimeout = 5 * time.Second
	nomadTimeout  = 10 * time.Second
)

// log fields, the same in every line.
const (
	fieldSession = logfield.Session
	fieldClaim   = logfield.Claim
	fieldImage   = logfield.Image
	fieldZone    = logfield.Zone
	fieldPool    = logfield.Staging
	fieldUser    = logfield.UserID
	fieldReason  = logfield.Reason
	fieldSetting = logfield.Setting
	fieldWhere   = logfield.Where
)
