package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/broker/status"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// OrderStore keeps pauses, and what is ordered for pools, in Consul.
type OrderStore interface {
	// PutPause returns the pause that it replaced, nil for none.
	PutPause(ctx context.Context, p staging.Pause) (before *staging.Pause, err error)
	// DeletePause returns the pause that it deleted; staging.ErrNoResource for none.
	DeletePause(ctx context.Context, t staging.PauseTarget) (before *staging.Pause, err error)
	// Order changes what is ordered for a pool.
	Order(ctx context.Context, name string, change func(*staging.PoolOrders)) (before *staging.PoolOrders, after staging.PoolOrders, err error)
}

// Pauses pauses and resumes pools. It may be used concurrently.
type Pauses struct {
	read    reader
	store   OrderStore
	notes   Notes
	auditor Auditor
}

// List returns what is paused: all pools first, then zones, then single pools.
func (p *Pauses) List(ctx context.Context) ([]staging.Pause, error) {
	res, err := p.read(ctx)
	if err != nil {
		return nil, err
	}
	return slices.SortedFunc(maps.Values(res.Pauses), func(a, b staging.Pause) int {
		return cmp.Or(cmp.Compare(a.Staging, b.Staging), cmp.Compare(a.Zone, b.Zone))
	}), nil
}

// Pause pauses a target, and reports whether it was not paused before.
func (p *Pauses) Pause(ctx context.Context, target staging.PauseTarget, reason string) (pause staging.Pause, made bool, err error) {
	pause = staging.Pause{PauseTarget: target, Reason: reason, PausedBy: access.CallOf(ctx).Caller.Who(), PausedAt: time.Now().UTC().Truncate(time.Millisecond)}
	if err := pause.Validate(); err != nil {
		return pause, false, err
	}
	at, err := p.exists(ctx, target)
	if err != nil {
		return pause, false, err
	}
	write, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	before, err := p.store.PutPause(write, pause)
	p.auditor.Changed(ctx, "pause of", target.String(), valueOf(before), pause, err)
	if err != nil {
		return pause, false, refusal.NoConsul(err)
	}
	note(ctx, p.notes, staging.Event{Type: staging.EventPaused, Pool: target.Staging, Zone: at, Reason: pause.String()})
	return pause, before == nil, nil
}

// Resume ends the pause of a target.
func (p *Pauses) Resume(ctx context.Context, target staging.PauseTarget) error {
	if err := target.Validate(); err != nil {
		return err
	}
	write, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	before, err := p.store.DeletePause(write, target)
	p.auditor.Changed(ctx, "pause of", target.String(), valueOf(before), nil, err)
	switch {
	case errors.Is(err, staging.ErrNoResource):
		return &refusal.Error{Kind: refusal.NotFound, Detail: p.notPaused(ctx, target), Cause: err}
	case err != nil:
		return refusal.NoConsul(err)
	}
	at := target.Zone
	if res, err := p.read(ctx); err == nil && target.Staging != "" {
		at = res.Configs[target.Staging].Zone
	}
	note(ctx, p.notes, staging.Event{
		Type: staging.EventResumed, Pool: target.Staging, Zone: at, Reason: fmt.Sprintf("%s resumed by %s", target, access.CallOf(ctx).Caller.Who()),
	})
	return nil
}

// notPaused says that there is no pause of a target, and which pause covers it all the same.
func (p *Pauses) notPaused(ctx context.Context, t staging.PauseTarget) string {
	res, err := p.read(ctx)
	c := staging.Config{Name: t.Staging, Zone: cmp.Or(t.Zone, res.Configs[t.Staging].Zone)}
	if other, paused := res.PauseOf(c); err == nil && paused {
		return fmt.Sprintf("%s is not paused by itself: %s; %s ends that", t, other, other.ResumeCommand())
	}
	return t.String() + " is not paused; GET /v1/pauses, or greenroom pause --list, lists what is"
}

// exists refuses a target that does not exist, and returns its zone; "" for all.
func (p *Pauses) exists(ctx context.Context, t staging.PauseTarget) (zone string, err error) {
	if t == (staging.PauseTarget{}) {
		return "", nil
	}
	res, err := p.read(ctx)
	if err != nil {
		return "", err
	}
	c, isPool := res.Configs[t.Staging]
	switch {
	case t.Staging != "" && !isPool && !res.Unknown(staging.KindStaging, t.Staging):
		return "", staging.Invalid("pause", "staging", "is unknown: there is no staging config %q", t.Staging)
	case t.Zone != "" && !res.HasZone(t.Zone):
		return "", staging.Invalid("pause", "zone", "is unknown: there is no zone %q", t.Zone)
	}
	return cmp.Or(t.Zone, c.Zone), nil
}

// Recycle has the sessions of a pool replaced that are older than a duration, all for 0.
func (p *Pools) Recycle(ctx context.Context, name string, olderThan staging.Duration) (status.Pool, error) {
	if olderThan < 0 {
		return status.Pool{}, staging.Invalid("recycle", "older_than", "must not be negative, is %s", olderThan.Brief())
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	order := staging.Recycle{Before: now.Add(-olderThan.Std()), OrderedBy: access.CallOf(ctx).Caller.Who(), OrderedAt: now}
	return p.order(ctx, name, staging.EventRecycled, order.String(), func(o *staging.PoolOrders) { o.AddRecycle(order) })
}

// Retry ends the pause between two tries of a pool whose sessions fail.
func (p *Pools) Retry(ctx context.Context, name string) (status.Pool, error) {
	now, who := time.Now().UTC(), access.CallOf(ctx).Caller.Who()
	return p.order(ctx, name, staging.EventRetried, "retried by "+who, func(o *staging.PoolOrders) { o.RetryAt, o.RetryBy = now, who })
}

// order stores an order for a pool that exists.
func (p *Pools) order(ctx context.Context, name string, event staging.EventType, reason string, change func(*staging.PoolOrders)) (status.Pool, error) {
	c, err := p.configs.Get(ctx, name)
	if err != nil {
		return status.Pool{}, err
	}
	write, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	before, after, err := p.orders.Order(write, name, change)
	p.auditor.Changed(ctx, "order for staging config", name, valueOf(before), after, err)
	if err != nil {
		return status.Pool{}, refusal.NoConsul(err)
	}
	note(ctx, p.notes, staging.Event{Type: event, Pool: name, Zone: c.Zone, Image: c.Image, Reason: reason})
	return p.one(ctx, c)
}

// note keeps an event. It may be lost: the audit record of the same change is not.
func note(ctx context.Context, notes Notes, e staging.Event) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deadline.Redis)
	defer cancel()
	e.RequestID = access.CallOf(ctx).RequestID
	_ = notes.Note(ctx, e)
}
