// Package tracing makes OpenTelemetry spans of what a broker does, and exports them by OTLP over HTTP.
//
// It promises to cost nothing where it is not configured: only the edge begins a trace, and Start makes
// a span only within one, without an allocation otherwise. It promises, too, that an exporter's
// collector slows nobody: spans that it does not take in time are dropped, and the log says so once.
//
// The exporter is the project's own otlptrace with a client of a few lines: otlptracehttp links all of
// gRPC, of which a POST of a protobuf message needs nothing.
package tracing
