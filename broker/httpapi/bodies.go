package httpapi

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/greenroom/greenroom/broker/refusal"
)

// The most bytes of a body, by operation. Everybody may send a login, and many launches
// arrive at once, so these are small.
var maxBodies = map[string]int64{
	operationLogin:     8 << 10,
	operationBootstrap: 8 << 10,
	"createToken":      8 << 10,
	"createSession":    64 << 10,
	// An image holds a jobspec of staging.MaxJobspecBytes, which JSON's escapes make longer.
	"putImage": 1 << 20,
	// A set has room for dozens of the largest jobspecs, or thousands of usual ones.
	"checkResources": 16 << 20,
}

// maxBodyBytes is the most of all other operations.
const maxBodyBytes = 256 << 10

// What all bodies that are read or held at a time may take in memory: those of open
// operations, which anybody may send, and all others; and what of the open ones an address may.
const (
	openBodies       = 1 << 20
	openBodiesOfEach = openBodies / 4
	allBodies        = 64 << 20
)

// bodies bound the memory that bodies take.
type bodies struct{ open, guarded *shares }

func newBodies() bodies { return bodies{newShares(openBodies), newShares(allBodies)} }

// bodyFits reads the body, checks it and puts it back for the generated code, which would
// accept more than the contract does. The body has its place in memory before it is read,
// until the request ends: the caller calls free then.
func (e *edge) bodyFits(c *gin.Context, op operation) (free func(), err error) {
	most, small := maxBodies[op.id]
	if !small {
		most = maxBodyBytes
	}
	caller := callerOf(c.Request.Context())
	memory, who, share := e.bodies.guarded, caller.Who(), shareOf(caller, allBodies)
	if e.guard.Rule(op.id).Open {
		memory, who, share = e.bodies.open, strangerOf(c), openBodiesOfEach
	}
	body, free, err := readBody(c, most, memory, who, share)
	if err != nil {
		return free, err
	}
	c.Set(keyBody, body)
	if faults, more := faultsOf(body, op.body); len(faults) > 0 {
		return free, problemOfFaults(faults, more)
	}
	return free, nil
}

// readBody reads a JSON body of at most most bytes and puts it back. It takes the body's place
// from memory, of which who gets a share, before it reads. The caller calls free when the request
// ends, also after an error.
func readBody(c *gin.Context, most int64, memory *shares, who string, share int64) (body []byte, free func(), err error) {
	free = func() {}
	if media, _, err := mime.ParseMediaType(c.GetHeader("Content-Type")); err != nil || media != mediaJSON {
		return nil, free, refuse(CodeUnsupportedMediaType, "send a JSON body with Content-Type: %s", mediaJSON)
	}
	tooLarge := refuse(CodeBodyTooLarge, "a body must be at most %d bytes here", most)
	size := c.Request.ContentLength
	switch {
	case size > most:
		return nil, free, tooLarge
	case size < 0:
		size = most
	}
	if !memory.take(who, size, share) {
		return nil, free, &problemError{
			code: Code(refusal.Overloaded), retryAfter: defaultRetryAfter,
			detail: "this broker is reading as many bodies as it has room for, or as many of this caller; nothing was done: repeat shortly, here or at another broker",
		}
	}
	free = func() { memory.free(who, size) }
	body, err = io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, most))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, free, tooLarge
		}
		return nil, free, &problemError{code: CodeMalformedBody, detail: "the body ended before its end", cause: err}
	}
	c.Request.Body = io.NopCloser(bytes.NewReader(body))
	return body, free, nil
}
