package staging

import (
	"time"
)

// SizingMode says who decides how many sessions a pool wants.
type SizingMode string

// The modes.
const (
	// SizingDemand: the pool follows its demand, and DesiredSessions does not count.
	SizingDemand SizingMode = "demand"
	// SizingRecommend: nothing changes, and what SizingDemand would want is shown.
	SizingRecommend SizingMode = "recommend"
)

// DefaultServedWarm is the share of launches that a pool sized by its demand serves with
// ready sessions, where its config names none.
const DefaultServedWarm = 0.99

// Sizing has a pool follow its demand.
type Sizing struct {
	Mode SizingMode `json:"mode"`
	// ServedWarm is the share of launches that shall find a ready session; 0 is
	// DefaultServedWarm.
	ServedWarm float64 `json:"served_warm,omitempty"`
	// Min and Max bound how many sessions are wanted. A schedule that asks for more than Max
	// gets it.
	Min int `json:"min,omitempty"`
	Max int `json:"max"`
	// Weight is how much a launch that this pool serves warm counts beside those of the other
	// pools of a zone that cannot hold what all of them want; 0 is 1.
	Weight float64 `json:"weight,omitempty"`
	// TimeZone is the IANA name of the time zone of the days and weeks that the demand is
	// learned by; "" is UTC.
	TimeZone string `json:"time_zone,omitempty"`
}

// Share returns ServedWarm or its default.
func (s Sizing) Share() float64 {
	if s.ServedWarm == 0 {
		return DefaultServedWarm
	}
	return s.ServedWarm
}

// Importance returns Weight or its default.
func (s Sizing) Importance() float64 {
	if s.Weight == 0 {
		return 1
	}
	return s.Weight
}

// Location returns the time zone.
func (s Sizing) Location() (*time.Location, error) {
	if s.TimeZone == "" {
		return time.UTC, nil
	}
	return time.LoadLocation(s.TimeZone)
}

// FollowsDemand reports whether the pool's demand decides how many sessions it wants.
func (c Config) FollowsDemand() bool { return c.Sizing != nil && c.Sizing.Mode == SizingDemand }

// Bounds of the share served warm: below the first a pool is hardly worth having, and above the
// second no history is long enough to show whether it was kept.
const (
	minServedWarm = 0.5
	maxServedWarm = 0.9999
	// maxWeight is how many times more than another pool one may count.
	maxWeight = 1000
)

func (p *problems) sizing(field string, s *Sizing, l Limits) {
	if s == nil {
		return
	}
	if s.Mode != SizingDemand && s.Mode != SizingRecommend {
		p.add(field+".mode", "must be %s or %s, is %q", SizingDemand, SizingRecommend, s.Mode)
	}
	if s.ServedWarm != 0 && !(s.ServedWarm >= minServedWarm && s.ServedWarm <= maxServedWarm) {
		p.add(field+".served_warm", "must be between %g and %g, or absent for %g, is %g", minServedWarm, maxServedWarm, DefaultServedWarm, s.ServedWarm)
	}
	p.desired(field+".min", s.Min, l)
	if s.Max < 1 {
		p.add(field+".max", "must be given, at least 1: it bounds what a surge of launches may cost, is %d", s.Max)
	} else {
		p.desired(field+".max", s.Max, l)
	}
	if s.Max >= 1 && s.Min > s.Max {
		p.add(field+".min", "must not be more than max, which is %d, is %d", s.Max, s.Min)
	}
	if !(s.Weight >= 0 && s.Weight <= maxWeight) {
		p.add(field+".weight", "must be above 0 and at most %d, or absent for 1, is %g", maxWeight, s.Weight)
	}
	if _, err := s.Location(); err != nil || s.TimeZone == "Local" {
		p.add(field+".time_zone", "must be an IANA time zone such as Europe/Berlin, is %q", s.TimeZone)
	}
}

// DemandSize is how many sessions a pool wants by its demand, as a scaler decided it last.
type DemandSize struct {
	// At is when it was decided.
	At time.Time `json:"at"`
	// Wanted is how many sessions shall be ready or on their way. Keep is above how many the
	// ready ones are retired: those between are used up without being refilled.
	Wanted int `json:"wanted"`
	Keep   int `json:"keep"`
	// Lacking is how many more the demand asks for than the zone has room for; Wanted is the
	// pool's share then.
	Lacking int `json:"lacking,omitempty"`
	// Expected is the forecast in launches a minute; with a probability of 80% it is between
	// Low and High.
	Expected float64 `json:"expected"`
	Low      float64 `json:"low"`
	High     float64 `json:"high"`
	// Reason is the decision in words.
	Reason string `json:"reason"`
}

// AsksAlike reports whether another size asks for the same sessions, whatever was expected.
func (s DemandSize) AsksAlike(other DemandSize) bool {
	return s.Wanted == other.Wanted && s.Keep == other.Keep && s.Lacking == other.Lacking
}

// Forecast is what is expected of a pool's demand in a step of time to come.
type Forecast struct {
	// At is when the step begins.
	At time.Time `json:"at"`
	// Expected is in launches a minute; with a probability of 80% it is between Low and High.
	Expected float64 `json:"expected"`
	Low      float64 `json:"low"`
	High     float64 `json:"high"`
}

const (
	// ForecastStep is the length of a step, and ForecastSteps how many there are: a day's.
	ForecastStep  = 10 * time.Minute
	ForecastSteps = int(24 * time.Hour / ForecastStep)
)

// PoolNote is what is noted in a pool's history beside what Redis counts.
type PoolNote struct {
	Config Config
	// Wanted is how many ready sessions are wanted.
	Wanted int
	// Size is what its demand asks for; nil for a pool without sizing.
	Size *DemandSize
}
