package staging

import (
	"fmt"
	"strconv"
)

// SchemaVersion is the version of the layout of everything that greenroom stores: of its records
// in Consul, and of the meta of its jobs in Nomad. It becomes higher when an older greenroom
// would misread what is stored, and not when a field is added that it may ignore.
const SchemaVersion = 1

// OfNewerSchema reports whether the version of a job's or a service's meta, as text, is one that
// this greenroom does not know. Those from before there were versions have none, which is 1.
func OfNewerSchema(version string) bool {
	if version == "" {
		return false
	}
	n, err := strconv.Atoi(version)
	return err != nil || n > SchemaVersion
}

// NewerError means that a record was stored by a newer greenroom, in a layout that this one does
// not know. It is left alone.
type NewerError struct {
	// Key is where the record is, if that is known.
	Key string
	// Version is the record's.
	Version int
}

// Error implements error. It says what to do.
func (e *NewerError) Error() string {
	what := "it"
	if e.Key != "" {
		what = e.Key
	}
	return fmt.Sprintf("%s was stored by a newer greenroom, with schema version %d, and this one knows versions up to %d: use that greenroom", what, e.Version, SchemaVersion)
}
