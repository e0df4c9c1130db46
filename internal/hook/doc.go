// Package hook runs an image's assign hook inside a session.
//
// It promises two things. What a user typed reaches the command as data: the
// command line that Nomad sees, and logs, is always just /bin/sh, and all the
// rest travels on the shell's stdin with every value in single quotes. And it
// says exactly how far a hook that did not succeed got: NotStartedError means
// that not one byte was handed over, so the session is still unused;
// FailedError means that the command ran and said no; UnknownError means that
// nobody can tell, and the session must be destroyed rather than reused.
//
// It trusts the exit code that Nomad reports, and nothing else.
package hook
