package devtest

import (
	"errors"
	"io"
	"strings"
)

// CutOff reports whether an exec failed because Nomad (1.10.5) cut it off: when it is busy, it closes
// the connection without a reason, also where it would have refused, and it resets it if the command
// ends before all of its stdin has arrived. Whether the command has run is not known then.
func CutOff(err error) bool {
	return err != nil && (errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "connection reset"))
}

// Answered repeats an exec until Nomad does not cut it off. The exec has a deadline, and its command
// may run more than once.
func Answered[R any](exec func() (R, error)) (R, error) {
	for {
		if result, err := exec(); !CutOff(err) {
			return result, err
		}
	}
}
