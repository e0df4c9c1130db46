package staging

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// Revision identifies what a session is made from: two sessions of the same
// revision are interchangeable. It changes when anything of the image, the zone
// or the permissions changes that a session of a pool has from its making on,
// hooks included: a session is run by the hooks that it was made with.
func Revision(i Image, z Zone, p Permissions) string {
	z = z.WithDefaults()
	// encoding/json writes maps with sorted keys, which makes this stable.
	b, err := json.Marshal([]any{
		i.Jobspec, i.Variables, i.RunConfig, i.VolumeMappings, i.PersistentProfilePath, i.WebFilterPolicy, i.ExecConfig,
		z.Region, z.Datacenters, z.NodePool, z.Namespace, z.AllowOriginDomain, z.UpstreamAuthAddress,
		p.canonical(),
	})
	if err != nil {
		panic("staging: what came from JSON always marshals: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}
