// Package audittrail chains audit records, so that nobody can change, remove or insert one
// unnoticed: each record holds the hash of the one before it, and its own.
//
// A chain belongs to one process, and begins when the process does. Verify reads chains back
// from log lines in JSON. It promises to find every change of a record and every gap between
// two records of a chain. It cannot find that the newest records of a chain, or a whole chain,
// are missing: ship the log to a place that its writer cannot change.
package audittrail
