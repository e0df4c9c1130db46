package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

func (r *Registry) profilesPrefix() string { return r.prefix + "profiles/" }

// profileKey returns the path of a profile's lease.
func (r *Registry) profileKey(path string) string {
	sum := sha256.Sum256([]byte(path))
	return r.profilesPrefix() + hex.EncodeToString(sum[:16])
}

// TakeProfile leases a profile to a session unless another session has it; then holder is
// that lease, or zero where it was freed in the same moment. After an error the outcome is
// not known.
func (r *Registry) TakeProfile(ctx context.Context, lease staging.ProfileLease) (taken bool, holder staging.ProfileLease, err error) {
	b, err := encode(lease)
	if err != nil {
		return false, holder, err
	}
	taken, _, err = r.kv.CAS(&api.KVPair{Key: r.profileKey(lease.Path), Value: b}, write(ctx))
	if err != nil || taken {
		return taken, holder, callError(err, "lease profile %s", lease.Path)
	}
	holder, err = r.ProfileHolder(ctx, lease.Path)
	// The reply to an earlier try may have been lost.
	return err == nil && holder.Session == lease.Session, holder, err
}

// ProfileHolder reads the lease of a profile; the zero value when no session has it.
func (r *Registry) ProfileHolder(ctx context.Context, path string) (staging.ProfileLease, error) {
	p, _, err := r.kv.Get(r.profileKey(path), query(ctx))
	if err != nil || p == nil {
		return staging.ProfileLease{}, callError(err, "read the lease of profile %s", path)
	}
	return profileLease(p)
}

func profileLease(p *api.KVPair) (staging.ProfileLease, error) {
	var l staging.ProfileLease
	if err := newer(p); err != nil {
		return l, err
	}
	if err := decode(p.Value, &l); err != nil || l.Session == "" {
		return l, fmt.Errorf("consul: %s is not the lease of a profile; delete it if no session uses that profile: %w", p.Key, err)
	}
	l.Index = p.ModifyIndex
	return l, nil
}

// ReleaseProfile frees the lease of a session. A lease of another session stays.
func (r *Registry) ReleaseProfile(ctx context.Context, lease staging.ProfileLease) error {
	now, err := r.ProfileHolder(ctx, lease.Path)
	if err != nil || now.Session != lease.Session {
		return err
	}
	_, _, err = r.kv.DeleteCAS(&api.KVPair{Key: r.profileKey(lease.Path), ModifyIndex: now.Index}, write(ctx))
	return callError(err, "free the lease of profile %s", lease.Path)
}

// Profiles reads all leases of profiles. One that cannot be read is left out: it stays as it
// is, and its profile cannot be leased.
func (r *Registry) Profiles(ctx context.Context) ([]staging.ProfileLease, error) {
	pairs, _, err := list(r.kv, r.profilesPrefix(), query(ctx))
	if err != nil {
		return nil, err
	}
	all := make([]staging.ProfileLease, 0, len(pairs))
	for _, p := range pairs {
		if l, err := profileLease(p); err == nil {
			all = append(all, l)
		}
	}
	return all, nil
}
