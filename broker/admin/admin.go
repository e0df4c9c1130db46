package admin

import (
	"context"
	"time"

	"github.com/greenroom/greenroom/broker/status"
	"github.com/greenroom/greenroom/internal/staging"
)

// Registry stores the resources in Consul.
type Registry interface {
	// Refresh reads all resources.
	Refresh(ctx context.Context) (staging.Resources, error)
	// The puts return what they replaced, nil for nothing, and the deletes what they
	// deleted; staging.ErrNoResource for nothing.
	PutZone(ctx context.Context, z staging.Zone) (before *staging.Zone, err error)
	PutImage(ctx context.Context, i staging.Image) (before *staging.Image, err error)
	PutConfig(ctx context.Context, c staging.Config) (before *staging.Config, err error)
	PutGroup(ctx context.Context, g staging.Group) (before *staging.Group, err error)
	PutWebhook(ctx context.Context, w staging.Webhook) (before *staging.Webhook, err error)
	DeleteZone(ctx context.Context, name string) (before *staging.Zone, err error)
	DeleteImage(ctx context.Context, name string) (before *staging.Image, err error)
	DeleteConfig(ctx context.Context, name string) (before *staging.Config, err error)
	DeleteGroup(ctx context.Context, name string) (before *staging.Group, err error)
	DeleteWebhook(ctx context.Context, name string) (before *staging.Webhook, err error)
}

// Fleet is what this package needs of Nomad.
type Fleet interface {
	Ping(ctx context.Context) error
	// Check reports whether Nomad accepts the image's jobspec; a *staging.InvalidError
	// has Nomad's message where it does not.
	Check(ctx context.Context, i staging.Image) error
	// Warnings returns what the image's jobspec has that means nothing for a session.
	Warnings(ctx context.Context, i staging.Image) ([]string, error)
	// OwnRegion reports whether a region is the one that this broker's Nomad serves.
	OwnRegion(ctx context.Context, region string) (bool, error)
}

// Notes keeps events.
type Notes interface {
	Note(ctx context.Context, e staging.Event) error
}

// Servers are the adapters that resources and tokens are stored and checked with.
type Servers struct {
	Registry Registry
	Tokens   TokenStore
	Secrets  SecretStore
	Fleet    Fleet
	// Webhooks has the webhooks' messages, Receivers posts them.
	Webhooks  WebhookStore
	Receivers Receivers
	// UserLocks are the locked users.
	UserLocks UserLockStore
	// Orders are the pauses, and what is ordered for pools; Notes has events of them.
	Orders OrderStore
	Notes  Notes
	// Installation and Foreign are for the identity of the installation, whose names are
	// Names.
	Installation InstallationStore
	Foreign      ForeignStore
	Names        staging.Names
}

// Numbers adds to staging configs the numbers of their pools.
type Numbers interface {
	Pools(ctx context.Context, configs []staging.Config) ([]status.Pool, error)
}

// Auditor records changes: before and after are the values, nil for none, and err is the
// write's error.
type Auditor interface {
	Changed(ctx context.Context, what, name string, before, after any, err error)
}

// Admin administers the resources and tokens. It may be used concurrently.
type Admin struct {
	Zones  *Resources[staging.Zone]
	Images *Resources[staging.Image]
	Groups *Resources[staging.Group]
	Pools  *Pools
	// Webhooks send events to receivers of the operator's.
	Webhooks *Webhooks
	Tokens   *Tokens
	// Secrets are the keys that sign sessions' tokens and logins.
	Secrets *Secrets

	UserLocks *UserLocks

	Pauses *Pauses

	Installation *Installation

	configs *Resources[staging.Config]
	fleet   Fleet
}

// Background runs tasks that no answer waits for, up to a bound.
type Background interface {
	// TryGo runs a task and reports true, or does not where the bound is reached.
	TryGo(task func()) bool
}

// Options bound what administrators may store.
type Options struct {
	// Limits bound the values of a staging config.
	Limits staging.Limits
	// MaxTokenLife bounds the life of a new token, or of a new secret of one; 0 does not.
	MaxTokenLife time.Duration
}

// New returns the administration of the servers. Uses of tokens are recorded in the background.
func New(on Servers, numbers Numbers, sessions UserSessions, auditor Auditor, background Background, o Options) *Admin {
	read := freshOf(on.Registry)
	services := serviceNames{on.Names}
	configs := newResources(configKind(on.Registry, o.Limits, services), read, auditor)
	return &Admin{
		Zones:  newResources(zoneKind(on.Registry, on.Fleet, services), read, auditor),
		Images: newResources(imageKind(on.Registry, on.Fleet), read, auditor),
		Groups: newResources(groupKind(on.Registry), read, auditor),
		Pools:  &Pools{configs: configs, numbers: numbers, orders: on.Orders, notes: on.Notes, auditor: auditor},
		Pauses: &Pauses{read: read, store: on.Orders, notes: on.Notes, auditor: auditor},
		Webhooks: &Webhooks{
			resources: newResources(webhookKind(on.Registry), read, auditor), store: on.Webhooks, receivers: on.Receivers, auditor: auditor,
		},
		Tokens: &Tokens{store: on.Tokens, auditor: auditor, maxLife: o.MaxTokenLife, uses: newTokenUses(on.Tokens, background)},

		Secrets:   &Secrets{store: on.Secrets, auditor: auditor},
		UserLocks: &UserLocks{store: on.UserLocks, sessions: sessions, auditor: auditor},

		Installation: &Installation{store: on.Installation, foreign: on.Foreign, names: on.Names, auditor: auditor},

		configs: configs, fleet: on.Fleet,
	}
}
