package broker

import (
	"context"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/admin"
	"github.com/greenroom/greenroom/broker/armed"
	"github.com/greenroom/greenroom/broker/audit"
	"github.com/greenroom/greenroom/broker/background"
	"github.com/greenroom/greenroom/broker/events"
	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/sessions"
	"github.com/greenroom/greenroom/broker/status"
	"github.com/greenroom/greenroom/internal/staging"
)

// Parts are the adapters that the rooms work with. Each room names what it needs of every
// server; one adapter for each server serves them all.
type Parts struct {
	Launch   launch.Servers
	Sessions sessions.Servers
	Events   events.Store
	Audit    audit.Store
	Admin    admin.Servers
	Status   status.Servers
	Armed    armed.Servers
	Log      *logrus.Entry
}

// Broker is the rooms of a broker, joined. It may be used concurrently.
type Broker struct {
	Launcher *launch.Launcher
	Sessions *sessions.Sessions
	Events   *events.Feed
	Audit    *audit.Auditor
	Admin    *admin.Admin
	Status   *status.Monitor
	Armed    *armed.Keeper

	// background runs what no answer waits for.
	background *background.Group
}

// New returns a broker on its parts.
func New(p Parts, o Options) *Broker {
	o = o.withDefaults()
	work := background.New(o.Bounds.Background)
	var b *Broker
	heads := func(ctx context.Context, most map[string]int) map[string][]staging.Session {
		return b.Launcher.Heads(ctx, most)
	}
	p.Armed.Opened = func(s staging.Session, err error) { b.Launcher.NoteShell(s, err) }
	p.Status.DeniedHooks = func() []string { return b.Launcher.DeniedHooks() }
	b = &Broker{
		Events: events.New(p.Events, p.Log), Audit: audit.New(p.Audit, work, p.Log, o.AuditRequired), Status: status.New(p.Status, p.Log),
		Armed:      armed.New(p.Armed, heads, armed.Bounds{All: o.Bounds.Armed, PerPool: o.Bounds.ArmedPerPool}, p.Log),
		background: work,
	}
	b.Sessions = sessions.New(p.Sessions, b.Events, b.Audit, p.Log)
	b.Admin = admin.New(p.Admin, b.Status, b.Sessions, b.Audit, work, admin.Options{Limits: o.Limits, MaxTokenLife: o.MaxTokenLife})
	b.Launcher = launch.New(launch.Parts{
		Servers: p.Launch, Sessions: b.Sessions, WakeShells: b.Armed.Wake, Background: work, Log: p.Log,
	}, launch.Options{Bounds: o.Bounds.Launch, Unfenced: o.Unfenced, MaxSessionsPerUser: o.MaxSessionsPerUser, Broker: o.ID})
	return b
}

// Follow reads the events for everyone who waits for some, until ctx is done.
func (b *Broker) Follow(ctx context.Context) { b.Events.Run(ctx) }

// KeepMissed records the keepalives that Redis missed, until ctx is done.
func (b *Broker) KeepMissed(ctx context.Context) { b.Sessions.KeepMissed(ctx) }

// RecordUses records as keepalives that sessions are in use, until ctx is done.
func (b *Broker) RecordUses(ctx context.Context) { b.Sessions.RecordUses(ctx) }

// KeepHistory notes the pools' numbers until ctx is done.
func (b *Broker) KeepHistory(ctx context.Context) { b.Status.KeepHistory(ctx) }

// ReceiveKeepalives records that this broker receives keepalives until ctx is done.
func (b *Broker) ReceiveKeepalives(ctx context.Context) { b.Sessions.ReceiveKeepalives(ctx) }

// KeepEnding ends what is left of the sessions of locked users, until ctx is done.
func (b *Broker) KeepEnding(ctx context.Context) { b.Admin.UserLocks.KeepEnding(ctx) }

// KeepArmed keeps shells open in the sessions that are claimed next, until ctx is done.
// name distinguishes this process from all other brokers.
func (b *Broker) KeepArmed(ctx context.Context, name string) { b.Armed.Run(ctx, name) }

// Drain refuses new launches and waits, as long as ctx allows, for those that have claimed
// a session.
func (b *Broker) Drain(ctx context.Context) error { return b.Launcher.Drain(ctx) }

// Close waits for the background work, which has a deadline for each task.
// Call it after the last call has been answered.
func (b *Broker) Close() {
	b.Launcher.Close()
	b.background.Wait()
}
