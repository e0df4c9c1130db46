package status

import (
	"fmt"
	"slices"
	"strings"
)

// Remarks say what works and is seldom meant, and what may become a problem: sentences for operators, in the
// order of the zones, and those on images after them. Status.Health does not depend on them.
func (s Status) Remarks() []string {
	var remarks []string
	for _, z := range s.Zones {
		byImage := map[string][]string{}
		var images []string
		for _, p := range z.Pools {
			if p.Remark != "" {
				remarks = append(remarks, fmt.Sprintf("staging config %s: %s", p.Name, p.Remark))
			}
			if byImage[p.Image] == nil {
				images = append(images, p.Image)
			}
			byImage[p.Image] = append(byImage[p.Image], p.Name)
		}
		for _, image := range images {
			names := byImage[image]
			if len(names) < 2 {
				continue
			}
			slices.Sort(names)
			last := len(names) - 1
			remarks = append(remarks, fmt.Sprintf(
				"staging configs %s and %s stage the same image %s in zone %s: a launch may take a session of any of them; if they are alike in all else, one config with the sum of their sessions does the same",
				strings.Join(names[:last], ", "), names[last], image, z.Name))
		}
	}
	for _, i := range s.images {
		remarks = append(remarks, i.Remarks()...)
	}
	return remarks
}
