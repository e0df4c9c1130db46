package staging

import "time"

// TrustTTL is how long Redis is trusted for a zone after a scaler renewed its trust. A
// fate record stays in Consul for longer after its session has ended. So a Redis that
// was restored to any earlier moment gives nobody a used session: either the fate
// record still exists, or Redis is not trusted.
const TrustTTL = 30 * time.Second
