package broker

import (
	"fmt"
	"strings"

	"github.com/greenroom/greenroom/internal/staging"
)

// place is a zone that a launch may be served from, or the reason why not.
type place struct {
	zone staging.Zone
	// skip says why nothing is tried here; "" when it may be.
	skip string
}

// places gives the launch's own zone, and those that are searched after it, in
// order. Where none is searched there is one place that says so.
func (l *launch) places() (here, elsewhere []place) {
	own := l.resources.Zones[l.Zone]
	here = []place{l.place(own.Name)}
	for _, name := range own.Alternates(l.resources.Zones) {
		elsewhere = append(elsewhere, l.place(name))
	}
	if len(elsewhere) == 0 && len(l.resources.Zones) > 1 {
		elsewhere = []place{{zone: own, skip: fmt.Sprintf("zone %s does not search alternate zones", own.Name)}}
	}
	return here, elsewhere
}

func (l *launch) place(name string) place {
	zone, ok := l.resources.Zones[name]
	switch {
	case !ok:
		return place{zone: staging.Zone{Name: name}, skip: fmt.Sprintf("there is no zone %s", name)}
	case !l.image.AllowedIn(name):
		return place{zone: zone, skip: fmt.Sprintf("image %s is restricted to %s", l.Image, joined(l.image.RestrictToZones))}
	}
	return place{zone: zone}
}

func joined(names []string) string { return strings.Join(names, ", ") }
