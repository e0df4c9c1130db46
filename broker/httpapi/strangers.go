package httpapi

import (
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
)

// What everybody may call, also without a token, has bounds of its own: whoever reads slowly,
// or calls often, keeps nobody from a session.

// keyPlaced says that a request has its place already.
const keyPlaced = "placed"

// strangers gives requests that everybody may make their place, before anything of a body
// is read.
func (e *edge) strangers(b Bounds) gin.HandlerFunc {
	checks := make(chan struct{}, b.Checks)
	open := &addressPlaces{all: make(chan struct{}, b.Open), each: map[string]int{}, most: b.OpenPerAddress}
	return func(c *gin.Context) {
		if unbounded[c.FullPath()] || !e.isOpen(c) {
			return
		}
		address := strangerOf(c)
		if c.FullPath() == routeAuthorize {
			select {
			case checks <- struct{}{}:
				defer func() { <-checks }()
			default:
				refuseWith(c, atBound("access checks"))
				return
			}
		} else if open.take(address) {
			defer open.free(address)
		} else {
			refuseWith(c, atBound("open requests"))
			return
		}
		// A client that reads the answer slowly does not hold its place for long.
		_ = http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(openTimeout))
		c.Set(keyPlaced, true)
		c.Next()
	}
}

// isOpen reports whether everybody may make a request, also one for which there is no route.
func (e *edge) isOpen(c *gin.Context) bool {
	op, ok := e.contract[operationKey(c.Request.Method, c.FullPath())]
	return !ok || e.guard.Rule(op.id).Open
}

// addressPlaces are places of which no address gets more than some.
type addressPlaces struct {
	all  chan struct{}
	mu   sync.Mutex
	each map[string]int
	most int
}

// take takes a place for an address, and reports whether there was one.
func (p *addressPlaces) take(address string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.each[address] >= p.most {
		return false
	}
	select {
	case p.all <- struct{}{}:
		p.each[address]++
		return true
	default:
		return false
	}
}

func (p *addressPlaces) free(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.each[address]--; p.each[address] <= 0 {
		delete(p.each, address)
	}
	<-p.all
}
