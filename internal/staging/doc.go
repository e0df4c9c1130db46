// Package staging is greenroom's vocabulary: zones, images, staging configs, sessions with
// their states, fates, conditions and launches, and the rules between them that do not
// depend on where anything is stored.
//
// It promises to be pure. It imports no client and no sibling package and does no I/O: the
// same value always validates, moves and hashes the same way. Only new ids use the clock
// and random numbers. Every other package uses these types, so a type that crosses a
// package boundary belongs here, and no other type does.
package staging
