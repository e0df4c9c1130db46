package httpapi

import (
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
)

// operationKeepalive changes nothing but the time at which a session was last in use.
const operationKeepalive = "keepSessionAlive"

// attempt records a call that may change something before it is made, and refuses it if it
// must be recorded and cannot be.
func (e *edge) attempt(c *gin.Context) {
	op, known := e.contract[operationKey(c.Request.Method, c.FullPath())]
	if !known || c.Request.Method == http.MethodGet || c.Request.Method == http.MethodHead || op.id == operationKeepalive {
		return
	}
	if err := e.broker.Auditor.Attempt(c.Request.Context(), auditedPath(c)); err != nil {
		refuseWith(c, &problemError{
			code: CodeAuditUnavailable, retryAfter: defaultRetryAfter, cause: err,
			detail: "nothing was changed: no audit record can be written, and this broker changes nothing without one; its operator must mend where its log goes",
		})
	}
}

const (
	// useEvery is how often the use of a token from one address is recorded for auditors, and
	// lastUseEvery how often each broker records when a token was used last.
	useEvery     = time.Hour
	lastUseEvery = time.Minute
	// maxUses bounds the pairs of a token and an address that are remembered. Past it all are
	// forgotten, and recorded again.
	maxUses = 8192
)

// tokenUses remembers from where tokens were used of late.
type tokenUses struct {
	every time.Duration
	mu    sync.Mutex
	last  map[[2]string]time.Time
}

func newTokenUses(every time.Duration) *tokenUses {
	return &tokenUses{every: every, last: map[[2]string]time.Time{}}
}

// first notes a use of a caller's token from an address, and reports whether it is the first
// for as long as every says.
func (u *tokenUses) first(who, address string, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	key := [2]string{who, address}
	if last, ok := u.last[key]; ok && now.Sub(last) < u.every {
		return false
	}
	if len(u.last) >= maxUses {
		clear(u.last)
	}
	u.last[key] = now
	return true
}
