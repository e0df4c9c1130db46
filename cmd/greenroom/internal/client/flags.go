package client

import (
	"fmt"
	"net/http"
	"os"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/config"
)

// The flags that name the broker of a command, and the variables that apply where a flag
// is not given.
const (
	flagAddress = "address"
	flagToken   = "token"
	flagCACert  = "ca-cert"

	envAddress = "GREENROOM_ADDR"
	envToken   = "GREENROOM_TOKEN"
	envCACert  = "GREENROOM_CACERT"
)

const defaultAddress = "http://127.0.0.1:7480"

// AddFlags adds the flags that FromFlags reads to a command and those below it.
func AddFlags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	// The defaults from the environment are read when they are needed: help must not show a token.
	f.String(flagAddress, "", "the broker's address (env "+envAddress+"; default "+defaultAddress+")")
	f.String(flagToken, "", "the bearer token to show the broker (env "+envToken+")")
	f.String(flagCACert, "", "a PEM file of the authorities that vouch for the broker's certificate (env "+envCACert+")")
}

// FromFlags returns a client of the broker that a command's flags and the environment name.
// Errors are of usage.
func FromFlags(cmd *cobra.Command) (*Client, error) {
	return FromFlagsWith(cmd, http.DefaultTransport.(*http.Transport).Clone())
}

// FromFlagsWith is FromFlags with the caller's own transport.
func FromFlagsWith(cmd *cobra.Command, t *http.Transport) (*Client, error) {
	if err := trustCA(cmd, t); err != nil {
		return nil, err
	}
	address := flagOrEnv(cmd, flagAddress, envAddress)
	if address == "" {
		address = defaultAddress
	}
	c, err := New(address, flagOrEnv(cmd, flagToken, envToken), httpapi.WithHTTPClient(&http.Client{Transport: t}))
	if err != nil {
		return nil, exit.BadUsage(fmt.Errorf("--%s (or %s): %w", flagAddress, envAddress, err))
	}
	return c, nil
}

// flagOrEnv returns a flag's value, or the variable's where the flag is empty.
func flagOrEnv(cmd *cobra.Command, flag, env string) string {
	if value, err := cmd.Flags().GetString(flag); err == nil && value != "" {
		return value
	}
	return os.Getenv(env)
}

// trustCA makes a transport trust the authorities that --ca-cert or GREENROOM_CACERT
// name, instead of the system's. Without either it changes nothing.
func trustCA(cmd *cobra.Command, t *http.Transport) error {
	file := flagOrEnv(cmd, flagCACert, envCACert)
	if file == "" {
		return nil
	}
	settings, err := config.TLS{CAFile: file}.Client()
	if err != nil {
		return exit.BadUsage(fmt.Errorf("--%s (or %s): %w", flagCACert, envCACert, err))
	}
	t.TLSClientConfig = settings
	return nil
}
