package registry

import (
	"context"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

func (r *Registry) reservationsKey() string { return r.prefix + "reservations" }

// Reservations reads the places that are reserved under the limits of sessions; none, with
// the version 0, where there is no record.
func (r *Registry) Reservations(ctx context.Context) (staging.Reservations, error) {
	var all staging.Reservations
	p, _, err := r.kv.Get(r.reservationsKey(), query(ctx))
	if err != nil || p == nil {
		return all, callError(err, "read the reservations of sessions")
	}
	if err := decode(p.Value, &all); err != nil {
		return all, unparsed(p, err, "; delete it: places that are reserved at this moment are lost with it, and nothing else")
	}
	all.Index = p.ModifyIndex
	return all, nil
}

// StoreReservations replaces the record if its version is still the one that was read. After
// an error it is not known whether it did.
func (r *Registry) StoreReservations(ctx context.Context, all staging.Reservations) (stored bool, err error) {
	b, err := encode(all)
	if err != nil {
		return false, err
	}
	stored, _, err = r.kv.CAS(&api.KVPair{Key: r.reservationsKey(), Value: b, ModifyIndex: all.Index}, write(ctx))
	return stored, callError(err, "store the reservations of sessions")
}
