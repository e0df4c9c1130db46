package httpapi

import (
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/gin-gonic/gin"

	"github.com/greenroom/greenroom/internal/staging"
)

// admit holds a request to the contract before anything decodes it.
func (e *edge) admit(c *gin.Context) {
	op, ok := e.contract[operationKey(c.Request.Method, c.FullPath())]
	// The parameters of these are a proxy's user's and a provider's.
	if !ok || c.FullPath() == routeAuthorize || c.FullPath() == routeFinishLogin {
		return
	}
	if err := parametersFit(c.Request, op); err != nil {
		refuseWith(c, err)
		return
	}
	if op.body == nil {
		return
	}
	free, err := e.bodyFits(c, op)
	defer free()
	if err != nil {
		refuseWith(c, err)
		return
	}
	c.Next()
}

// parametersFit refuses parameters that the operation does not have, those that
// are sent twice and those without a value: the caller meant something that
// would not happen.
func parametersFit(r *http.Request, op operation) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return refuse(CodeInvalidParameter, "the query string cannot be read: %v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch {
		case !op.query[name]:
			return refuseParameter(CodeUnknownParameter, name, "is not a query parameter here")
		case len(query[name]) > 1:
			return refuseParameter(CodeInvalidParameter, name, "is there more than once")
		case query[name][0] == "" && name != "cursor":
			// An empty filter would list everything, such as everybody's sessions. The
			// cursor of the first page is empty.
			return refuseParameter(CodeInvalidParameter, name, "is empty; send a value, or leave it out")
		}
	}
	for name := range op.header {
		switch values := r.Header[name]; {
		case len(values) > 1:
			return refuseParameter(CodeInvalidParameter, name, "is there more than once")
		case len(values) == 1 && values[0] == "":
			return refuseParameter(CodeInvalidParameter, name, "is empty; send a value, or leave it out")
		}
	}
	return nil
}

func refuseParameter(code Code, name, message string) *problemError {
	return &problemError{
		code: code, detail: name + " " + message,
		fields: []staging.FieldError{{Field: name, Message: message}},
	}
}
