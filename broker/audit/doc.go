// Package audit records changes, launches, logins, the use of tokens, and denied calls for
// auditors: a line of the log for each, and an event in Redis for those that Redis does not
// know already.
//
// It promises that no record holds a token, nor the value of a setting that may be a
// secret: the record says only that the value is there, and that it changed. The log holds
// every record, whatever its level, as one chain (internal/audittrail); the event is lost when
// Redis does not take it. Of denied calls, which anybody can make, only some become events, so
// that they do not push everything else out of Redis.
package audit
