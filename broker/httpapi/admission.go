package httpapi

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"

	"github.com/gin-gonic/gin"

	"github.com/greenroom/greenroom/internal/staging"
)

// maxBodyBytes bounds a request's body. The largest is an image with a jobspec of
// staging.MaxJobspecBytes, which JSON's escapes may make longer.
const maxBodyBytes = 1 << 20

// maxLaunchBytes bounds a launch's body, since many launches arrive at once.
const maxLaunchBytes = 64 << 10

// maxSetBytes bounds a set of resources to check: room for dozens of the largest
// jobspecs, or thousands of usual ones.
const maxSetBytes = 16 << 20

// admit holds a request to the contract before anything decodes it.
func (e *edge) admit(c *gin.Context) {
	op, ok := e.contract[operationKey(c.Request.Method, c.FullPath())]
	if !ok || c.FullPath() == routeAuthorize {
		return
	}
	if err := parametersFit(c.Request, op); err != nil {
		refuseWith(c, err)
		return
	}
	if op.body == nil {
		return
	}
	if err := bodyFits(c, op); err != nil {
		refuseWith(c, err)
	}
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

// bodyFits reads the body, checks it and puts it back for the generated code, which would
// accept more than the contract does.
func bodyFits(c *gin.Context, op operation) error {
	if media, _, err := mime.ParseMediaType(c.GetHeader("Content-Type")); err != nil || media != mediaJSON {
		return refuse(CodeUnsupportedMediaType, "send a JSON body with Content-Type: %s", mediaJSON)
	}
	most := int64(maxBodyBytes)
	switch c.FullPath() {
	case routeLaunch:
		most = maxLaunchBytes
	case routeCheck:
		most = maxSetBytes
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, most))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return refuse(CodeBodyTooLarge, "a body must be at most %d bytes here", most)
		}
		return &problemError{code: CodeMalformedBody, detail: "the body ended before its end", cause: err}
	}
	if faults := faultsOf(body, op.body); len(faults) > 0 {
		return problemOfFaults(faults)
	}
	c.Request.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}
