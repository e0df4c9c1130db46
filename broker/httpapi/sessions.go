package httpapi

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// handlers implement the generated interface: decode, one call, typed reply.
type handlers struct {
	broker   Broker
	guard    access.Guard
	draining func() bool
	rates    *rates
	underWay underWay
	// tooManyWrong is the edge's.
	tooManyWrong func(*gin.Context) error
	site         site
	// ending is done when the broker stops.
	ending context.Context
}

const (
	// defaultWait is how long a launch waits for a session made on demand, and
	// defaultChangeWait how long a request waits for a session's change, by default.
	defaultWait       = time.Minute
	defaultChangeWait = 30 * time.Second
	// followAfter is the Retry-After in seconds for a session that is not up yet.
	followAfter = 1
)

// CreateSession implements StrictServerInterface.
func (h *handlers) CreateSession(ctx context.Context, r CreateSessionRequestObject) (CreateSessionResponseObject, error) {
	wait, err := parseWait(r.Params.Wait, defaultWait)
	if err != nil {
		return nil, err
	}
	who := callerOf(ctx)
	l, err := own(who, *r.Body)
	if err != nil {
		return nil, err
	}
	end, err := h.underWay.begin(l.User.ID)
	if err != nil {
		return nil, err
	}
	defer end()
	if err := h.rates.spend(who, l.User.ID, max(l.Count, 1), time.Now()); err != nil {
		return nil, err
	}
	startBy, err := startTime(r.Params.StartBy)
	if err != nil {
		return nil, err
	}
	request := launch.Request{
		Launch: l, IdempotencyKey: r.Params.IdempotencyKey, KeyScope: who.KeyScope(), Wait: wait, RequestHost: requestHost(ctx),
		GroupsOfProvider: who.Role == access.User, HungUp: requestContext(ctx).Done(),
		Only: staging.Step(r.Params.Only), StartBy: startBy,
	}
	// Once it has begun, a launch runs to its end under the broker's own deadlines: a
	// client that hangs up must not leave a claim half done.
	results, err := h.broker.Launcher.Launch(context.WithoutCancel(requestContext(ctx)), request)
	if err != nil {
		return nil, err
	}
	served(ctx, each(results, func(r launch.Result) staging.Session { return r.Session })...)
	for _, r := range results {
		h.broker.Auditor.Trace(requestContext(ctx), "session", r.Session.ID, launchRecord{r.Session.Image, r.Session.Zone, r.Session.Origin, l.User.ID, r.Groups})
	}
	return h.replyTo(ctx, request, results), nil
}

// launchRecord is what an audit record shows of a launch.
type launchRecord struct {
	Image  string         `json:"image"`
	Zone   string         `json:"zone"`
	Origin staging.Origin `json:"origin"`
	UserID string         `json:"user_id"`
	// Groups are those that applied, the default group among them.
	Groups []string `json:"groups,omitempty"`
}

// startTime reads by when a launch must begin; zero for no such time.
func startTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return t, refuseParameter(CodeInvalidParameter, "start_by", "must be a time as in RFC 3339, such as 2026-11-24T06:20:00Z, is "+s)
	}
	return t, nil
}

func parseWait(s string, absent time.Duration) (time.Duration, error) {
	if s == "" {
		return absent, nil
	}
	d, err := staging.ParseDuration(s)
	if err != nil {
		return 0, refuseParameter(CodeInvalidParameter, "wait", err.Error())
	}
	if d < 0 || d.Std() > launch.MaxWait {
		return 0, refuseParameter(CodeInvalidParameter, "wait", "must be between 0s and "+staging.Duration(launch.MaxWait).Brief()+", is "+s)
	}
	return d.Std(), nil
}

// ListSessions implements StrictServerInterface.
func (h *handlers) ListSessions(ctx context.Context, r ListSessionsRequestObject) (ListSessionsResponseObject, error) {
	limit, err := pageLimit(r.Params.Limit)
	if err != nil {
		return nil, err
	}
	filter, err := sessionFilter(r.Params)
	if err != nil {
		return nil, err
	}
	kind := sessionCursorKind
	if filter.Ended() {
		kind = endedCursorKind
	}
	after, err := sessionCursor(kind, r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	page, err := h.broker.Sessions.List(requestContext(ctx), filter, after, limit)
	if err != nil {
		return nil, err
	}
	list := ListSessions200JSONResponse{Items: each(page.Items, session)}
	if page.More {
		list.NextCursor = cursorOf(kind, fmt.Sprintf("%d:%s", page.Next.At, page.Next.ID))
	}
	return list, nil
}

// sessionFilter returns the filter in a list's parameters.
func sessionFilter(p ListSessionsParams) (staging.SessionFilter, error) {
	for _, s := range p.State {
		if !slices.Contains(staging.States, s) {
			return staging.SessionFilter{}, refuseParameter(CodeInvalidParameter, "state", fmt.Sprintf(
				"must be states of sessions, with commas between: %q is none; they are %s", s, staging.Joined(staging.States)))
		}
		if s == staging.Ended && len(p.State) > 1 {
			return staging.SessionFilter{}, refuseParameter(CodeInvalidParameter, "state", fmt.Sprintf(
				"must not have %s together with other states: sessions that have ended are a list of their own", s))
		}
	}
	if p.Origin != "" && p.Origin != staging.Staged && p.Origin != staging.OnDemand {
		return staging.SessionFilter{}, refuseParameter(CodeInvalidParameter, "origin", fmt.Sprintf("must be %s or %s, is %q", staging.Staged, staging.OnDemand, p.Origin))
	}
	if p.Revision != "" && p.Revision != staging.OldRevision && len(p.Revision) < staging.MinRevision {
		return staging.SessionFilter{}, refuseParameter(CodeInvalidParameter, "revision", fmt.Sprintf(
			"must be a revision, the first %d or more characters of one, or %s; is %q", staging.MinRevision, staging.OldRevision, p.Revision))
	}
	return staging.SessionFilter{
		States: p.State, Origin: p.Origin, Zone: p.Zone, Image: p.Image, Staging: p.Staging, User: p.User, Revision: p.Revision,
	}, nil
}

// sessionCursor returns the position after which a page of sessions begins.
func sessionCursor(kind, cursor string) (staging.Position, error) {
	at, err := cursorAt(kind, cursor)
	if err != nil || at == "" {
		return staging.Position{}, err
	}
	created, id, found := strings.Cut(at, ":")
	n, err := strconv.ParseInt(created, 10, 64)
	if err != nil || !found {
		return staging.Position{}, badCursor()
	}
	return staging.Position{At: n, ID: id}, nil
}

// GetSession implements StrictServerInterface.
func (h *handlers) GetSession(ctx context.Context, r GetSessionRequestObject) (GetSessionResponseObject, error) {
	wait, err := parseWait(r.Params.Wait, defaultChangeWait)
	if err != nil {
		return nil, err
	}
	if r.Params.Index < 0 {
		return nil, refuseParameter(CodeInvalidParameter, "index", "must be that of an earlier answer, or 0, or left out")
	}
	waiting, stop := until(requestContext(ctx), h.ending)
	defer stop()
	// When the broker stops, the wait ends and the session is still answered.
	s, index, err := h.broker.Sessions.SessionAfter(waiting, r.ID, uint64(r.Params.Index), wait)
	if err != nil {
		return nil, err
	}
	out := session(s)
	out.Link = h.link(ctx, s)
	out.FailingCheck = h.broker.Sessions.FailingCheck(context.WithoutCancel(requestContext(ctx)), s)
	return GetSession200JSONResponse{Body: out, Headers: GetSession200ResponseHeaders{XGreenroomIndex: int64(index)}}, nil
}

// link returns where its user opens an assigned session, without its token; "" where the image
// has no connect_url, was deleted, or cannot be read.
func (h *handlers) link(ctx context.Context, s staging.Session) string {
	if s.State != staging.Assigned {
		return ""
	}
	image, err := h.broker.Images.Get(context.WithoutCancel(requestContext(ctx)), s.Image)
	if err != nil {
		return ""
	}
	return image.ConnectTo(s, "{"+string(staging.TokenAccess)+"}")
}

// EndSession implements StrictServerInterface.
func (h *handlers) EndSession(ctx context.Context, r EndSessionRequestObject) (EndSessionResponseObject, error) {
	// Like a launch, the end of a session has several steps that belong together.
	if err := h.broker.Sessions.End(context.WithoutCancel(requestContext(ctx)), r.ID); err != nil {
		return nil, err
	}
	return EndSession204Response{}, nil
}

// KeepSessionAlive implements StrictServerInterface.
func (h *handlers) KeepSessionAlive(ctx context.Context, r KeepSessionAliveRequestObject) (KeepSessionAliveResponseObject, error) {
	s, err := h.broker.Sessions.Keepalive(requestContext(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	return KeepSessionAlive200JSONResponse(session(s)), nil
}

// ExtendSession implements StrictServerInterface.
func (h *handlers) ExtendSession(ctx context.Context, r ExtendSessionRequestObject) (ExtendSessionResponseObject, error) {
	request := staging.ExtendBy{By: r.Body.By, Until: r.Body.Until, Key: r.Params.IdempotencyKey}
	if err := staging.CheckIdempotencyKey(request.Key); err != nil {
		return nil, err
	}
	// Its steps belong together, like those of a launch.
	s, err := h.broker.Sessions.Extend(context.WithoutCancel(requestContext(ctx)), r.ID, request)
	if err != nil {
		return nil, err
	}
	h.broker.Auditor.Trace(requestContext(ctx), "extension of session", s.ID, map[string]any{"ends_at": s.EndsAt(), "extended": s.Terms.Extended})
	return ExtendSession200JSONResponse(session(s)), nil
}

// RunInSession implements StrictServerInterface.
func (h *handlers) RunInSession(ctx context.Context, r RunInSessionRequestObject) (RunInSessionResponseObject, error) {
	command := staging.Hook{Cmd: r.Body.Cmd, Environment: r.Body.Environment, Workdir: r.Body.Workdir, User: r.Body.User}
	// A command that was sent runs on, whether its caller waits or not.
	if err := h.broker.Sessions.Run(context.WithoutCancel(requestContext(ctx)), r.ID, command); err != nil {
		return nil, err
	}
	return RunInSession204Response{}, nil
}

// session returns what callers see of a session. They do not see its claim, which fences
// changes to it.
func session(s staging.Session) Session {
	out := Session{
		ID: s.ID, State: s.State, Origin: s.Origin, Zone: s.Zone, Image: s.Image, Staging: s.Staging,
		Revision: s.Revision, User: s.User, Address: s.Address, Ports: s.Ports, AllocID: s.AllocID, NodeID: s.NodeID,
		CreatedAt: s.CreatedAt, ReadyAt: s.ReadyAt, AssignedAt: s.AssignedAt, EndedAt: s.EndedAt, Kept: s.Kept, ExpiresAt: s.ExpiresAt,
		Terms: s.Terms, KeepaliveAt: s.KeepaliveAt, KeepaliveUntil: s.KeepaliveUntil(), EndsAt: s.EndsAt(), Reason: s.Reason,
		RestartedAt: s.RestartedAt, RestartFailure: s.RestartFailure, VisitedAt: s.VisitedAt,
	}
	if s.State == staging.Pending && strings.HasPrefix(s.Reason, staging.ReasonWaitingForRoom) {
		out.WaitsForRoomUntil = s.RoomUntil()
	}
	if s.State == staging.Assigned {
		out.Unvisited, out.IdleEndsAt, out.UnvisitedEndsAt = s.Unvisited, s.IdleEndsAt(), s.UnvisitedEndsAt()
		out.ExtendableUntil = s.ExtendableUntil()
	}
	out.Groups, out.Terms.Groups = s.Terms.GroupNames(), ""
	if healthy, since, known := s.Health(); known {
		out.Healthy, out.HealthySince = &healthy, since
	}
	return out
}

// each maps a list. For nil it returns an empty list, which JSON does not encode as null.
func each[A, B any](list []A, f func(A) B) []B {
	out := make([]B, len(list))
	for i, v := range list {
		out[i] = f(v)
	}
	return out
}

func itself[A any](v A) A { return v }
