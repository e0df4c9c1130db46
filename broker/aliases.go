package broker

import launching "github.com/greenroom/greenroom/broker/launch"

type (
	// LaunchRequest is a launch with how it is to be carried out.
	LaunchRequest = launching.Request
	// LaunchResult is one session that a launch served.
	LaunchResult = launching.Result
)

// MaxWait bounds the caller's wait for an on-demand session.
const MaxWait = launching.MaxWait
