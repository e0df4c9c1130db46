// Package events reads what happens to sessions from Redis, once for all who wait for it.
//
// It promises that one reader serves any number of callers: those who follow the stream of
// events, and those who wait for a change of one session. The newest events are kept in
// memory, bounded; a follower that is further behind reads from Redis at its own pace.
// There are no queues, so that a slow follower holds nobody up.
//
// A follower that missed events which Redis no longer keeps is told so: Next reports a gap.
// When Redis fails, everyone who waits is woken and reads the current state instead.
package events
