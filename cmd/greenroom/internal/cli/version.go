package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
)

// version is set by the linker, as make build does; "" takes what Go has recorded.
var version string

// built is what greenroom version prints.
type built struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	// Time is that of the revision.
	Time     string `json:"time,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Long: `Print the version of this program, the revision that it was built from, and the Go
and the platform that it was built with and for. No server is asked.`,
		Example: `  greenroom version
  greenroom version -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, _ := debug.ReadBuildInfo()
			b := builtFrom(info)
			if output.WantsJSON(cmd) {
				return output.JSON(cmd, b)
			}
			of := ""
			if b.Revision != "" {
				of = fmt.Sprintf(" (revision %s of %s)", b.Revision, b.Time)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "greenroom %s%s, %s, %s\n", b.Version, of, b.Go, b.Platform)
			return err
		},
	}
}

func builtFrom(info *debug.BuildInfo) built {
	b := built{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info == nil {
		info = &debug.BuildInfo{}
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	if b.Version == "" || b.Version == "(devel)" {
		b.Version = "development"
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			if at, err := time.Parse(time.RFC3339, s.Value); err == nil {
				b.Time = moment(at)
			}
		}
	}
	return b
}
