// Package staging is greenroom's vocabulary: zones, images, staging configs,
// sessions with their states, fates, conditions and launches, and the rules
// that hold between them whatever is stored where.
//
// It promises to be pure. It imports no client and no sibling package and does
// no I/O: the same value always validates, moves and hashes the same way. Only
// fresh ids take the clock and chance. Every other package speaks in these words, so a type that
// crosses a package boundary belongs here and one that does not, does not.
package staging
