package httpapi

import (
	"context"
	"errors"
	"syscall"

	"github.com/gin-gonic/gin"
)

// statusHungUp is the status, in the log and the metrics, of a request whose client hung up
// before its answer. Nobody receives it.
const statusHungUp = 499

// hungUp reports whether an error is only that the request's client hung up: a call to a
// server was cancelled with the request. It says nothing about that server.
func hungUp(c *gin.Context, err error) bool {
	return errors.Is(c.Request.Context().Err(), context.Canceled) && errors.Is(err, context.Canceled)
}

// notWritten reports whether an answer could not be written because its client hung up.
func notWritten(c *gin.Context, err error) bool {
	return hungUp(c, err) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(c.Request.Context().Err(), context.Canceled)
}

// giveUp ends the request of a client that hung up.
func giveUp(c *gin.Context) {
	c.Abort()
	c.Status(statusHungUp)
}
