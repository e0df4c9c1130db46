// Package nomadfleet registers, watches and stops the Nomad jobs of sessions.
//
// It promises:
//   - A session is one job with one allocation. Nomad never restarts or
//     reschedules it.
//   - Register creates a job and never overwrites one.
//   - A value that a user typed reaches a task's environment unchanged: Nomad does
//     not interpolate it.
//   - A jobspec that Nomad refuses is a *staging.InvalidError. A Nomad that does
//     not answer is ErrUnavailable.
//   - An observation is complete, or it is an error. A watch ends as soon as it may
//     have missed an event.
//
// It trusts Nomad's indexes to order the events of one region, and takes the first
// allocation of a job for the session. A later allocation of the same job is a
// clone that Nomad made of a lost one. It is reported as the end of the session,
// never as the session.
package nomadfleet
