package staging

import "cmp"

// Patience is how long a session of an image that no user has yet is waited for before it is
// ended, and in a pool replaced. What is 0 is as in DefaultPatience.
type Patience struct {
	// Start is how long it may run until its checks pass.
	Start Duration `json:"start,omitempty"`
	// Placement is how long it may take from its placement on a node until it runs. Downloads
	// are within it.
	Placement Duration `json:"placement,omitempty"`
	// Unhealthy is how long a pool's session whose checks stopped passing, or whose node Nomad
	// has lost contact with, may take to recover.
	Unhealthy Duration `json:"unhealthy,omitempty"`
}

// DefaultPatience suits desktops: their images are large, and they start slowly.
var DefaultPatience = Patience{Start: Duration(600e9), Placement: Duration(1800e9), Unhealthy: Duration(30e9)}

// OrDefault returns p with what is 0 in it from DefaultPatience.
func (p Patience) OrDefault() Patience {
	return Patience{
		Start:     cmp.Or(p.Start, DefaultPatience.Start),
		Placement: cmp.Or(p.Placement, DefaultPatience.Placement),
		Unhealthy: cmp.Or(p.Unhealthy, DefaultPatience.Unhealthy),
	}
}

func (p *problems) patience(field string, is Patience) {
	p.term(field+".start", is.Start)
	p.term(field+".placement", is.Placement)
	p.term(field+".unhealthy", is.Unhealthy)
}
