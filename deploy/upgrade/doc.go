// Package upgrade tests that an installation goes from the last release to this build and back
// while users launch: no session ends, no pool's session is replaced, and each reads what the
// other has stored.
//
// The file previous-release names the commit, or the tag, of the last release. The test builds
// it from this repository's history. Change it when a release has been made.
package upgrade
