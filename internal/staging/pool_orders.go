package staging

import (
	"cmp"
	"fmt"
	"time"
)

// PoolOrders are what administrators last ordered for a pool, apart from its config. No apply of
// a file changes them.
type PoolOrders struct {
	// Name is the staging config's.
	Name string `json:"name"`
	// Recycle is the order to replace sessions that reaches furthest; nil for none.
	Recycle *Recycle `json:"recycle,omitempty"`
	// RetryAt is when the pool was last to be tried again at once; zero for never. RetryBy is
	// who ordered that.
	RetryAt time.Time `json:"retry_at,omitzero"`
	RetryBy string    `json:"retry_by,omitempty"`
}

// AddRecycle takes an order beside one that is there: whichever reaches further stands. An order for
// older sessions alone does not call off one that also replaces younger ones, and may be under way.
func (o *PoolOrders) AddRecycle(r Recycle) {
	if o.Recycle == nil || o.Recycle.Before.Before(r.Before) {
		o.Recycle = &r
	}
}

// Recycle is an order to replace the sessions of a pool that were made before a time, as a new
// revision replaces them: each once its replacement is ready.
type Recycle struct {
	// Before is the time: sessions that were created earlier are replaced.
	Before time.Time `json:"before"`
	// OrderedBy is the caller, as Audit.Who has it, and OrderedAt when that was.
	OrderedBy string    `json:"ordered_by"`
	OrderedAt time.Time `json:"ordered_at"`
}

// String says who ordered it.
func (r Recycle) String() string {
	return fmt.Sprintf("recycled by %s: made before %s", cmp.Or(r.OrderedBy, "somebody"), r.Before.UTC().Format(time.RFC3339))
}

// Covers reports whether a session that was created at a time is to be replaced. A nil order
// covers none.
func (r *Recycle) Covers(created time.Time) bool { return r != nil && created.Before(r.Before) }
