package devcluster

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// NomadManagementToken is the management token of a Nomad with Options.NomadACL.
const NomadManagementToken = "d0000000-0000-4000-8000-000000000001"

// anonymousRules allow everything to requests without a token, so that only requests with
// a token are restricted. "write" does not include exec in processes of the node.
const anonymousRules = `
namespace "*" {
  policy       = "write"
  capabilities = ["alloc-node-exec"]
}
node     { policy = "write" }
agent    { policy = "write" }
operator { policy = "write" }
`

// openNomad creates the management token and gives requests without a token every right.
// Both outlast a restart of the server, so it may be repeated.
func (c *Cluster) openNomad(ctx context.Context) error {
	err := sendJSON(ctx, http.MethodPost, c.NomadAddr+"/v1/acl/bootstrap", "", map[string]string{"BootstrapSecret": NomadManagementToken}, nil)
	if err != nil && !strings.Contains(err.Error(), "already done") {
		return err
	}
	return c.SetNomadPolicy(ctx, "anonymous", anonymousRules)
}

// SetNomadPolicy stores an ACL policy in a Nomad with Options.NomadACL. It applies at once
// to all tokens that have it.
func (c *Cluster) SetNomadPolicy(ctx context.Context, name, rules string) error {
	return sendJSON(ctx, http.MethodPost, c.NomadAddr+"/v1/acl/policy/"+name, NomadManagementToken, map[string]string{"Name": name, "Rules": rules}, nil)
}

// NewNomadToken returns the secret of a new token that has one policy, in a Nomad with
// Options.NomadACL.
func (c *Cluster) NewNomadToken(ctx context.Context, policy string) (string, error) {
	var token struct{ SecretID string }
	err := sendJSON(ctx, http.MethodPost, c.NomadAddr+"/v1/acl/token", NomadManagementToken,
		map[string]any{"Name": policy, "Type": "client", "Policies": []string{policy}}, &token)
	if err == nil && token.SecretID == "" {
		err = fmt.Errorf("nomad created a token of policy %s without a secret", policy)
	}
	return token.SecretID, err
}
