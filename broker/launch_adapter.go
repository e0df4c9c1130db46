package broker

import (
	"context"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// Launcher launches one session or several.
type Launcher struct{ b *Broker }

// Launcher returns the broker's launcher.
func (b *Broker) Launcher() Launcher { return Launcher{b} }

// Launch serves a launch, or refuses it.
func (l Launcher) Launch(ctx context.Context, r LaunchRequest) ([]LaunchResult, error) {
	if r.Several() {
		return l.b.LaunchSeveral(ctx, r)
	}
	one, err := l.b.Launch(ctx, r)
	if err != nil {
		return nil, err
	}
	return []LaunchResult{one}, nil
}

// Session reads a session for a launch.
func (b *Broker) Session(ctx context.Context, id string) (staging.Session, error) {
	return b.Sessions.Session(ctx, id)
}

// ourGroups returns those of an identity provider's groups that are groups here too.
func (b *Broker) ourGroups(ctx context.Context, provided []string) ([]string, error) {
	res := b.Registry.Resources()
	if len(provided) > 0 && res.Index == 0 {
		// The copy was not read yet: without its groups a user would have no limits.
		read, cancel := context.WithTimeout(ctx, consulTimeout)
		defer cancel()
		var err error
		if res, err = b.Registry.Refresh(read); err != nil {
			return nil, refusal.NoConsul(err)
		}
	}
	var ours []string
	for _, name := range provided {
		if _, ok := res.Groups[name]; ok {
			ours = append(ours, name)
		}
	}
	return ours, nil
}
