package main

import (
	"encoding/json"
	"io"

	"github.com/spf13/cobra"
)

func newApplyCommand() *cobra.Command {
	var paths []string
	cmd := &cobra.Command{
		Use:   "apply -f FILE|DIR",
		Short: "Create and change zones, images and staging configs from HCL files",
		Long: `Create and change zones, images and staging configs from HCL files.

Every file is read and checked before the first resource is sent; then zones go
first, images next, staging configs last. What is stored already as it is in the
files is left alone. Nothing is ever deleted.

Of a directory, every file that ends in .hcl is read, except those that end in
.nomad.hcl: these are jobspecs, which images read with file("..."), whose path
is relative to the file that it is in. The contents of such a file are not
evaluated. In a jobspec that is written into the resource file itself, as a
heredoc, ${ is HCL's: write $${NOMAD_PORT_http} for Nomad to see
${NOMAD_PORT_http}.`,
		Example: `  greenroom apply -f resources/
  greenroom apply -f zones.hcl -f demo.hcl -o json

A resource file:

  zone "east" {
    datacenters = ["dc1"]
  }

  image "demo" {
    jobspec   = file("demo.nomad.hcl")
    variables = { warmup = "5s" }

    exec_config {
      assign {
        cmd         = ["/bin/sh", "-c", "echo \"$GREENROOM_USER_NAME\" > /tmp/user"]
        environment = { LANG = "C.UTF-8" }
        timeout     = "10s"
      }
    }
  }

  staging "demo-east" {
    zone             = "east"
    image            = "demo"
    desired_sessions = 3
    expiration       = "24h"
  }`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runApply(cmd, paths) },
	}
	cmd.Flags().StringArrayVarP(&paths, "file", "f", nil, "a file, a directory of files, or - for standard input; may be repeated (required)")
	if err := cmd.MarkFlagRequired("file"); err != nil {
		panic("greenroom: " + err.Error())
	}
	return cmd
}

func runApply(cmd *cobra.Command, paths []string) error {
	files, err := loadResources(paths, cmd.InOrStdin())
	if err != nil {
		return err
	}
	c, err := clientOf(cmd)
	if err != nil {
		return err
	}
	there, err := c.stored(cmd.Context())
	if err != nil {
		return err
	}
	if err := files.references(there); err != nil {
		return err
	}
	if !wantsJSON(cmd) {
		return files.set.apply(cmd.Context(), c, there, printApplied(cmd.OutOrStdout()))
	}
	items := []applied{}
	err = files.set.apply(cmd.Context(), c, there, func(a applied) { items = append(items, a) })
	// What was done before an error was done.
	return encodeApplied(cmd.OutOrStdout(), items, err)
}

// encodeApplied prints what was applied and passes on the error that ended it.
func encodeApplied(w io.Writer, items []applied, err error) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if encodeErr := e.Encode(map[string][]applied{"items": items}); err == nil {
		err = encodeErr
	}
	return err
}

// references checks that what a staging config names is in the files or stored.
func (f *resourceFiles) references(there stored) error {
	for _, c := range f.set.configs {
		block := f.blocks[blockStaging+" "+c.Name]
		for _, ref := range []struct {
			kind, name string
			stored     bool
		}{
			{blockZone, c.Zone, there.zones[c.Zone] != ""},
			{blockImage, c.Image, there.images[c.Image] != ""},
		} {
			if _, declared := f.declared[ref.kind+" "+ref.name]; !declared && !ref.stored {
				f.find(rangeOf(block, ref.kind), "staging %q: there is no %s %q, neither in these files nor in the broker", c.Name, ref.kind, ref.name)
			}
		}
	}
	return f.err()
}
