package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/baseline"
)

// floorServer is the floor as a process of its own, as a broker is one.
type floorServer struct {
	cmd   *exec.Cmd
	stdin io.Closer
	wrong *bytes.Buffer
	url   string
}

// floorPatience bounds the time until the process listens: only one that hangs takes as long.
const floorPatience = time.Minute

// startFloor starts this program a second time, as the floor. The process inherits the
// environment, and with it the passwords.
func startFloor(ctx context.Context, f floorFlags) (*floorServer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("the floor cannot be started: %w", err)
	}
	args := append([]string{"bench", "floor", "serve", "--connections", fmt.Sprint(f.atOnce())}, f.config.Given()...)
	if f.fence {
		args = append(args, "--fence")
	}
	// The process does not end with ctx: after an interrupt it still has to remove its keys.
	s := &floorServer{cmd: exec.Command(self, args...), wrong: new(bytes.Buffer)}
	s.cmd.Stderr = s.wrong
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("the floor cannot be started: %w", err)
	}
	out, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("the floor cannot be started: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, floorPatience)
	defer cancel()
	settled := context.AfterFunc(ctx, func() { _ = s.cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	settled()
	if err != nil {
		return nil, fmt.Errorf("the floor did not start: %w", errors.Join(ctx.Err(), s.stop()))
	}
	s.url = strings.TrimSpace(line)
	return s, nil
}

// stop makes the floor remove its keys, and waits for its end.
func (s *floorServer) stop() error {
	s.stdin.Close()
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("%s (%w)", strings.TrimSpace(s.wrong.String()), err)
	}
	return nil
}

// newFloorServeCommand returns the command that startFloor starts. It prints the floor's
// URL and serves until its standard input ends.
func newFloorServeCommand() *cobra.Command {
	var f floorFlags
	var connections int
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Be what greenroom bench floor measures, until the standard input ends",
		Long: `Be what greenroom bench floor measures, until the standard input ends. It is started by
greenroom bench floor.`,
		Example: `  greenroom bench floor serve --redis-address 127.0.0.1:6379`,
		Args:    cobra.NoArgs,
		Hidden:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if f.servers, err = f.config.Load(); err != nil {
				return exit.BadUsage(err)
			}
			rdb, consul, closeClients, err := f.connect(cmd.Context(), connections)
			if err != nil {
				return err
			}
			defer closeClients()
			server, err := baseline.Start(rdb, consul)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), server.URL())
			_, err = io.Copy(io.Discard, cmd.InOrStdin())
			return errors.Join(err, server.Close())
		},
	}
	f.addServers(cmd)
	cmd.Flags().IntVar(&connections, "connections", 64, "connections that are kept to each server")
	return cmd
}
