// Package status answers whether all is well: the servers, the zones, and their pools with
// their recent past.
//
// It promises an answer whatever fails: with the values that are known, and a reason in
// words for each part that is not well. However often callers
// call, the servers are read at most once a second. While Redis does not answer, the answer
// marks the numbers of the pools as unknown.
//
// A new kind of condition is added in scaler/conditions.go; this package passes on what
// the scaler reports.
package status
