// Package events reads what happens to sessions from Redis, once for all who wait for it.
//
// It promises that one reader serves any number of callers: those who follow the stream of
// events, and those who wait for a change of one session. The newest events are kept in
// memory, bounded; a follower that is further behind reads from Redis at its own pace.
// There are no queues, so that a slow follower holds nobody up.
//
// Next reports a gap to a follower that missed events which Redis no longer keeps. When
// Redis fails, all callers that wait are woken, and read the current state instead.
package events
