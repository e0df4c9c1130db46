package main

import (
	"fmt"
	"net/http"
	"os"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/internal/config"
)

// envCACert names a PEM file of the authorities that vouch for the broker.
const envCACert = "GREENROOM_CACERT"

// trusting has a transport believe the authorities that --ca-cert or GREENROOM_CACERT
// name, instead of the system's. Without any it changes nothing.
func trusting(cmd *cobra.Command, t *http.Transport) error {
	file := flagOf(cmd, flagCACert)
	if file == "" {
		file = os.Getenv(envCACert)
	}
	if file == "" {
		return nil
	}
	settings, err := config.TLS{CAFile: file}.Client()
	if err != nil {
		return usageError{fmt.Errorf("--%s (or %s): %w", flagCACert, envCACert, err)}
	}
	t.TLSClientConfig = settings
	return nil
}
