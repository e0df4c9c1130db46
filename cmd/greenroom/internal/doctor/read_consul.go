package doctor

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	consulapi "github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// consulSelf is what Consul says of an agent.
type consulSelf struct {
	Config struct {
		Version string
		Server  bool
	}
	DebugConfig struct {
		HTTPMaxConnsPerClient int
		KVMaxValueSize        int
		TxnMaxReqLen          int
		RaftLogStoreConfig    struct{ Backend string }
		ACLsEnabled           bool
		ACLResolverSettings   struct{ ACLDefaultPolicy string }
	}
}

// readConsul reads what can be read of Consul with an agent's settings.
func readConsul(ctx context.Context, settings *consulapi.Config, names staging.Names) consulFacts {
	c, err := consulapi.NewClient(settings)
	if err != nil {
		return consulFacts{err: fmt.Errorf("consul: %w", err)}
	}
	q := (&consulapi.QueryOptions{}).WithContext(ctx)
	var self consulSelf
	if _, err := c.Raw().Query("/v1/agent/self", &self, q); err != nil {
		err = fmt.Errorf("consul at %s: %w", settings.Address, err)
		if forbidden(err) {
			return consulFacts{err: hiddenError{fmt.Errorf(`%w; the settings need a token with agent_prefix "" { policy = "read" }`, err)}}
		}
		return consulFacts{err: fmt.Errorf("%w; --consul-address or CONSUL_HTTP_ADDR names another", err)}
	}
	d := self.DebugConfig
	f := consulFacts{
		version: self.Config.Version, server: self.Config.Server, acl: d.ACLsEnabled, defaultPolicy: d.ACLResolverSettings.ACLDefaultPolicy,
		connections: d.HTTPMaxConnsPerClient, maxValue: d.KVMaxValueSize, maxTransaction: d.TxnMaxReqLen, logStore: d.RaftLogStoreConfig.Backend,
	}
	if f.acl {
		f.denied, f.deniedErr = consulDenied(ctx, settings, names)
		if self, _, err := c.ACL().TokenReadSelf(q); err != nil {
			f.tokenErr = hiddenError{fmt.Errorf("consul: read the agents' token: %w", err)}
		} else {
			f.authMethod = self.AuthMethod
		}
	}
	return f
}

// right is a right in Consul, as its own page asks for it.
type right struct {
	Resource, Segment, Access string
	Allow                     bool `json:",omitempty"`
}

// authorize asks Consul which rights a token has. Consul takes that by POST alone, which its client
// does not send.
func authorize(ctx context.Context, settings *consulapi.Config, asked, answered any) error {
	body, err := json.Marshal(asked)
	if err != nil {
		return err
	}
	address := settings.Address
	if !strings.Contains(address, "://") {
		address = cmp.Or(settings.Scheme, "http") + "://" + address
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address+"/v1/internal/acl/authorize", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if settings.Token != "" {
		req.Header.Set("X-Consul-Token", settings.Token)
	}
	answer, err := settings.HttpClient.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 1000))
		return consulapi.StatusError{Code: answer.StatusCode, Body: string(text)}
	}
	return json.NewDecoder(answer.Body).Decode(answered)
}

// consulDenied returns which of a scaler's rights a token lacks.
func consulDenied(ctx context.Context, settings *consulapi.Config, names staging.Names) ([]string, error) {
	asked := []right{
		{Resource: "key", Segment: names.KV() + "resources/x", Access: "read"},
		{Resource: "key", Segment: names.KV() + "fates/x", Access: "write"},
		{Resource: "key", Segment: names.KV() + "locks/x", Access: "write"},
		{Resource: "session", Segment: "x", Access: "write"},
		{Resource: "service", Segment: names.Service("greenroom-staging-x"), Access: "write"},
		{Resource: "node", Segment: "x", Access: "read"},
	}
	var answered []right
	if err := authorize(ctx, settings, asked, &answered); err != nil {
		return nil, hiddenError{fmt.Errorf("consul: read the token's rights: %w", err)}
	}
	var denied []string
	for _, r := range answered {
		if !r.Allow {
			denied = append(denied, fmt.Sprintf("%s %s %s", r.Access, r.Resource, r.Segment))
		}
	}
	return denied, nil
}

// forbidden reports whether Consul refused a call for lack of a right.
func forbidden(err error) bool {
	var status consulapi.StatusError
	return errors.As(err, &status) && status.Code == http.StatusForbidden
}

// readImages returns the jobspecs of the stored images, by name.
func readImages(ctx context.Context, settings *consulapi.Config, names staging.Names) (map[string]string, error) {
	c, err := consulapi.NewClient(settings)
	if err != nil {
		return nil, fmt.Errorf("consul: %w", err)
	}
	prefix := names.KV() + "resources/images/"
	pairs, _, err := c.KV().List(prefix, (&consulapi.QueryOptions{}).WithContext(ctx))
	if err != nil {
		err = fmt.Errorf("consul: read the images: %w", err)
		if forbidden(err) {
			err = hiddenError{err}
		}
		return nil, err
	}
	jobspecs := map[string]string{}
	for _, p := range pairs {
		var i staging.Image
		if json.Unmarshal(p.Value, &i) == nil {
			jobspecs[strings.TrimPrefix(p.Key, prefix)] = i.Jobspec
		}
	}
	return jobspecs, nil
}

// longestKillTimeout returns the longest kill_timeout that jobspecs name as a text, and its image;
// 0 for none. One that a variable sets is not known.
func longestKillTimeout(jobspecs map[string]string) (longest time.Duration, image string) {
	for name, text := range jobspecs {
		for _, m := range killTimeout.FindAllStringSubmatch(text, -1) {
			d, err := time.ParseDuration(m[1])
			if err == nil && (d > longest || d == longest && name < image) {
				longest, image = d, name
			}
		}
	}
	return longest, image
}
