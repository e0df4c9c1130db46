// Package access decides which caller may use which operation of the API: the roles, the
// table of rules, tokens, and the mapping from an identity provider's claims to a caller.
//
// It is pure, except for the Guard, which calls the functions in its fields. It promises:
//   - Only an administrator may use an operation that is not in the table.
//   - A token's secret cannot be computed from what is stored.
//   - A login is sealed: its holder can neither read nor change it, and it counts as what it was
//     sealed as, for the provider that it was sealed for, until its time.
//   - A caller that cannot be checked now is refused with an UnavailableError, and not
//     as one with a wrong token.
//   - A user who is locked is nobody, with whatever role.
package access
