// Package hook runs an image's hooks inside a session.
//
// It promises:
//   - A value that a user typed reaches the command as data. The command line that
//     Nomad sees and logs is always /bin/sh alone. Everything else is sent to the
//     shell's stdin, with every value in single quotes.
//   - The error of a hook that did not succeed says how far the hook got.
//     NotStartedError: not one byte of the script was sent, so the session is still
//     unused. FailedError: the command ran and its exit code was not 0. UnknownError:
//     the outcome cannot be known, so the session must be destroyed and not reused.
//   - A once-only hook runs at most once in a session, no matter how often it is
//     started. A directory in the session itself is the lock, so no store can lose it.
//
// It trusts the exit code that Nomad reports, with the exception of 0: see ExitSuccess.
package hook
