package registry

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"
)

// maxTxnOps is how many operations Consul takes in one transaction.
const maxTxnOps = 128

// errRefused: a transaction did not take place, and Consul does not say why.
var errRefused = errors.New("the transaction was refused without a reason")

// Decided returns which of some sessions have a fate, of whatever verdict. It reads these
// records alone, however many there are, so that its cost is that of the sessions.
func (r *Registry) Decided(ctx context.Context, sessions []string) (map[string]bool, error) {
	decided := map[string]bool{}
	for part := range slices.Chunk(sessions, maxTxnOps) {
		ops := make(api.TxnOps, len(part))
		for i, id := range part {
			ops[i] = &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVGetOrEmpty, Key: r.fateKey(id)}}
		}
		answer, failed, err := r.transact(ctx, ops)
		if err == nil && len(failed) > 0 {
			err = errRefused
		}
		if err != nil {
			return nil, callError(err, "read whether %d sessions have a fate", len(sessions))
		}
		for _, result := range answer {
			if result.KV != nil && len(result.KV.Value) > 0 {
				decided[strings.TrimPrefix(result.KV.Key, r.fatesPrefix())] = true
			}
		}
	}
	return decided, nil
}
