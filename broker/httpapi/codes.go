package httpapi

import (
	"net/http"

	"github.com/greenroom/greenroom/broker"
)

// Code is the stable `code` of a problem document. The broker's kinds are codes too.
type Code string

// The codes of the edge itself; the contract says what a caller does about each.
const (
	CodeMalformedBody        Code = "malformed_body"
	CodeInvalidType          Code = "invalid_type"
	CodeUnknownField         Code = "unknown_field"
	CodeDuplicateField       Code = "duplicate_field"
	CodeInvalidParameter     Code = "invalid_parameter"
	CodeUnknownParameter     Code = "unknown_parameter"
	CodeUnauthorized         Code = "unauthorized"
	CodeRoleNeeded           Code = "role_needed"
	CodeCrossOrigin          Code = "cross_origin"
	CodeRateLimited          Code = "rate_limited"
	CodeIssuerUnavailable    Code = "issuer_unavailable"
	CodeRouteNotFound        Code = "route_not_found"
	CodeMethodNotAllowed     Code = "method_not_allowed"
	CodeBodyTooLarge         Code = "body_too_large"
	CodeUnsupportedMediaType Code = "unsupported_media_type"
	CodeInvalidField         Code = "invalid_field"
	CodeInternal             Code = "internal"
)

// statuses gives every code its HTTP status.
var statuses = map[Code]int{
	CodeMalformedBody:        http.StatusBadRequest,
	CodeInvalidType:          http.StatusBadRequest,
	CodeUnknownField:         http.StatusBadRequest,
	CodeDuplicateField:       http.StatusBadRequest,
	CodeInvalidParameter:     http.StatusBadRequest,
	CodeUnknownParameter:     http.StatusBadRequest,
	CodeUnauthorized:         http.StatusUnauthorized,
	CodeRoleNeeded:           http.StatusForbidden,
	CodeCrossOrigin:          http.StatusForbidden,
	CodeRateLimited:          http.StatusTooManyRequests,
	CodeIssuerUnavailable:    http.StatusServiceUnavailable,
	CodeRouteNotFound:        http.StatusNotFound,
	CodeMethodNotAllowed:     http.StatusMethodNotAllowed,
	CodeBodyTooLarge:         http.StatusRequestEntityTooLarge,
	CodeUnsupportedMediaType: http.StatusUnsupportedMediaType,
	CodeInvalidField:         http.StatusUnprocessableEntity,
	CodeInternal:             http.StatusInternalServerError,

	Code(broker.NotFound):          http.StatusNotFound,
	Code(broker.InUse):             http.StatusConflict,
	Code(broker.SessionBusy):       http.StatusConflict,
	Code(broker.KeyReused):         http.StatusUnprocessableEntity,
	Code(broker.KeyInFlight):       http.StatusConflict,
	Code(broker.Bootstrapped):      http.StatusConflict,
	Code(broker.ImageDisabled):     http.StatusConflict,
	Code(broker.SessionLimit):      http.StatusConflict,
	Code(broker.NotAssigned):       http.StatusConflict,
	Code(broker.Forbidden):         http.StatusForbidden,
	Code(broker.NoCapacity):        http.StatusServiceUnavailable,
	Code(broker.LaunchFailed):      http.StatusServiceUnavailable,
	Code(broker.Overloaded):        http.StatusServiceUnavailable,
	Code(broker.ConsulUnavailable): http.StatusServiceUnavailable,
	Code(broker.NomadUnavailable):  http.StatusServiceUnavailable,
	Code(broker.RedisUnavailable):  http.StatusServiceUnavailable,
}

// retryable are the codes whose answer always carries a Retry-After, also when
// the broker gives no hint.
var retryable = map[Code]bool{
	CodeIssuerUnavailable:          true,
	Code(broker.SessionBusy):       true,
	Code(broker.KeyInFlight):       true,
	Code(broker.NoCapacity):        true,
	Code(broker.Overloaded):        true,
	Code(broker.ConsulUnavailable): true,
	Code(broker.NomadUnavailable):  true,
	Code(broker.RedisUnavailable):  true,
}
