package registry

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

func TestErrorsNameTheCallAndItsObject(t *testing.T) {
	client, err := api.NewClient(&api.Config{Address: "127.0.0.1:1"})
	must(t, err)
	r := New(client, "")
	locks := r.NewLocks(client, "s1")
	for want, call := range map[string]func(context.Context) error{
		"read the leader":                      r.Ping,
		"list greenroom/resources/":            func(ctx context.Context) error { _, err := r.Refresh(ctx); return err },
		"read greenroom/resources/zones/east":  func(ctx context.Context) error { _, err := r.PutZone(ctx, staging.Zone{Name: "east"}); return err },
		"read greenroom/resources/images/demo": func(ctx context.Context) error { _, err := r.DeleteImage(ctx, "demo"); return err },
		"list greenroom/secrets/":              func(ctx context.Context) error { _, err := r.Keys(ctx, "x"); return err },
		"list greenroom/tokens/":               r.WatchTokens,
		"read greenroom/secrets/": func(ctx context.Context) error {
			_, err := r.RotateKeys(ctx, []string{"x"}, time.Now(), 0)
			return err
		},
		"create greenroom/bootstrap":         func(ctx context.Context) error { return r.CreateToken(ctx, access.Token{Accessor: "a"}) },
		"read token a":                       func(ctx context.Context) error { _, err := r.RevokeToken(ctx, "a"); return err },
		"with token a":                       func(ctx context.Context) error { _, err := r.Bootstrap(ctx, access.Token{Accessor: "a"}); return err },
		"renew check greenroom-scaler-locks": locks.pass,
		"create the session of locks s1":     locks.openSession,
	} {
		err := call(t.Context())
		if err == nil || !strings.HasPrefix(err.Error(), "consul: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want one that names %q", err, want)
			continue
		}
		if strings.Count(err.Error(), "consul: ") != 1 {
			t.Errorf("%v is wrapped twice", err)
		}
		var dial *net.OpError
		if !errors.As(err, &dial) {
			t.Errorf("%v hides its cause", err)
		}
	}
}
