package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
)

// shutdownTimeout bounds how long requests in flight may take once the server is shut down.
const shutdownTimeout = 10 * time.Second

// serve runs an HTTP server until ctx is done, calls drain while the server still answers,
// then shuts the server down. It speaks HTTPS where the server has a TLS configuration.
func serve(ctx context.Context, listener net.Listener, srv *http.Server, drain func()) error {
	failed := make(chan error, 1)
	go func() {
		if srv.TLSConfig != nil {
			failed <- srv.ServeTLS(listener, "", "")
			return
		}
		failed <- srv.Serve(listener)
	}()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	drain()
	shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := srv.Shutdown(shutdown)
	if errors.Is(err, context.DeadlineExceeded) {
		err = srv.Close()
	}
	<-failed
	return err
}

// serverLog returns a logger for an HTTP server's own messages, such as failed handshakes,
// which writes them to the agent's log in its format.
func serverLog(log *logrus.Entry) *stdlog.Logger { return stdlog.New(lines{log}, "", 0) }

// lines writes each message as an entry of a log.
type lines struct{ log *logrus.Entry }

// Write implements io.Writer.
func (l lines) Write(p []byte) (int, error) {
	l.log.Info(strings.TrimSpace(string(p)))
	return len(p), nil
}

func health(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, fmt.Sprintf("{\"status\":%q}\n", text))
}
