package httpapi

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/greenroom/greenroom/internal/access"
)

// An API of another product is translated: each of its requests becomes calls of this API, which
// go through this very handler, with their own places, rates, roles, scopes and audit records. So
// it reaches nothing that its caller could not reach here.

const (
	// pathTranslated begins the paths of the translated API, routeTranslated is their route.
	pathTranslated  = "/api/"
	routeTranslated = pathTranslated + "*path"
	// maxTranslatedBody is the most bytes of a body there: as much as a launch may have.
	maxTranslatedBody = 64 << 10
)

// translate serves the translated API. What comes before has read the body.
func translate(to http.Handler) gin.HandlerFunc {
	return func(c *gin.Context) { to.ServeHTTP(c.Writer, c.Request) }
}

// serveTranslated serves a request of the translated API. It has a place until its body is read, and
// leaves it then: the calls that it becomes have their own.
func (e *edge) serveTranslated(c *gin.Context, leave func()) {
	free, err := e.readTranslated(c)
	leave()
	defer free()
	if err != nil {
		refuseWith(c, err)
		return
	}
	c.Set(keyPlaced, true)
	c.Next()
}

// readTranslated reads the body of a request of the translated API. Whose it is is not known yet,
// so that it counts with those that anybody may send. The caller calls free when the request ends.
func (e *edge) readTranslated(c *gin.Context) (free func(), err error) {
	if c.Request.Method != http.MethodPost || c.Request.ContentLength == 0 {
		return func() {}, nil
	}
	_, free, err = readBody(c, maxTranslatedBody, e.bodies.open, strangerOf(c), openBodiesOfEach)
	return free, err
}

// refusedTranslated is a refusal in the translated API.
type refusedTranslated struct {
	ErrorMessage string `json:"error_message"`
}

type accessorKey struct{}

// WithAccessor returns a context for a call whose token counts only together with its accessor:
// with any other the call is one with a wrong token. Where no token is required it does nothing.
func WithAccessor(ctx context.Context, accessor string) context.Context {
	return context.WithValue(ctx, accessorKey{}, accessor)
}

// accessorFits reports whether a caller has the accessor that the call must have.
func accessorFits(ctx context.Context, c access.Caller) bool {
	wanted, demanded := ctx.Value(accessorKey{}).(string)
	return !demanded || wanted == c.Accessor
}
