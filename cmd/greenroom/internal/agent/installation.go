package agent

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/config"
	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/redisstore"
	"github.com/greenroom/greenroom/internal/registry"
	"github.com/greenroom/greenroom/internal/staging"
)

// How an agent establishes which installation it belongs to.
const (
	// firstIdentify bounds the attempt at start. Where the servers do not answer, the agent
	// starts all the same and tries again.
	firstIdentify = 5 * time.Second
	// identifyInterval is how often the identity is read again and Redis is checked.
	identifyInterval = 5 * time.Second
	identifyRetry    = time.Second
)

// errNoInstallation means that Consul did not yet answer which installation this is.
var errNoInstallation = errors.New("the installation is not known yet, because Consul or Redis has not answered since the start")

// identity is the installation that an agent belongs to. It is stored in Consul, carried by
// every job, and noted in Redis.
type identity struct {
	registry *registry.Registry
	store    *redisstore.Store
	current  atomic.Pointer[staging.Installation]
	// changed is called after a take-over, and may be nil.
	changed func()
}

// get returns the installation, or an error before it is known.
func (i *identity) get() (staging.Installation, error) {
	if known := i.current.Load(); known != nil {
		return *known, nil
	}
	return staging.Installation{}, errNoInstallation
}

// establish reads the identity from Consul, creates it if Consul has none, and checks that
// Redis belongs to it. A *staging.ForeignError means that the agent must not work with
// these servers; any other error is worth a retry.
func (i *identity) establish(ctx context.Context) error {
	known, err := i.registry.Installation(ctx)
	if errors.Is(err, staging.ErrNoResource) {
		known, err = i.create(ctx)
	}
	if err != nil {
		return err
	}
	if err := i.store.Belongs(ctx, known); isForeign(err) {
		return err
	} else if err != nil {
		i.current.Store(&known)
		return err
	}
	i.current.Store(&known)
	return nil
}

// create stores the identity in a Consul that has none. An agent that knew it before Consul
// lost it stores the same again. Otherwise Redis must belong to no installation: if it
// does, Consul has lost the identity, or this Redis is another installation's.
func (i *identity) create(ctx context.Context) (staging.Installation, error) {
	if known := i.current.Load(); known != nil {
		return i.registry.CreateInstallation(ctx, *known)
	}
	held, err := i.store.Installation(ctx)
	if err != nil {
		return staging.Installation{}, err
	}
	if held != "" {
		// Another agent may have created it meanwhile: it writes Consul before Redis.
		known, err := i.registry.Installation(ctx)
		if !errors.Is(err, staging.ErrNoResource) {
			return known, err
		}
		return staging.Installation{}, i.store.ForeignTo(held, "")
	}
	created := staging.Installation{ID: staging.NewInstallationID(), CreatedAt: time.Now().UTC()}
	// Records without an installation are those of a version whose jobs had no id. Its jobs
	// stay its own. Of them, nothing acts on those without a record, which may be anybody's.
	records, err := i.registry.HasRecords(ctx)
	if err != nil {
		return staging.Installation{}, err
	}
	if records {
		created.Adopted = []string{staging.NoInstallation}
	}
	return i.registry.CreateInstallation(ctx, created)
}

func isForeign(err error) bool {
	var foreign *staging.ForeignError
	return errors.As(err, &foreign)
}

// identify establishes the identity of an agent that starts. The error is a
// *staging.ForeignError.
func (i *identity) identify(ctx context.Context, log *logrus.Entry) error {
	ctx, cancel := context.WithTimeout(ctx, firstIdentify)
	defer cancel()
	err := i.establish(ctx)
	if isForeign(err) {
		return err
	}
	if err != nil {
		log.WithError(err).Warn("cannot check the installation that Consul and Redis belong to, retrying")
	}
	if known, err := i.get(); err == nil {
		log.WithField(logfield.Installation, known.ID).Info("this agent belongs to an installation")
	}
	return nil
}

// keep reads the identity and checks Redis again and again, until ctx is done or one of them
// belongs to another installation, which it returns as a *staging.ForeignError.
func (i *identity) keep(ctx context.Context, log *logrus.Entry) error {
	failed := false
	for {
		before := i.current.Load()
		call, cancel := context.WithTimeout(ctx, firstIdentify)
		err := i.establish(call)
		cancel()
		now := i.current.Load()
		pause := identifyInterval
		switch {
		case ctx.Err() != nil:
			return nil
		case isForeign(err):
			return err
		case err != nil:
			if !failed {
				log.WithError(err).Warn("cannot check the installation that Consul and Redis belong to, retrying")
			}
			pause = identifyRetry
		}
		failed = err != nil
		if now != nil && i.changed != nil && (before == nil || len(before.Adopted) != len(now.Adopted)) {
			i.changed()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// verify returns an error unless Redis belongs to the installation.
func (i *identity) verify(ctx context.Context) error {
	known, err := i.get()
	if err != nil {
		return err
	}
	return i.store.Belongs(ctx, known)
}

// foreignCause returns the *staging.ForeignError, or the failure of the gateway beside a broker,
// that ended ctx, if one did, else err.
func foreignCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); isForeign(cause) || errors.Is(cause, errGateway) {
		return cause
	}
	return err
}

// neighbours implements scaler.Installation.
type neighbours struct {
	identity *identity
	meter    *scalerMeter
}

// Verify implements scaler.Installation.
func (n neighbours) Verify(ctx context.Context) error { return n.identity.verify(ctx) }

// Foreign implements scaler.Installation: it sets the metric, and stores the numbers for
// brokers to show.
func (n neighbours) Foreign(ctx context.Context, all []staging.Foreign) error {
	n.meter.Foreign(all)
	return n.identity.store.SetForeign(ctx, all)
}

// Recover stores an installation's id in the configured Consul if that has none, else makes
// the installation there take over the id. It returns the installation after that.
func Recover(ctx context.Context, a config.Agent, id string) (staging.Installation, error) {
	settings, err := ConsulSettings(a)
	if err != nil {
		return staging.Installation{}, err
	}
	consul, err := consulapi.NewClient(settings)
	if err != nil {
		return staging.Installation{}, fmt.Errorf("consul client: %w", err)
	}
	r := registry.New(consul, Names(a).KV())
	if id != staging.NoInstallation {
		if _, err := r.CreateInstallation(ctx, staging.Installation{ID: id, CreatedAt: time.Now().UTC()}); err != nil {
			return staging.Installation{}, err
		}
	}
	return r.Adopt(ctx, id)
}
