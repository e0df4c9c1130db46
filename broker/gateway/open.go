package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// Paths of a session's address that are the gateway's own.
const (
	ownRoot  = "/.greenroom/"
	openPath = ownRoot + "open"
	portPath = ownRoot + "port/"
	endPath  = ownRoot + "end"
	// endingPath says when the session ends, usedPath notes that its user is there.
	endingPath = ownRoot + "ending"
	usedPath   = ownRoot + "used"
)

// serveOwn serves what needs no pass, and reports whether it did.
func (g *Gateway) serveOwn(v *visit) bool {
	switch {
	case v.path == "":
		g.redirect(v, v.prefix+"/"+query(v.r), http.StatusPermanentRedirect)
	case v.path == openPath:
		g.redeem(v)
	default:
		return false
	}
	return true
}

// serveUsers serves what the session's user may do with the gateway, and reports whether it did.
func (g *Gateway) serveUsers(v *visit) bool {
	switch {
	case !strings.HasPrefix(v.path, ownRoot):
		return false
	case strings.HasPrefix(v.path, portPath):
		g.openPort(v, strings.TrimPrefix(v.path, portPath))
	case v.path == endPath && v.r.Method == http.MethodPost:
		g.end(v)
	case v.path == endingPath && (v.r.Method == http.MethodGet || v.r.Method == http.MethodHead):
		g.serveEnding(v)
	case v.path == usedPath && v.r.Method == http.MethodPost:
		g.use(v.route, v.session.ID)
		g.serveEnding(v)
	default:
		g.refuse(v, errNoTarget)
	}
	return true
}

func query(r *http.Request) string {
	if r.URL.RawQuery == "" {
		return ""
	}
	return "?" + r.URL.RawQuery
}

// redirect sends the browser to another address. Nothing of this one gets there.
func (g *Gateway) redirect(v *visit, to string, status int) {
	h := v.answer.Header()
	h.Set("Location", to)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	v.answer.WriteHeader(status)
}

var (
	errCode    = errors.New("this link has been used, or is too old")
	errMethod  = errors.New("this address is opened by a browser")
	errPreview = errors.New("this link counts once, and is kept for the person who opens it")
)

// redeem exchanges the code of a link for a pass, and sends the browser to the session.
func (g *Gateway) redeem(v *visit) {
	err := g.exchange(v)
	g.Meter.Code(err == nil)
	// A browser that has access by now, and goes back or reloads, gets on.
	if errors.Is(err, errCode) && g.admit(v) == nil {
		err = nil
	}
	if err != nil {
		g.refuse(v, err)
		return
	}
	g.redirect(v, v.prefix+destination(v.r.URL.Query().Get("to")), http.StatusSeeOther)
}

func (g *Gateway) exchange(v *visit) error {
	if v.r.Method != http.MethodGet {
		return errMethod
	}
	// A browser that only expects its user to follow the link must not use it up.
	if strings.Contains(v.r.Header.Get("Sec-Purpose"), "prefetch") || v.r.Header.Get("Purpose") == "prefetch" {
		return errPreview
	}
	ctx, now := v.r.Context(), time.Now()
	keys, err := g.keys(ctx)
	if err != nil {
		return err
	}
	code, ok := verify(keys, aCode, v.target.session, v.r.URL.Query().Get("code"), now)
	if !ok {
		return errCode
	}
	// Before the code is spent: it still counts where the session cannot be read just now.
	if err := g.enter(v, code.claim); err != nil {
		return err
	}
	if !g.first(ctx, code, now) {
		return errCode
	}
	g.givePass(v, keys, code.claim, now)
	return nil
}

// givePass gives the browser a fresh pass.
func (g *Gateway) givePass(v *visit, keys staging.SigningKeys, claim string, now time.Time) {
	pass := seal{until: now.Add(passLife), claim: claim}
	g.site.setPass(v.answer.Header(), v.target.session, pass.sign(keys, aPass, v.target.session, now))
}

// renewPass gives the browser a fresh pass if it opens a page and its own is no longer new.
func (g *Gateway) renewPass(v *visit) {
	now := time.Now()
	if !navigates(v.r) || v.pass.until.Sub(now) > passLife-passRenewal {
		return
	}
	if keys, err := g.keys(v.r.Context()); err == nil {
		g.givePass(v, keys, v.pass.claim, now)
	}
}

// destination returns the path of a session at which it is opened. It never leads elsewhere.
func destination(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n\t") {
		return "/"
	}
	return to
}

// openPort sends the browser on to another port of the session, which may have a host name of its
// own, with a code for it.
func (g *Gateway) openPort(v *visit, label string) {
	if _, _, ok := v.session.Upstream(label); !ok {
		g.refuse(v, errPort)
		return
	}
	keys, err := g.keys(v.r.Context())
	if err != nil {
		g.refuse(v, err)
		return
	}
	now := time.Now()
	g.redirect(v, g.site.link(v.session, label, "", newCode(v.session.Claim, now).sign(keys, aCode, v.session.ID, now)), http.StatusSeeOther)
}

// end ends the session by its user's word.
func (g *Gateway) end(v *visit) {
	if v.r.Header.Get("Origin") == "" {
		g.refuse(v, errOrigin)
		return
	}
	user := access.Caller{Role: access.User, Subject: v.session.User.ID, UserName: v.session.User.Name}
	call := access.Call{Caller: user, Operation: "endSession", Remote: g.o.Remote(v.r), RequestID: v.id}
	// The steps of an end belong together, whether its user waits for them or not.
	if err := g.Sessions.End(call.In(context.WithoutCancel(v.r.Context())), v.session.ID); err != nil {
		g.refuse(v, err)
		return
	}
	g.table.over(v.session.ID)
	g.site.setPass(v.answer.Header(), v.session.ID, "")
	g.refuse(v, errEnded)
}

// errEnded: the session's user has ended it just now.
var errEnded = errors.New("you have ended this session")

// first reports whether this is the first use of a code. While Redis does not answer, it is the
// first one at this gateway.
func (g *Gateway) first(ctx context.Context, code seal, now time.Time) bool {
	if !g.spent.add(code, now) {
		return false
	}
	// A gateway that is behind takes the code for longer than one that is ahead expects.
	const margin = 4 * leeway
	ctx, cancel := context.WithTimeout(ctx, redeemTimeout)
	defer cancel()
	first, err := g.Codes.Redeem(ctx, code.nonce, code.until.Sub(now)+margin)
	if err != nil {
		g.Log.WithError(err).Warn("cannot count the code of a link in Redis; it counts once at this gateway")
		return true
	}
	return first
}

// redeemTimeout bounds the count of a code.
const redeemTimeout = 2 * time.Second

// maxSpent bounds the codes that a gateway remembers.
const maxSpent = 100_000

// spentCodes are the codes that a gateway has counted and that would still count. The zero value
// is ready for use, concurrently.
type spentCodes struct {
	mu    sync.Mutex
	until map[string]time.Time
}

// add counts a code, and reports whether it was the first time. Where too many are remembered it
// counts none.
func (c *spentCodes) add(code seal, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.until == nil {
		c.until = map[string]time.Time{}
	}
	if _, spent := c.until[code.nonce]; spent {
		return false
	}
	if len(c.until) >= maxSpent {
		for nonce, until := range c.until {
			if now.After(until.Add(leeway)) {
				delete(c.until, nonce)
			}
		}
		if len(c.until) >= maxSpent {
			return false
		}
	}
	c.until[code.nonce] = code.until
	return true
}
