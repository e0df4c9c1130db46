// Package launch gives users sessions.
package launch
