package main

import (
	"context"
	"os"
	"strconv"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/config"
	"github.com/greenroom/greenroom/internal/issuer"
)

// accessFlags adds the flags that say who may call a broker.
func accessFlags(cmd *cobra.Command, a *config.Access) {
	// What is not clearly a no is a yes.
	text := os.Getenv("GREENROOM_ACCESS")
	enforced, err := strconv.ParseBool(text)
	enforced = enforced || err != nil && text != ""
	f := cmd.Flags()
	f.BoolVar(&a.Enforced, "access", enforced, "demand a token of every caller; greenroom bootstrap makes the first (env GREENROOM_ACCESS)")
	f.StringVar(&a.Issuer, "oidc-issuer", os.Getenv("GREENROOM_OIDC_ISSUER"), "URL of an OpenID Connect issuer whose JWTs are taken as well (env GREENROOM_OIDC_ISSUER)")
	f.StringVar(&a.Audience, "oidc-audience", os.Getenv("GREENROOM_OIDC_AUDIENCE"), "the audience that a JWT must be for (env GREENROOM_OIDC_AUDIENCE)")
	f.StringVar(&a.UserClaim, "oidc-user-claim", "sub", "the claim that is the user's id")
	f.StringVar(&a.GroupsClaim, "oidc-groups-claim", "", "the claim that lists the user's groups, such as groups; those that greenroom does not have are left out")
	f.StringVar(&a.RoleClaim, "oidc-role-claim", "", "the claim whose values --oidc-role gives a role, such as realm_access.roles")
	f.StringToStringVar(&a.Roles, "oidc-role", nil, "a value of the role claim and its role (admin, launcher or viewer), such as ops=admin; may be given again")
}

// guardOf is who may call the broker of a configuration.
func guardOf(a config.Agent, parts *adapters) access.Guard {
	g := access.Guard{On: a.Guards(), Tokens: parts.registry.Tokens, AdminsElsewhere: a.Access.MapsAdmins()}
	if a.Token != "" {
		g.Agent = access.Hash(string(a.Token))
	}
	if a.Access.Issuer != "" {
		g.Issuer = issuer.New(issuer.Settings{URL: a.Access.Issuer, Audience: a.Access.Audience, Mapping: a.Access.Mapping()})
	}
	return g
}

// followTokens renews the registry's copy of the tokens at every change.
func followTokens(ctx context.Context, parts *adapters, log *logrus.Entry) {
	const pause = time.Second
	for ctx.Err() == nil {
		err := parts.registry.WatchTokens(ctx)
		if ctx.Err() == nil {
			log.WithError(err).Warn("cannot follow the tokens in Consul; those last read go on being taken")
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}
