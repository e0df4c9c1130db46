package scaler

import (
	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/logfield"
)

// unreadableLog logs which records in Consul cannot be read: each once, and again when the
// reason changes. A watch reports all of them at every change of any record.
type unreadableLog struct {
	log *logrus.Entry
	// reasons are those that were logged, by key.
	reasons map[string]string
}

// found logs what changed since the last call. all are the sentences by key.
func (u *unreadableLog) found(all map[string]string) {
	for key, reason := range all {
		if u.reasons[key] != reason {
			u.log.WithField(logfield.Key, key).WithField(logfield.Reason, reason).Error("cannot read a stored record")
		}
	}
	for key := range u.reasons {
		if _, still := all[key]; !still {
			u.log.WithField(logfield.Key, key).Info("a record that could not be read is readable again, or deleted")
		}
	}
	u.reasons = all
}
