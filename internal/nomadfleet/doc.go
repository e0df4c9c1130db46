// Package nomadfleet makes, watches and ends the Nomad jobs that sessions are.
//
// It promises that one session is one job of one allocation that is never
// restarted or rescheduled by Nomad; that a job is only ever created, never
// overwritten; that what a user typed reaches a task's environment unchanged,
// out of reach of Nomad's interpolation; and that it tells a jobspec that Nomad
// refuses (*staging.InvalidError) from a Nomad that does not answer
// (ErrUnavailable). What it observes is either whole or an error: a watch ends
// as soon as it cannot be sure that it saw everything.
//
// It trusts Nomad's indexes to order the news of one region, and Nomad's first
// allocation of a job to be the session. A later one of the same job is a clone
// that Nomad made of a lost allocation: it is reported as the end of the session,
// and never as the session.
package nomadfleet
