// Package access says who may call what: the roles, the one table of rules, what
// a token is, and how the claims of an identity provider become a caller.
//
// It is pure, but for the Guard, which asks what it is given. It promises that an
// operation that is not in the table is nobody's but an administrator's, that a
// secret cannot be found from what is stored of it, and that a caller who could
// not be looked up is neither let in nor called a stranger (see UnavailableError).
package access
