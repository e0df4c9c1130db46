package cli

import (
	"context"
	"errors"
	"fmt"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/nomadfleet"
	"github.com/greenroom/greenroom/internal/staging"
)

// viaNomad is the part of the help that the commands without a broker share.
const viaNomad = `This goes to Nomad directly, with your own NOMAD_ADDR and NOMAD_TOKEN (and NOMAD_CACERT,
NOMAD_REGION and so on, as for nomad itself): the broker gives nobody a way into
sessions.`

// locate finds a session in the Nomad that the operator's own NOMAD_ variables name.
func locate(ctx context.Context, id string) (*nomadfleet.Located, error) {
	c := nomadapi.DefaultConfig()
	fleet, err := nomadfleet.Open(nomadfleet.Settings{
		Address: c.Address, Region: c.Region, Token: c.SecretID, TLS: c.TLSConfig,
	}, nomadfleet.Options{Region: c.Region})
	if err != nil {
		return nil, exit.BadUsage(err)
	}
	l, err := fleet.Locate(ctx, id)
	return l, nomadError(c.Address, err)
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
