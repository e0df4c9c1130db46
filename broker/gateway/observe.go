package gateway

import (
	"crypto/rand"
	"io"
	stdlog "log"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/logfield"
)

// Meter counts what a gateway does.
type Meter interface {
	// Watch is called once with what counts what is open, and the sessions in memory.
	Watch(open, sessions func() int)
	// Request counts an answer, with its status.
	Request(status int, took time.Duration)
	// Code counts a link that was opened, or refused.
	Code(accepted bool)
	// Socket changes the number of open sockets.
	Socket(change int)
}

// discardLog drops the reverse proxy's own lines: each failure is in the access log.
var discardLog = stdlog.New(io.Discard, "", 0)

// saneRequestID is what a caller's request id must match, because it is written to logs.
var saneRequestID = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`)

// requestID returns a request's id: the caller's, or a fresh one.
func requestID(r *http.Request) string {
	if id := r.Header.Get(headerRequestID); id != "" && saneRequestID.MatchString(id) {
		return id
	}
	return strings.ToLower(rand.Text())
}

// observe counts and logs a request, one line each. Queries and headers are not logged, since they
// hold codes and users' data.
func (g *Gateway) observe(v *visit, took time.Duration) {
	status := v.answer.status
	if status == 0 {
		status = statusHungUp
	}
	g.Meter.Request(status, took)
	if !g.Log.Logger.IsLevelEnabled(logrus.InfoLevel) {
		return
	}
	line := g.Log.WithFields(logrus.Fields{
		logfield.RequestID: v.id, logfield.Method: v.r.Method, logfield.Path: access.Hide(v.path), logfield.Status: status,
		logfield.Bytes: v.answer.bytes.Load(), logfield.Remote: g.o.Remote(v.r), logfield.DurationMS: float64(took.Microseconds()) / 1000,
	})
	if v.target.session != "" {
		line.Data[logfield.Session] = v.target.session
	}
	if v.route != nil {
		line.Data[logfield.UserID] = v.session.User.ID
	}
	if v.code != "" {
		line.Data[logfield.Code] = v.code
	}
	if status >= http.StatusInternalServerError && v.cause != nil {
		line.WithError(v.cause).Warn("request")
		return
	}
	line.Info("request")
}
