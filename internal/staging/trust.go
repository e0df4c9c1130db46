package staging

import "time"

// TrustTTL is how long Redis is trusted for a zone after a scaler renewed its trust. A
// fate record stays in Consul for longer after its session has ended. So a Redis that
// was restored to any earlier moment gives nobody a used session: either the fate
// record still exists, or Redis is not trusted.
const TrustTTL = 30 * time.Second

// TrustRenewal is a scaler's renewal of its trust in Redis for a zone.
type TrustRenewal struct {
	// Before is the marker that must still be there, and Marker the one that replaces it.
	Before, Marker string
	// Recent: the marker before must be younger than TrustTTL. If it is older, the scaler was
	// stopped for a while and does not know what happened in that time.
	Recent bool
	// RestoredThrough tells which restore of Consul the scaler knows of, as in Generation.
	RestoredThrough uint64
}
