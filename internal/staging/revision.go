package staging

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// Revision identifies what a session is made from: two sessions of the same revision are
// interchangeable. It covers every setting of the image, the zone and the permissions
// that a staged session has from its creation on. That includes the hooks: a session
// keeps the hooks that it was created with.
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
