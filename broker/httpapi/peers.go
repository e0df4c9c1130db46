package httpapi

import (
	"context"
	"maps"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/broker/status"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// Peers are the brokers of other regions, for the sessions that launches were given there.
type Peers interface {
	// Address returns the address of a peer's broker.
	Address(peer string) string
	// Find reads which peer gave a session; found is false for none.
	Find(ctx context.Context, id string) (s staging.RemoteSession, found bool, err error)
	// Forward sends a call about a session to its peer, and returns the answer.
	Forward(ctx context.Context, s staging.RemoteSession, r *http.Request, body []byte) (PeerAnswer, error)
}

// PeerAnswer is a peer's answer to a call.
type PeerAnswer struct {
	Status int
	Header http.Header
	Body   []byte
}

// sessionRoutes begin the routes of the operations on one session.
const sessionRoutes = "/v1/sessions/:id"

// keyBody is the key of a request's body in its context.
const keyBody = "body"

// answerOrForward answers a call that failed, or has the peer answer it that gave the session. A
// session of this region is found without asking where it is.
func (e *edge) answerOrForward(c *gin.Context, err error) {
	if e.broker.Peers == nil || !strings.HasPrefix(c.FullPath(), sessionRoutes) || problemOf(err).code != Code(refusal.NotFound) {
		refuseWith(c, err)
		return
	}
	ctx := c.Request.Context()
	remote, found, failed := e.broker.Peers.Find(ctx, c.Param("id"))
	switch {
	case failed != nil:
		refuseWith(c, failed)
		return
	case !found || !seesRemote(access.CallOf(ctx).Caller, remote):
		refuseWith(c, err)
		return
	}
	body, _ := c.Get(keyBody)
	sent, _ := body.([]byte)
	answer, failed := e.broker.Peers.Forward(ctx, remote, c.Request, sent)
	if failed != nil {
		refuseWith(c, failed)
		return
	}
	e.log.WithField(logfield.Session, remote.Session).WithField(logfield.Peer, remote.Peer).WithField(logfield.RequestID, c.GetString(keyRequestID)).Debug("the peer of the session has answered a call about it")
	maps.Copy(c.Writer.Header(), answer.Header)
	c.Status(answer.Status)
	if len(answer.Body) > 0 {
		_, _ = c.Writer.Write(answer.Body) // a caller that has hung up does not read it
	}
	c.Abort()
}

// seesRemote reports whether a caller may see a session at a peer.
func seesRemote(c access.Caller, s staging.RemoteSession) bool {
	return c.Sees(staging.Session{ID: s.Session, Zone: s.Zone, User: &staging.User{ID: s.UserID}})
}

// peerStatus is a peer in the status.
func peerStatus(p status.Peer) PeerHealth {
	health := PeerHealth{Name: p.Name, Address: p.Address, Status: DependencyStatusOk, Problem: p.Problem}
	if p.Problem != "" {
		health.Status = DependencyStatusUnavailable
	}
	return health
}
