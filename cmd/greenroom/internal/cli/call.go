package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
)

// call runs a command's short call of the broker that its flags name.
func call(cmd *cobra.Command, do func(ctx context.Context, c *client.Client) error) error {
	c, err := client.FromFlags(cmd)
	if err != nil {
		return err
	}
	ctx, cancel := client.Brief(cmd.Context())
	defer cancel()
	return do(ctx, c)
}

// callOn is call for a command about one thing: what is the argument's name in the usage,
// such as "ID", and value what was given for it.
func callOn(cmd *cobra.Command, what, value string, do func(ctx context.Context, c *client.Client, value string) error) error {
	return call(cmd, func(ctx context.Context, c *client.Client) error {
		value, err := pathArgument(what, value)
		if err != nil {
			return err
		}
		return do(ctx, c, value)
	})
}
