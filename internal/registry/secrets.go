package registry

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"
	"golang.org/x/sync/errgroup"

	"github.com/greenroom/greenroom/internal/staging"
)

// The keys that brokers share are below secrets/, and those that gateways need, too, below
// gateway-secrets/, so that a gateway cannot read the others. The value of secrets/NAME is the
// newest one itself, as it was before keys could be rotated, so that a broker of that time reads
// it. secrets/rotated/NAME has the rest, in JSON; it exists from the first rotation on.

// keyFolder is a folder of keys, with the cache of what is in it.
type keyFolder struct {
	prefix string
	cache  *atomic.Pointer[sharedKeys]
}

func (r *Registry) brokersKeys() keyFolder { return keyFolder{r.prefix + "secrets/", &r.keys} }
func (r *Registry) gatewaysKeys() keyFolder {
	return keyFolder{r.prefix + "gateway-secrets/", &r.gatewayKeys}
}

// folderOf returns the folder that has the keys of a name.
func (r *Registry) folderOf(name string) keyFolder {
	if name == staging.GatewaySecret {
		return r.gatewaysKeys()
	}
	return r.brokersKeys()
}

func (r *Registry) secretKey(name string) string { return r.folderOf(name).prefix + name }
func (r *Registry) rotationKey(name string) string {
	return r.folderOf(name).prefix + rotatedFolder + name
}

const rotatedFolder = "rotated/"

// rotation is the value of a rotationKey.
type rotation struct {
	// From is when the newest key begins to sign.
	From time.Time `json:"from"`
	// Retired are the older keys, the newest of them first.
	Retired staging.SigningKeys `json:"retired"`
}

// secretBytes is the length of a key.
const secretBytes = 32

var errNoSecret = errors.New("it was deleted at the same time, or is too short; try again")

// sharedKeys is the cache of all keys.
type sharedKeys struct {
	byName map[string]staging.SigningKeys
	index  uint64
}

// freshSecret returns a random key.
func freshSecret() []byte {
	fresh := make([]byte, secretBytes)
	_, _ = rand.Read(fresh) // crypto/rand documents that it never fails
	return fresh
}

// Keys returns the keys of a name, at least one, which all brokers share. The first call
// creates one by compare-and-set. They are cached; WatchKeys and every write refresh them.
func (r *Registry) Keys(ctx context.Context, name string) (staging.SigningKeys, error) {
	folder := r.folderOf(name)
	if cached := folder.cache.Load(); cached != nil && len(cached.byName[name]) > 0 {
		return cached.byName[name], nil
	}
	read, err := r.readKeys(folder, query(ctx))
	if err != nil {
		return nil, err
	}
	if keys := read.byName[name]; len(keys) > 0 {
		return keys, nil
	}
	key := r.secretKey(name)
	if _, _, err := r.kv.CAS(&api.KVPair{Key: key, Value: freshSecret()}, write(ctx)); err != nil {
		return nil, callError(err, "create %s", key)
	}
	if read, err = r.readKeys(folder, query(ctx)); err != nil {
		return nil, err
	}
	if len(read.byName[name]) == 0 {
		return nil, callError(errNoSecret, "read %s", key)
	}
	return read.byName[name], nil
}

// readKeys reads all keys of a folder and updates the cache. Keys that cannot be read, or are gone, stay
// as they were: without them everything that they signed would be refused.
func (r *Registry) readKeys(folder keyFolder, q *api.QueryOptions) (*sharedKeys, error) {
	pairs, meta, err := list(r.kv, folder.prefix, q)
	if err != nil {
		return nil, err
	}
	for {
		// A slow read must not undo a fast one.
		old := folder.cache.Load()
		read := &sharedKeys{byName: map[string]staging.SigningKeys{}, index: meta.LastIndex}
		if old != nil {
			maps.Copy(read.byName, old.byName)
		}
		folder.decode(pairs, read.byName)
		if old != nil && old.index > read.index || folder.cache.CompareAndSwap(old, read) {
			return read, nil
		}
	}
}

// decode puts the keys that pairs hold into a map, by name. What cannot be read there
// leaves what the map has; a new key whose rotation record cannot be read stands alone.
func (f keyFolder) decode(pairs api.KVPairs, into map[string]staging.SigningKeys) {
	values := map[string][]byte{}
	for _, p := range pairs {
		values[strings.TrimPrefix(p.Key, f.prefix)] = p.Value
	}
	for name, newest := range values {
		if strings.Contains(name, "/") || len(newest) < secretBytes {
			continue
		}
		keys, err := decodeRotation(newest, values[rotatedFolder+name])
		if known := into[name]; err != nil && len(known) > 0 && bytes.Equal(known[0].Key, newest) {
			continue
		}
		into[name] = keys
	}
}

// decodeRotation returns the newest key with those that its rotation record retired; the
// record is empty before the first rotation. With an error it returns the newest key alone.
func decodeRotation(newest, record []byte) (staging.SigningKeys, error) {
	var more rotation
	if len(record) > 0 {
		if err := decode(record, &more); err != nil {
			return staging.SigningKeys{{Key: newest}}, err
		}
	}
	return append(staging.SigningKeys{{Key: newest, From: more.From}}, more.Retired...), nil
}

// WatchKeys keeps the caches of the keys up to date until ctx is done. It returns the first
// error; the caller decides when to call it again.
func (r *Registry) WatchKeys(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.watchKeys(ctx, r.brokersKeys()) })
	group.Go(func() error { return r.watchKeys(ctx, r.gatewaysKeys()) })
	return group.Wait()
}

// WatchGatewayKeys is WatchKeys for those keys alone that a gateway needs, and may read.
func (r *Registry) WatchGatewayKeys(ctx context.Context) error {
	return r.watchKeys(ctx, r.gatewaysKeys())
}

func (r *Registry) watchKeys(ctx context.Context, folder keyFolder) error {
	return follow(ctx, func(q *api.QueryOptions) (uint64, func(), func(), error) {
		read, err := r.readKeys(folder, q)
		if err != nil {
			return 0, nil, nil, err
		}
		return read.index, func() { folder.cache.Store(read) }, func() {}, nil
	})
}

// RotateKeys gives each name a new key, all in one transaction, and retires the older ones:
// they are accepted for the overlap. It returns a *staging.InvalidError if too many keys would
// be accepted. After another error it is not known whether it was done.
func (r *Registry) RotateKeys(ctx context.Context, names []string, now time.Time, overlap time.Duration) (staging.Rotation, error) {
	done := staging.Rotation{Names: names, AcceptedUntil: now.Add(overlap)}
	for range casTries {
		var ops api.TxnOps
		for _, name := range names {
			rotated, more, err := r.rotated(ctx, name, now, overlap)
			if err != nil {
				return done, err
			}
			done.SignsFrom = rotated[0].From
			ops = append(ops, more...)
		}
		_, failed, err := r.transact(ctx, ops)
		if err != nil {
			return done, callError(err, "rotate %s", strings.Join(names, ", "))
		}
		if len(failed) == 0 {
			for _, folder := range []keyFolder{r.brokersKeys(), r.gatewaysKeys()} {
				_, _ = r.readKeys(folder, query(ctx)) // otherwise the watch does it a moment later
			}
			return done, nil
		}
	}
	return done, callError(ErrConflict, "rotate %s", strings.Join(names, ", "))
}

// rotated reads the keys of a name, and returns them with a new one and the operations that
// store that.
func (r *Registry) rotated(ctx context.Context, name string, now time.Time, overlap time.Duration) (staging.SigningKeys, api.TxnOps, error) {
	newest, record, err := r.storedKeys(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	var keys staging.SigningKeys
	if len(newest.Value) >= secretBytes {
		if keys, err = decodeRotation(newest.Value, record.Value); err != nil {
			return nil, nil, unparsed(&record, err, "; delete it to go on without the older keys")
		}
	}
	rotated, err := keys.Rotate(freshSecret(), now, overlap)
	if err != nil {
		return nil, nil, err
	}
	value, err := encode(rotation{From: rotated[0].From, Retired: rotated[1:]})
	if err != nil {
		return nil, nil, fmt.Errorf("encode %s: %w", record.Key, err)
	}
	// Index 0 means "only if the key does not exist".
	return rotated, api.TxnOps{
		{KV: &api.KVTxnOp{Verb: api.KVCAS, Key: newest.Key, Value: rotated[0].Key, Index: newest.ModifyIndex}},
		{KV: &api.KVTxnOp{Verb: api.KVCAS, Key: record.Key, Value: value, Index: record.ModifyIndex}},
	}, nil
}

// storedKeys reads the two records of a name; one that does not exist has no value and the
// index 0.
func (r *Registry) storedKeys(ctx context.Context, name string) (newest, record api.KVPair, err error) {
	for pair, key := range map[*api.KVPair]string{&newest: r.secretKey(name), &record: r.rotationKey(name)} {
		p, _, err := r.kv.Get(key, query(ctx))
		if err != nil {
			return newest, record, callError(err, "read %s", key)
		}
		pair.Key = key
		if p != nil {
			*pair = *p
		}
	}
	return newest, record, nil
}
