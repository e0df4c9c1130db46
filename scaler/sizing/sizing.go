// Package sizing says how many sessions a pool wants at a moment. It is pure.
package sizing

import (
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// Desired gives how many ready sessions a staging config wants at now: its
// desired_sessions.
func Desired(c staging.Config, _ time.Time) int { return c.DesiredSessions }
