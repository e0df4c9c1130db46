package redisstore

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// NewClient returns a client for a Store: of one server, of the primary that Sentinels name
// (o.MasterName), or of a Redis Cluster (o.IsClusterMode). None of them sends a script again
// whose answer was lost: it may have run, and only its caller can decide.
func NewClient(o *redis.UniversalOptions) redis.UniversalClient {
	o.MaxRetries = -1
	if !o.IsClusterMode {
		return redis.NewUniversalClient(o)
	}
	// What the client calls redirects are repeats after lost answers, too.
	o.MaxRedirects = -1
	cluster := o.Cluster()
	// A command goes to the node of its key, PING, for one, not to all.
	cluster.DisableRoutingPolicies = true
	c := redis.NewClusterClient(cluster)
	c.AddHook(reload{c})
	return c
}

// reload reads a cluster's map of slots again after a call that failed. Otherwise a client
// finds the node that took over from one that died only with its regular read of the map.
type reload struct{ cluster *redis.ClusterClient }

// DialHook implements redis.Hook.
func (r reload) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements redis.Hook.
func (r reload) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		r.after(ctx, err)
		return err
	}
}

// ProcessPipelineHook implements redis.Hook.
func (r reload) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		r.after(ctx, err)
		return err
	}
}

func (r reload) after(ctx context.Context, err error) {
	if err == nil || errors.Is(err, redis.Nil) || redis.HasErrorPrefix(err, "NOSCRIPT") || errors.Is(err, ErrBreakerOpen) {
		return
	}
	r.cluster.ReloadState(ctx)
}
