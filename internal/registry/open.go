package registry

import (
	"context"
	"errors"
	"net/http"

	"github.com/hashicorp/consul/api"
)

// openProbe is the name of a key that never exists, below each folder that holds secrets or
// decides whose a session is.
const openProbe = "probe-of-access"

// OpenTo returns what the holder of a client's token may do with the secrets of this
// installation in Consul: "read", "write", or "" for neither. Nothing is read or changed.
func (r *Registry) OpenTo(ctx context.Context, client *api.Client) (string, error) {
	kv := client.KV()
	for _, folder := range []string{"secrets/", "gateway-secrets/", "tokens/", "locked-users/", "fates/", "resources/"} {
		key := r.prefix + folder + openProbe
		if _, _, err := kv.Get(key, query(ctx)); err == nil {
			return "read", nil
		} else if !denied(err) {
			return "", callError(err, "read %s without a token", key)
		}
		// A compare-and-set of a key that has another index changes nothing, and Consul
		// checks the permission first.
		if _, _, err := kv.CAS(&api.KVPair{Key: key, ModifyIndex: 1}, write(ctx)); err == nil {
			return "write", nil
		} else if !denied(err) {
			return "", callError(err, "write %s without a token", key)
		}
	}
	return "", nil
}

// denied reports whether Consul refused a call for want of a permission.
func denied(err error) bool {
	var status api.StatusError
	return errors.As(err, &status) && (status.Code == http.StatusForbidden || status.Code == http.StatusUnauthorized)
}
