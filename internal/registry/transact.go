package registry

import (
	"context"
	"net/http"
	"strings"

	"github.com/hashicorp/consul/api"
)

// transact does all of some operations, or none of them. failed are the numbers of those that
// Consul refused because of what is stored. That its ACLs do not let this agent do one is an
// error, which Consul tells in the same way.
func (r *Registry) transact(ctx context.Context, ops api.TxnOps) (answer api.TxnResults, failed []int, err error) {
	done, reply, _, err := r.txn.Txn(ops, (&api.QueryOptions{RequireConsistent: true}).WithContext(ctx))
	switch {
	case err != nil:
		return nil, nil, err
	case done:
		return reply.Results, nil, nil
	}
	for _, e := range reply.Errors {
		if strings.Contains(e.What, "Permission denied") {
			return nil, nil, api.StatusError{Code: http.StatusForbidden, Body: e.What}
		}
		failed = append(failed, e.OpIndex)
	}
	if len(failed) == 0 {
		return nil, nil, errRefused
	}
	return nil, failed, nil
}
