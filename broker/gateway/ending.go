package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// ending is when a session ends, for its own pages, which poll it to warn their user. Asking is no
// use of the session.
type ending struct {
	ID    string        `json:"id"`
	State staging.State `json:"state"`
	// Now is the gateway's time, for pages whose clock is off.
	Now time.Time `json:"now"`
	// EndsAt is when it ends whatever comes, IdleEndsAt unless it is used, KeepaliveUntil unless
	// a keepalive comes, which a use is, too; each absent for never.
	EndsAt         time.Time `json:"ends_at,omitzero"`
	IdleEndsAt     time.Time `json:"idle_ends_at,omitzero"`
	KeepaliveUntil time.Time `json:"keepalive_until,omitzero"`
	// ExtendableUntil is the latest EndsAt that its user may ask for; absent where it cannot be
	// extended, or no further.
	ExtendableUntil time.Time `json:"extendable_until,omitzero"`
	// IdleSoon: its user is to be warned that it ends as idle, EndsSoon that its time limit is near.
	IdleSoon bool `json:"idle_soon"`
	EndsSoon bool `json:"ends_soon"`
	// Extendable: EndsAt may be put off.
	Extendable bool `json:"extendable"`
}

// serveEnding answers when a session ends. It reads the session again, since another gateway may
// have noted its use, and goes by what is known where that fails.
func (g *Gateway) serveEnding(v *visit) {
	ctx, cancel := context.WithTimeout(v.r.Context(), keysTimeout)
	defer cancel()
	if fresh, err := g.table.read(ctx, v.session.ID); err == nil && fresh.claim == v.route.claim {
		v.session = *fresh.session.Load()
	}
	now := time.Now()
	s := v.session
	if used := v.route.lastUse(); used.After(s.KeepaliveAt) {
		s.KeepaliveAt = used
	}
	out := ending{
		ID: s.ID, State: s.State, Now: now.UTC(), EndsAt: s.EndsAt(), IdleEndsAt: s.IdleEndsAt().UTC(), KeepaliveUntil: s.KeepaliveUntil().UTC(),
		ExtendableUntil: s.ExtendableUntil().UTC(), Extendable: !s.ExtendableUntil().IsZero(),
		EndsSoon: !s.EndsAt().IsZero() && !now.Before(s.EndWarningDue()),
		IdleSoon: !s.IdleEndsAt().IsZero() && !now.Before(s.IdleEndsAt().Add(-s.Terms.IdleWarning())),
	}
	content, err := json.Marshal(out)
	if err != nil {
		g.refuse(v, err)
		return
	}
	h := v.answer.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(content)))
	v.answer.WriteHeader(http.StatusOK)
	if v.r.Method != http.MethodHead {
		_, _ = v.answer.Write(content) // a client that does not take it has hung up
	}
}
