package staging

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// Revision identifies what a session's job is made from: two sessions of the
// same revision are interchangeable. It changes when the image's jobspec or
// variables, or the zone's placement, change; a hook is run from the image as
// it is at the claim, so a changed hook makes no new revision.
func Revision(i Image, z Zone) string {
	// encoding/json writes maps with sorted keys, which makes this stable.
	b, err := json.Marshal([]any{i.Jobspec, i.Variables, z.Region, z.Datacenters, z.NodePool, z.Namespace})
	if err != nil {
		panic("staging: strings and maps of strings always marshal: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}
