package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// People edit records in Consul's UI, and restore and copy them. What is stored under a key
// of ours may therefore be anything. A record that cannot be read concerns itself alone,
// and it is never taken for an absent one: a typing error must not drain a pool.

// kindOf maps the plural in a key to its kind.
var kindOf = map[string]staging.ResourceKind{
	zones: staging.KindZone, images: staging.KindImage, groups: staging.KindGroup, configs: staging.KindStaging,
	webhooks: staging.KindWebhook,
}

// pluralOf is the inverse of kindOf.
var pluralOf = map[staging.ResourceKind]string{
	staging.KindZone: zones, staging.KindImage: images, staging.KindGroup: groups, staging.KindStaging: configs,
}

// isFolder: Consul's UI makes an empty key that ends in a slash for a folder. It is no record.
func isFolder(p *api.KVPair) bool { return strings.HasSuffix(p.Key, "/") && len(p.Value) == 0 }

// decodeResources decodes all keys under the prefix of the resources. The result has only
// what is readable now.
func decodeResources(prefix string, pairs api.KVPairs, index uint64) staging.Resources {
	res := staging.Resources{
		Zones:      map[string]staging.Zone{},
		Images:     map[string]staging.Image{},
		Groups:     map[string]staging.Group{},
		Configs:    map[string]staging.Config{},
		Webhooks:   map[string]staging.Webhook{},
		Index:      index,
		Unreadable: map[string]staging.UnreadableResource{},
		Versions:   make(map[staging.ResourceKey]uint64, len(pairs)),
		Pauses:     map[staging.PauseTarget]staging.Pause{},
		Orders:     map[string]staging.PoolOrders{},
	}
	for _, p := range pairs {
		if isFolder(p) {
			continue
		}
		plural, name, _ := strings.Cut(strings.TrimPrefix(p.Key, prefix), "/")
		if kind, ok := kindOf[plural]; ok {
			res.Versions[staging.ResourceKey{Kind: kind, Name: name}] = p.ModifyIndex
		}
		var err error
		switch plural {
		case zones:
			err = into(res.Zones, name, p.Value, func(z staging.Zone) (string, error) { return z.Name, z.Validate() })
		case images:
			err = into(res.Images, name, p.Value, func(i staging.Image) (string, error) { return i.Name, i.Validate() })
		case groups:
			err = into(res.Groups, name, p.Value, func(g staging.Group) (string, error) { return g.Name, g.Validate() })
		case configs:
			if err = hasDesired(p.Value); err == nil {
				err = into(res.Configs, name, p.Value, func(c staging.Config) (string, error) { return c.Name, c.Validate(storedLimits) })
			}
		case webhooks:
			err = into(res.Webhooks, name, p.Value, func(w staging.Webhook) (string, error) { return w.Name, w.Validate() })
		case pauses:
			err = decodePause(res.Pauses, name, p)
		case orders:
			err = decodeOrders(res.Orders, name, p.Value)
		default:
			err = errors.New("greenroom has no such kind of resource")
		}
		if err != nil {
			_, ofNewer := errors.AsType[*staging.NewerError](err)
			res.Unreadable[p.Key] = staging.UnreadableResource{
				Key: p.Key, Kind: kindOf[plural], Name: name, Reason: reasonOf(err), Newer: ofNewer,
				MayBeDefault: plural == groups && bytes.Contains(p.Value, []byte(`"default"`)),
			}
		}
	}
	return res
}

// storedLimits: the broker that stored a config has checked its number of sessions against
// its own limit, which a scaler does not know.
var storedLimits = staging.Limits{MaxDesiredSessions: math.MaxInt32, Stored: true}

// into decodes a resource into a map. check returns the name inside and whether the value
// is valid. Fields that are not known are left out: a newer version may have stored them.
func into[T staging.Confidential[T]](m map[string]T, name string, b []byte, check func(T) (string, error)) error {
	var v T
	if len(b) == 0 {
		return errors.New("it is empty")
	}
	if err := decode(b, &v); err != nil {
		return fieldError[T](b, err)
	}
	inside, err := check(v)
	if inside != name {
		return fmt.Errorf("name: the value is that of %q, and the key that of %q", inside, name)
	}
	if invalid, ok := errors.AsType[*staging.InvalidError](err); ok {
		// Whoever reads the status sees why.
		return &staging.InvalidError{What: invalid.What, Fields: staging.HideIn(v, invalid.Fields)}
	}
	if err != nil {
		return err
	}
	m[name] = v
	return nil
}

// fieldError names the field of b that cannot be decoded, where encoding/json does not: it
// returns the error of a duration, for example, as it is.
func fieldError[T any](b []byte, err error) error {
	var wrong *json.UnmarshalTypeError
	var newer *staging.NewerError
	if errors.As(err, &wrong) || errors.As(err, &newer) {
		return err
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(b, &fields) != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		one, encodeErr := json.Marshal(map[string]json.RawMessage{name: fields[name]})
		if encodeErr != nil {
			return err
		}
		if err := json.Unmarshal(one, new(T)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return err
}

// hasDesired refuses a staging config without desired_sessions, for example because of a
// typing error in the field's name. It would count as 0 and drain the pool. All that
// greenroom stores has the field.
func hasDesired(b []byte) error {
	var has struct {
		DesiredSessions *json.RawMessage `json:"desired_sessions"`
	}
	if decode(b, &has) == nil && has.DesiredSessions == nil {
		return errors.New("desired_sessions: must be there")
	}
	return nil // into reports what does not parse
}

// reasonOf returns an error's text for people, beginning with the field if one is to blame.
func reasonOf(err error) string {
	var wrong *json.UnmarshalTypeError
	var invalid *staging.InvalidError
	switch {
	case errors.As(err, &wrong) && wrong.Field != "":
		return fmt.Sprintf("%s: must not be a JSON %s", wrong.Field, wrong.Value)
	case errors.As(err, &wrong):
		return fmt.Sprintf("it must be a JSON object, and is a JSON %s", wrong.Value)
	case errors.As(err, &invalid):
		fields := make([]string, len(invalid.Fields))
		for i, f := range invalid.Fields {
			fields[i] = f.Field + ": " + f.Message
		}
		return strings.Join(fields, "; ")
	}
	return err.Error()
}

// keepReadable returns read, in which what cannot be read keeps the value that it has in
// before.
func keepReadable(read, before staging.Resources) staging.Resources {
	if len(read.Unreadable) == 0 {
		return read
	}
	read.Zones, read.Images, read.Groups, read.Configs = maps.Clone(read.Zones), maps.Clone(read.Images), maps.Clone(read.Groups), maps.Clone(read.Configs)
	read.Webhooks = maps.Clone(read.Webhooks)
	read.Unreadable = maps.Clone(read.Unreadable)
	for key, u := range read.Unreadable {
		switch u.Kind {
		case staging.KindZone:
			u.Kept = keep(read.Zones, before.Zones, u.Name)
		case staging.KindImage:
			u.Kept = keep(read.Images, before.Images, u.Name)
		case staging.KindGroup:
			u.Kept = keep(read.Groups, before.Groups, u.Name)
		case staging.KindStaging:
			u.Kept = keep(read.Configs, before.Configs, u.Name)
		case staging.KindWebhook:
			u.Kept = keep(read.Webhooks, before.Webhooks, u.Name)
		}
		read.Unreadable[key] = u
	}
	return read
}

func keep[T any](now, before map[string]T, name string) bool {
	v, kept := before[name]
	if kept {
		now[name] = v
	}
	return kept
}
