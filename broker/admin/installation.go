package admin

import (
	"context"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// InstallationStore keeps the identity of the installation in Consul.
type InstallationStore interface {
	Installation(ctx context.Context) (staging.Installation, error)
	// Adopt takes over the jobs of another installation, and returns the identity after it.
	Adopt(ctx context.Context, id string) (staging.Installation, error)
}

// ForeignStore has the sessions of other installations, as a scaler counted them last.
type ForeignStore interface {
	Foreign(ctx context.Context) ([]staging.Foreign, error)
}

// Installation administers the identity of the installation. It may be used concurrently.
type Installation struct {
	store   InstallationStore
	foreign ForeignStore
	names   staging.Names
	auditor Auditor
}

// InstallationInfo is an installation with its surroundings.
type InstallationInfo struct {
	staging.Installation
	Names staging.Names
	// Foreign are the sessions of other installations in the same Nomad.
	Foreign []staging.Foreign
}

// Get returns the installation, and which others have sessions in the same Nomad.
func (i *Installation) Get(ctx context.Context) (InstallationInfo, error) {
	read, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	now, err := i.store.Installation(read)
	if err != nil {
		return InstallationInfo{}, refusal.NoConsul(err)
	}
	return i.info(ctx, now)
}

// TakeOver makes the jobs of another installation belong to this one. Its scalers act on
// them within seconds.
func (i *Installation) TakeOver(ctx context.Context, id string) (InstallationInfo, error) {
	if err := staging.ValidateInstallationID(id); err != nil {
		return InstallationInfo{}, err
	}
	write, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	before, err := i.store.Installation(write)
	if err != nil {
		return InstallationInfo{}, refusal.NoConsul(err)
	}
	now, err := i.store.Adopt(write, id)
	i.auditor.Changed(ctx, "installation", before.ID, before, now, err)
	if err != nil {
		return InstallationInfo{}, refusal.NoConsul(err)
	}
	return i.info(ctx, now)
}

// info adds the foreign sessions to an identity, without those that it owns meanwhile.
func (i *Installation) info(ctx context.Context, now staging.Installation) (InstallationInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	all, err := i.foreign.Foreign(ctx)
	if err != nil {
		return InstallationInfo{}, refusal.NoRedis(err)
	}
	info := InstallationInfo{Installation: now, Names: i.names}
	for _, f := range all {
		// Those under its own id are a newer greenroom's, which is left alone, too.
		if !now.TookOver(f.Installation) {
			info.Foreign = append(info.Foreign, f)
		}
	}
	return info, nil
}
