// Package hook runs an image's hooks inside a session.
//
// It promises three things. What a user typed reaches the command as data: the
// command line that Nomad sees, and logs, is always just /bin/sh, and all the
// rest travels on the shell's stdin with every value in single quotes. And it
// says exactly how far a hook that did not succeed got: NotStartedError means
// that not one byte was handed over, so the session is still unused;
// FailedError means that the command ran and said no; UnknownError means that
// nobody can tell, and the session must be destroyed rather than reused. And a
// hook that is to run once in a session runs once, whoever asks for it: a
// directory in the session itself keeps the second run from beginning, so that no
// store can lose it.
//
// It trusts the exit code that Nomad reports, and nothing else.
package hook
