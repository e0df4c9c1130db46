package agent

import (
	"context"
	"fmt"
	"net/http"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/config"
)

// openCheck bounds the check of what Consul lets anybody do.
const openCheck = 5 * time.Second

// refuseOpenConsul returns an error if Consul lets anybody without a token read or write what a
// guarded broker keeps there: the hashes of tokens, the keys that sign logins and the tokens
// of sessions, and whose each session is. A Consul that does not answer is no error, since an
// agent starts while its servers are away.
func (a *adapters) refuseOpenConsul(ctx context.Context, c config.Agent, log *logrus.Entry) error {
	if !c.Guards() || c.AllowOpenConsul {
		return nil
	}
	settings, err := ConsulSettings(c)
	if err != nil {
		return err
	}
	settings.HttpClient = &http.Client{Transport: withoutToken{a.consul}}
	anybody, err := consulapi.NewClient(settings)
	if err != nil {
		return fmt.Errorf("consul client: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, openCheck)
	defer cancel()
	may, err := a.registry.OpenTo(ctx, anybody)
	switch {
	case err != nil:
		log.WithError(err).Warn("could not check whether Consul keeps this broker's secrets from others")
		return nil
	case may != "":
		return exit.BadUsage(fmt.Errorf("this broker requires a token of its callers, and Consul lets anybody without a token %s the keys below %q: "+
			"tokens, signing keys, and whose each session is. Turn on Consul's ACLs with a default policy of deny (deploy/README.md), or accept this with allow_open_consul", may, a.names.KV()))
	}
	return nil
}

// consulTokenHeader is the header with the token of a request to Consul.
const consulTokenHeader = "X-Consul-Token"

// withoutToken sends requests without Consul's token.
type withoutToken struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t withoutToken) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Del(consulTokenHeader)
	return t.RoundTripper.RoundTrip(r)
}
