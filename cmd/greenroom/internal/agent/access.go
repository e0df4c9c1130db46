package agent

import (
	"context"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/config"
	"github.com/greenroom/greenroom/internal/issuer"
	"github.com/greenroom/greenroom/internal/staging"
)

// guardOf returns the guard that decides which callers may use the broker: by the agent's
// own token, by tokens in the registry, and by the configured issuer.
func guardOf(a config.Agent, parts *adapters) access.Guard {
	g := access.Guard{On: a.Guards(), Tokens: parts.registry.Tokens, UserLocks: parts.registry.UserLocks, AdminsElsewhere: a.Access.MapsAdmins()}
	g.Keys = func(ctx context.Context) (staging.SigningKeys, error) {
		const timeout = 5 * time.Second
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return parts.registry.Keys(ctx, access.LoginSecret)
	}
	if a.Token != "" {
		g.Agent = access.Hash(string(a.Token))
	}
	if a.Access.Issuer == "" {
		return g
	}
	s := issuer.Settings{URL: a.Access.Issuer, Audience: a.Access.Audience, Mapping: a.Access.Mapping()}
	if a.Access.ClientID != "" {
		s.Login = &issuer.LoginSettings{
			ClientID: a.Access.ClientID, ClientSecret: string(a.Access.ClientSecret), Redirect: httpapi.LoginCallback(a.ExternalURL),
			Name: a.Access.ProviderName, Scopes: a.Access.Scopes,
		}
	}
	i := issuer.New(s)
	g.Issuer = i
	if s.Login != nil {
		g.Provider = i
	}
	return g
}
