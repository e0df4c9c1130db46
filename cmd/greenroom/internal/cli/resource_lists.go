package cli

import (
	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
)

func newZonesCommand() *cobra.Command {
	return asList(&cobra.Command{
		Use:   "zones",
		Short: "List the zones",
		Long: `List the zones: where their sessions run, which other zones are searched when one has no
room, whose users may launch there, whether sessions can be staged, and how many
pools each has.

Zones are created and changed with greenroom apply.`,
		Example: `  greenroom zones
  greenroom zones -o wide
  greenroom get zone east -o hcl`,
		Args: cobra.NoArgs,
		RunE: listKind("zone"),
	})
}

func newImagesCommand() *cobra.Command {
	return asList(&cobra.Command{
		Use:   "images",
		Short: "List the images",
		Long: `List the images: whether each can be launched, in which zones, by whose users, which
hooks it has, whether its sessions can be staged, how many pools it has, and the current
revision of those: what a session is made from is of the image, the zone and the
permissions together, so pools of one image may differ.

Images are created and changed with greenroom apply.`,
		Example: `  greenroom images
  greenroom images -o name
  greenroom get image demo -o hcl`,
		Args: cobra.NoArgs,
		RunE: listKind("image"),
	})
}

// listKind returns a command's code that lists all resources of a kind.
func listKind(name string) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		k, err := kindOf(name)
		if err != nil {
			return err
		}
		c, err := client.FromFlags(cmd)
		if err != nil {
			return err
		}
		l, err := k.list(cmd.Context(), c)
		if err != nil {
			return err
		}
		return l.print(cmd)
	}
}
