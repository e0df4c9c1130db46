package gateway

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/staging"
)

// Sessions is what the gateway does with sessions.
type Sessions interface {
	Reader
	// Used notes that a session is in use. It must not wait.
	Used(id string)
	// End ends a session. Errors are a *refusal.Error.
	End(ctx context.Context, id string) error
}

// Registry is what the gateway needs of Consul.
type Registry interface {
	// Keys returns the keys of a name, which it may create.
	Keys(ctx context.Context, name string) (staging.SigningKeys, error)
	// UserLocked reports whether a user is locked; an error means that it is not known.
	UserLocked(ctx context.Context, userID string) (bool, error)
}

// Codes counts codes.
type Codes interface {
	// Redeem reports whether this is the first use of a code. It must remember the code for
	// at least life.
	Redeem(ctx context.Context, id string, life time.Duration) (first bool, err error)
}

// Parts are what a gateway works with.
type Parts struct {
	Sessions Sessions
	Registry Registry
	Codes    Codes
	Events   Events
	Meter    Meter
	Log      *logrus.Entry
}

// Options set up a gateway.
type Options struct {
	Site Site
	// AllowedOrigins are the origins, besides a session's own, whose pages may call it and show
	// it in a frame, such as https://portal.example.org.
	AllowedOrigins []string
	// Portal is the URL at which users launch; "" for none.
	Portal string
	// MaxOpen bounds the requests and sockets that are open at once, MaxOpenPerSession those of
	// one session, and MaxSessions the sessions that are kept in memory; each that is 0 is
	// DefaultOptions'.
	MaxOpen, MaxOpenPerSession, MaxSessions int
	// HeaderTimeout bounds how long a session may take until its answer begins; 0 is
	// DefaultOptions'.
	HeaderTimeout time.Duration
	// Operators serves requests by the gateway's IP address that name no session, such as health
	// checks. Nil for none.
	Operators http.Handler
	// Remote returns the address of a request's client for the log. Nil: that of the
	// connection.
	Remote func(*http.Request) string
}

// DefaultOptions are the bounds that suit a machine with a gigabyte for its gateway.
var DefaultOptions = Options{MaxOpen: 10_000, MaxOpenPerSession: 256, MaxSessions: 20_000, HeaderTimeout: 2 * time.Minute}

func (o Options) withDefaults() Options {
	for _, n := range []struct {
		set      *int
		standard int
	}{{&o.MaxOpen, DefaultOptions.MaxOpen}, {&o.MaxOpenPerSession, DefaultOptions.MaxOpenPerSession}, {&o.MaxSessions, DefaultOptions.MaxSessions}} {
		if *n.set == 0 {
			*n.set = n.standard
		}
	}
	if o.HeaderTimeout == 0 {
		o.HeaderTimeout = DefaultOptions.HeaderTimeout
	}
	if o.Remote == nil {
		o.Remote = func(r *http.Request) string { return hostnameOf(r.RemoteAddr) }
	}
	return o
}

// Gateway routes requests to sessions. It is an http.Handler.
type Gateway struct {
	Parts
	o     Options
	site  Site
	table *table
	proxy *proxy
	// open counts the requests and sockets that are open.
	open atomic.Int64
	// spent are the codes that this gateway has counted itself.
	spent spentCodes
}

// New returns a gateway. Run keeps what it knows up to date.
func New(p Parts, o Options) *Gateway {
	o = o.withDefaults()
	g := &Gateway{Parts: p, o: o, site: o.Site, table: newTable(p.Sessions, o.MaxSessions)}
	g.proxy = newProxy(g)
	p.Meter.Watch(func() int { return int(g.open.Load()) }, g.table.size)
	return g
}

// Run keeps what the gateway knows up to date until ctx is done. Without it, sessions that are
// over stay reachable as long as their processes live.
func (g *Gateway) Run(ctx context.Context) {
	f := &follower{table: g.table, events: g.Events, report: func(err error) {
		g.Log.WithError(err).Warn("cannot follow the sessions' events in Redis, retrying; known sessions go on, and are read again every 10 s")
	}}
	f.run(ctx)
	g.proxy.close()
}

// visit is one request on its way.
type visit struct {
	target
	id     string
	answer *answer
	r      *http.Request
	// route is nil until the request has shown its right.
	route   *route
	session staging.Session
	// scheme and host are those of the session's port.
	scheme, host string
	// pass is the valid seal of the request's cookie.
	pass seal
	// code and cause are why the gateway itself answered; the cause is for the log alone.
	code  string
	cause error
	// quiet: it is an operator's, neither counted nor logged.
	quiet bool
}

// keysTimeout bounds a read of the keys, which are in memory but for the first.
const keysTimeout = 5 * time.Second

// ServeHTTP implements http.Handler: which session, from whose page, by whose right, where.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	v := &visit{answer: newAnswer(w), r: r, id: requestID(r)}
	defer func() {
		v.answer.mustTake() // what the server still has to send
		if !v.quiet {
			g.observe(v, time.Since(began))
		}
	}()
	v.answer.Header().Set(headerRequestID, v.id)
	var err error
	if v.target, err = g.site.target(r); err != nil {
		if g.o.Operators != nil && net.ParseIP(hostnameOf(r.Host)) != nil {
			v.quiet = true
			g.o.Operators.ServeHTTP(v.answer, r)
			return
		}
		g.refuse(v, err)
		return
	}
	if !g.allowed(v.target, r) {
		g.refuse(v, errOrigin)
		return
	}
	if g.serveOwn(v) {
		return
	}
	if err := g.admit(v); err != nil {
		g.refuse(v, err)
		return
	}
	if g.serveUsers(v) {
		return
	}
	if err := g.begin(v); err != nil {
		g.refuse(v, err)
		return
	}
	defer g.done(v)
	g.proxy.serve(v)
}

// keys returns the keys of codes and passes.
func (g *Gateway) keys(ctx context.Context) (staging.SigningKeys, error) {
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	keys, err := g.Registry.Keys(ctx, staging.GatewaySecret)
	if err != nil {
		return nil, errors.Join(errUnread, err)
	}
	return keys, nil
}

var (
	errOrigin = errors.New("this call comes from a page that may not use the session")
	errPass   = errors.New("this browser has no access to the session")
	errLocked = errors.New("this user is locked out")
	errMany   = errors.New("too much is open at once")
)

// admit finds the session, if the request has the pass of its user.
func (g *Gateway) admit(v *visit) error {
	keys, err := g.keys(v.r.Context())
	if err != nil {
		return err
	}
	pass, ok := g.site.passOf(keys, v.r, v.target.session, time.Now())
	if !ok {
		return errPass
	}
	v.pass = pass
	return g.enter(v, pass.claim)
}

// enter finds the session, if it is still the user's of a claim.
func (g *Gateway) enter(v *visit, claim string) error {
	known, err := g.table.route(v.r.Context(), v.target.session, claim)
	if err != nil {
		return err
	}
	s := *known.session.Load()
	locked, err := g.Registry.UserLocked(v.r.Context(), s.User.ID)
	if err != nil {
		return errors.Join(errUnread, err)
	}
	if locked {
		return errLocked
	}
	v.route, v.session = known, s
	return nil
}

// begin counts a request that is about to be passed on. The caller calls done.
func (g *Gateway) begin(v *visit) error {
	var ok bool
	if v.scheme, v.host, ok = v.session.Upstream(v.label); !ok {
		return errPort
	}
	if g.open.Add(1) > int64(g.o.MaxOpen) {
		g.open.Add(-1)
		return errMany
	}
	if v.route.open.Add(1) > int64(g.o.MaxOpenPerSession) {
		v.route.open.Add(-1)
		g.open.Add(-1)
		return errMany
	}
	// Counted as open it is not dropped for want of room; it may have been just before.
	if !g.table.has(v.session.ID, v.route) {
		g.done(v)
		if v.route.ended.Err() != nil {
			return errOver
		}
		return errUnread
	}
	v.answer.used = func() { g.use(v.route, v.session.ID) }
	v.answer.use()
	return nil
}

func (g *Gateway) done(v *visit) {
	v.route.open.Add(-1)
	g.open.Add(-1)
}

// useEvery is how often a use of a session is noted: a socket may have thousands of them a second.
const useEvery = time.Second

// use notes that a session is in use.
func (g *Gateway) use(r *route, id string) {
	now, last := time.Now().UnixNano(), r.usedAt.Load()
	if now-last < int64(useEvery) && r.told.Load() || !r.usedAt.CompareAndSwap(last, now) {
		return
	}
	r.told.Store(true)
	g.Sessions.Used(id)
}
