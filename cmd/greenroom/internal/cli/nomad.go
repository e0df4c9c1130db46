package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/nomadfleet"
	"github.com/greenroom/greenroom/internal/staging"
)

// viaNomad is the part of the help that the commands without a broker share.
const viaNomad = `This goes to Nomad directly, with your own NOMAD_ADDR and NOMAD_TOKEN (and NOMAD_CACERT,
NOMAD_REGION and so on, as for nomad itself): the broker gives nobody a way into
sessions. If the broker answers, it is asked for its installation, and the sessions of
another one are refused, and so are those outside the scope of your token.`

// locate finds a session in the Nomad that the operator's own NOMAD_ variables name. It
// refuses one that belongs to another installation than the broker does.
func locate(cmd *cobra.Command, id string) (*nomadfleet.Located, error) {
	ctx := cmd.Context()
	c := nomadapi.DefaultConfig()
	fleet, err := nomadfleet.Open(nomadfleet.Settings{
		Address: c.Address, Region: c.Region, Token: c.SecretID, TLS: c.TLSConfig,
	}, nomadfleet.Options{Region: c.Region})
	if err != nil {
		return nil, exit.BadUsage(err)
	}
	l, err := fleet.Locate(ctx, id)
	if err != nil {
		return nil, nomadError(c.Address, err)
	}
	return l, sameInstallation(cmd, id, l.Installation)
}

// identityTimeout bounds the wait for the broker's installation.
const identityTimeout = 2 * time.Second

// sameInstallation returns an error if the broker belongs to another installation than a
// session does. It returns none if the broker does not answer, or not to this caller: then
// Nomad's own access rules decide, and people look into sessions when something is broken.
func sameInstallation(cmd *cobra.Command, id, installation string) error {
	c, err := client.FromFlags(cmd)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), identityTimeout)
	defer cancel()
	r, err := c.GetInstallationWithResponse(ctx)
	if c.Answered(r, err, http.StatusOK) != nil {
		return nil
	}
	own := staging.Installation{ID: r.JSON200.ID, Adopted: r.JSON200.Adopted}
	if own.Owns(installation) {
		return inScope(ctx, c, id)
	}
	return &absentError{fmt.Errorf("session %s belongs to installation %s, and the broker to installation %s: name a broker of the session's own with --address, or use nomad alloc",
		id, installation, own.ID)}
}

// inScope returns an error if the token of the command has a scope that does not reach a
// session. Nomad decides who gets into sessions: this holds back a slip, not an attacker.
func inScope(ctx context.Context, c *client.Client, id string) error {
	self, err := c.GetSelfWithResponse(ctx)
	if c.Answered(self, err, http.StatusOK) != nil || self.JSON200.Scope.IsZero() {
		return nil
	}
	s, err := c.GetSessionWithResponse(ctx, id, nil)
	if err == nil && s.StatusCode() == http.StatusNotFound {
		return &absentError{fmt.Errorf("there is no session %s within the scope of your token: %s", id, self.JSON200.Scope)}
	}
	return nil
}

// nomadError adds to an error of Nomad's what to check next.
func nomadError(address string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, staging.ErrNoSession):
		return &absentError{fmt.Errorf("there is no such session in the Nomad at %s, or NOMAD_TOKEN may not see it: %w", address, err)}
	}
	return fmt.Errorf("%w; NOMAD_ADDR is %s", err, address)
}
