package httpapi

import (
	"net/http"

	"github.com/greenroom/greenroom/broker/refusal"
)

// Code is the stable `code` of a problem document. The broker's kinds are codes too.
type Code string

// The codes of the edge itself. The contract documents what a caller does about each.
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
	CodeAuditUnavailable     Code = "audit_unavailable"
	CodeRouteNotFound        Code = "route_not_found"
	CodeMethodNotAllowed     Code = "method_not_allowed"
	CodeBodyTooLarge         Code = "body_too_large"
	CodeUnsupportedMediaType Code = "unsupported_media_type"
	CodeInvalidField         Code = "invalid_field"
	CodeNoGateway            Code = "no_gateway"
	CodeInternal             Code = "internal"
)

// statuses maps every code to its HTTP status.
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
	CodeAuditUnavailable:     http.StatusServiceUnavailable,
	CodeRouteNotFound:        http.StatusNotFound,
	CodeMethodNotAllowed:     http.StatusMethodNotAllowed,
	CodeBodyTooLarge:         http.StatusRequestEntityTooLarge,
	CodeUnsupportedMediaType: http.StatusUnsupportedMediaType,
	CodeInvalidField:         http.StatusUnprocessableEntity,
	CodeNoGateway:            http.StatusConflict,
	CodeInternal:             http.StatusInternalServerError,

	Code(refusal.NotFound):           http.StatusNotFound,
	Code(refusal.NoLog):              http.StatusNotFound,
	Code(refusal.InUse):              http.StatusConflict,
	Code(refusal.SessionBusy):        http.StatusConflict,
	Code(refusal.KeyReused):          http.StatusUnprocessableEntity,
	Code(refusal.KeyInFlight):        http.StatusConflict,
	Code(refusal.Bootstrapped):       http.StatusConflict,
	Code(refusal.ImageDisabled):      http.StatusConflict,
	Code(refusal.SessionLimit):       http.StatusConflict,
	Code(refusal.NotAssigned):        http.StatusConflict,
	Code(refusal.ExtensionLimit):     http.StatusConflict,
	Code(refusal.CommandFailed):      http.StatusConflict,
	Code(refusal.Forbidden):          http.StatusForbidden,
	Code(refusal.UserLocked):         http.StatusForbidden,
	Code(refusal.NoCapacity):         http.StatusServiceUnavailable,
	Code(refusal.ResourceUnreadable): http.StatusServiceUnavailable,
	Code(refusal.StoredByNewer):      http.StatusConflict,
	Code(refusal.LaunchFailed):       http.StatusServiceUnavailable,
	Code(refusal.Overloaded):         http.StatusServiceUnavailable,
	Code(refusal.ConsulUnavailable):  http.StatusServiceUnavailable,
	Code(refusal.NomadUnavailable):   http.StatusServiceUnavailable,
	Code(refusal.RedisUnavailable):   http.StatusServiceUnavailable,
	Code(refusal.PeerUnavailable):    http.StatusServiceUnavailable,
	Code(refusal.TooLate):            http.StatusConflict,
	Code(refusal.Stopping):           http.StatusServiceUnavailable,
	Code(refusal.ProfileInUse):       http.StatusConflict,
}

// retryable are the codes that are always answered with a Retry-After, also where the
// refusal has no hint.
var retryable = map[Code]bool{
	CodeIssuerUnavailable:           true,
	CodeAuditUnavailable:            true,
	Code(refusal.SessionBusy):       true,
	Code(refusal.KeyInFlight):       true,
	Code(refusal.NoCapacity):        true,
	Code(refusal.Overloaded):        true,
	Code(refusal.Stopping):          true,
	Code(refusal.ConsulUnavailable): true,
	Code(refusal.NomadUnavailable):  true,
	Code(refusal.RedisUnavailable):  true,
	Code(refusal.PeerUnavailable):   true,
}
