package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// Every JSON record has schema_version, the version of its layout. A field that is added, and
// that an older greenroom may ignore, is no new version: a version is for what an older one would
// misread. A record of a newer version is therefore left alone: it is neither used nor replaced
// nor deleted. Only what must be possible with every version deletes one: to revoke a token, and
// to drop the history of days long past.
//
// Records from before there were versions have none, and are of version 1. greenroom of that time
// ignores fields that it does not know, so it reads what is stored here, and what it stores again
// without the field is of version 1, too.
//
// The values that are no JSON have no version: the secrets that brokers share, which are random
// bytes; the locks, whose holder is in Consul's own field; and the history of a day, which has a
// version of its own inside what is compressed.

const schemaField = "schema_version"

// versioned is the beginning of every record that this greenroom stores.
var versioned = []byte(`{"` + schemaField + `":` + strconv.Itoa(staging.SchemaVersion))

// encode returns a record as it is stored. v must be a struct.
func encode(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	rest := b[1:] // after the brace
	stored := append(make([]byte, 0, len(versioned)+1+len(rest)), versioned...)
	if len(rest) > 1 {
		stored = append(stored, ',')
	}
	return append(stored, rest...), nil
}

// decode reads a stored record. The error is a *staging.NewerError for one of a newer version,
// without a key, and v is unchanged then.
func decode(b []byte, v any) error {
	if err := schemaOf(b); err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// schemaOf returns an error if a record is of a version that this greenroom does not read.
func schemaOf(b []byte) error {
	// Most records begin with the version, or have none.
	if rest, ok := bytes.CutPrefix(b, versioned); ok && len(rest) > 0 && (rest[0] == ',' || rest[0] == '}') {
		return nil
	}
	if !bytes.Contains(b, []byte(`"`+schemaField+`"`)) {
		return nil
	}
	var has struct {
		SchemaVersion *int `json:"schema_version"`
	}
	switch err := json.Unmarshal(b, &has); {
	case err != nil:
		return err
	case has.SchemaVersion == nil:
		return nil
	case *has.SchemaVersion > staging.SchemaVersion:
		return &staging.NewerError{Version: *has.SchemaVersion}
	case *has.SchemaVersion < 1:
		return fmt.Errorf("%s: must be from 1 to %d, is %d", schemaField, staging.SchemaVersion, *has.SchemaVersion)
	}
	return nil
}

// newer returns the *staging.NewerError of a pair that a newer greenroom stored, nil for every
// other, and for none. Call it before you replace or delete what may not have been read.
func newer(p *api.KVPair) error {
	if p == nil {
		return nil
	}
	if n, ok := errors.AsType[*staging.NewerError](schemaOf(p.Value)); ok {
		return &staging.NewerError{Key: p.Key, Version: n.Version}
	}
	return nil
}

// unparsed is the error for a record that does not parse, and what can be done about it. One of a
// newer greenroom says so instead.
func unparsed(p *api.KVPair, err error, advice string) error {
	if n := newer(p); n != nil {
		return n
	}
	return fmt.Errorf("consul: %s does not parse%s: %w", p.Key, advice, err)
}
