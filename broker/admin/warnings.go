package admin

import (
	"context"
	"fmt"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/internal/staging"
)

// Warnings returns what is accepted in images and means something else than their authors may
// think, a sentence each that names the image. Where Nomad or Consul do not answer, there are
// fewer of them: nothing depends on them.
func (a *Admin) Warnings(ctx context.Context, images []staging.Image) []string {
	ctx, cancel := context.WithTimeout(ctx, deadline.Nomad)
	defer cancel()
	var all []string
	for _, i := range images {
		all = append(all, i.Remarks()...)
		i, err := a.Images.whole(ctx, i, a.Images.read)
		if err != nil {
			continue
		}
		found, err := a.fleet.Warnings(ctx, i)
		if err != nil {
			continue
		}
		for _, w := range found {
			all = append(all, fmt.Sprintf("image %q: %s", i.Name, w))
		}
	}
	return all
}
