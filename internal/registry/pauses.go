package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// Pauses are beside the resources, so that scalers and brokers read both at once.

// pauseAll is the name of the pause of all pools. The others are zone/NAME and staging/NAME.
const pauseAll = "all"

func (r *Registry) pauseKey(t staging.PauseTarget) string { return r.key(pauses, pauseName(t)) }

func pauseName(t staging.PauseTarget) string {
	switch {
	case t.Staging != "":
		return "staging/" + t.Staging
	case t.Zone != "":
		return "zone/" + t.Zone
	}
	return pauseAll
}

// pauseTarget is the inverse of pauseName.
func pauseTarget(name string) (t staging.PauseTarget, ok bool) {
	kind, of, _ := strings.Cut(name, "/")
	switch {
	case name == pauseAll:
		return t, true
	case kind == "zone" && of != "":
		return staging.PauseTarget{Zone: of}, true
	case kind == "staging" && of != "":
		return staging.PauseTarget{Staging: of}, true
	}
	return t, false
}

// decodePause decodes what is stored as a pause. One that cannot be read pauses the target of its
// key all the same, and says so in its reason.
func decodePause(into map[staging.PauseTarget]staging.Pause, name string, p *api.KVPair) error {
	target, ok := pauseTarget(name)
	if !ok {
		return fmt.Errorf("it is the pause of nothing: the key must end in %s, zone/NAME or staging/NAME", pauseAll)
	}
	var v staging.Pause
	err := decode(p.Value, &v)
	if _, ofNewer := errors.AsType[*staging.NewerError](err); ofNewer {
		v = staging.Pause{PauseTarget: target, Reason: newer(p).Error()}
	} else if err != nil || v.PauseTarget != target {
		v = staging.Pause{PauseTarget: target, Reason: p.Key + " in Consul cannot be read: resume and pause again, or delete the key"}
	}
	into[target] = v
	return nil
}

// PutPause stores a pause and returns the one that it replaced, nil for none.
func (r *Registry) PutPause(ctx context.Context, p staging.Pause) (before *staging.Pause, err error) {
	return update(ctx, r, pauses, pauseName(p.PauseTarget), func(*staging.Pause) (staging.Pause, error) { return p, nil })
}

// DeletePause deletes a pause and returns it. It returns staging.ErrNoResource if there is none.
func (r *Registry) DeletePause(ctx context.Context, t staging.PauseTarget) (before *staging.Pause, err error) {
	return remove[staging.Pause](ctx, r, pauses, pauseName(t))
}

// decodeOrders decodes what was ordered for a pool.
func decodeOrders(into map[string]staging.PoolOrders, name string, b []byte) error {
	var o staging.PoolOrders
	if err := decode(b, &o); err != nil {
		return fieldError[staging.PoolOrders](b, err)
	}
	if o.Name != name {
		return fmt.Errorf("name: the value is that of %q, and the key that of %q", o.Name, name)
	}
	into[name] = o
	return nil
}

// Order changes what is ordered for a pool, and returns it before and after. Orders that cannot
// be read are replaced.
func (r *Registry) Order(ctx context.Context, name string, change func(*staging.PoolOrders)) (before *staging.PoolOrders, after staging.PoolOrders, err error) {
	before, err = update(ctx, r, orders, name, func(old *staging.PoolOrders) (staging.PoolOrders, error) {
		after = staging.PoolOrders{}
		if old != nil {
			after = *old
		}
		after.Name = name
		change(&after)
		return after, nil
	})
	return before, after, err
}
