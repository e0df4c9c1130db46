// Command desktop-bridge is what users reach of the desktop in jobspecs/desktop: it serves noVNC's
// page, carries the page's WebSocket to the X server, and draws the desktop's background.
//
// `desktop-bridge` serves until the X server ends, and then ends too: the session is over with its
// desktop. `desktop-bridge greet` is part of the image's assign hook: it writes the user's name,
// from GREENROOM_USER_NAME, on the desktop, and returns when the X server has drawn it.
//
// It promises:
//   - GET /health succeeds from the first window on, while the X server answers and speaks VNC.
//   - A user's name is text wherever it goes: it is drawn, and never read as markup or a command.
//   - A client that stalls or vanishes costs one connection for a bounded time.
//
// It listens without a password, as a session behind the gateway may. It is one static binary, so
// that an image of any distribution can have it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "desktop-bridge:", err)
		os.Exit(1)
	}
}

// options are the settings of the command line.
type options struct {
	// listen is the address for HTTP, rfb the path of the X server's Unix socket for VNC.
	listen, rfb string
	// pages is the directory with noVNC, fonts the font files for the name, best first.
	pages string
	fonts fontFiles
}

func run(ctx context.Context, args []string) error {
	o := options{fonts: defaultFonts}
	flags := flag.NewFlagSet("desktop-bridge", flag.ContinueOnError)
	flags.StringVar(&o.listen, "listen", ":6080", "`address` for HTTP")
	flags.StringVar(&o.rfb, "rfb", "/tmp/rfb", "Unix `socket` on which the X server speaks VNC")
	flags.StringVar(&o.pages, "novnc", "/usr/share/novnc", "`directory` with noVNC's modules")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: desktop-bridge [-listen ADDRESS] [-rfb SOCKET] [-novnc DIRECTORY] [greet]")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch flags.Arg(0) {
	case "":
		return serve(ctx, o)
	case "greet":
		return greet(o, os.Getenv("GREENROOM_USER_NAME"))
	}
	flags.Usage()
	return fmt.Errorf("unknown command %q", flags.Arg(0))
}

// greet writes a user's name on the desktop.
func greet(o options, name string) error {
	s, err := openScreen(o.fonts)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.setName(name); err != nil {
		return err
	}
	return s.paint()
}
