package sizing

import (
	"math"
	"time"
)

// The season is learned from the launches in slots of five minutes, over eight weeks.
const (
	slotSeconds = 300
	slotsADay   = 24 * 3600 / slotSeconds
	seasonDays  = 56
	seasonSlots = seasonDays * slotsADay
	// seasonWeeks and profileDays are how many weeks and days back a profile looks.
	seasonWeeks = 8
	profileDays = 14
	// smoothSlots is how many slots to each side a smooth profile looks.
	smoothSlots = 3
	// weekFade and dayFade are what the launches of a week or a day ago weigh, compared
	// with those of the week or the day after.
	weekFade = 0.85
	dayFade  = 0.9
	// priorRefills is how much a profile leans on the coarser one before there is history:
	// as much as that many refill times of observation.
	priorRefills = 3
)

// missing marks a slot that was not observed.
const missing = -1

// season learns how demand runs over the day and the week. Times are Unix seconds; the
// time of day is that of its time zone.
type season struct {
	zone *time.Location
	// counts are the launches of each slot, at the slot's number modulo seasonSlots.
	counts []float32
	// first is the number of the first slot, open that of the one being counted: a slot's
	// number is its start divided by slotSeconds.
	first, open int64
	// opened is the launches in the open slot so far.
	opened float64
	// total and since are all launches, and the time of the first observation.
	total, since float64
	// ever is the rate over all time as of the last revision, and revision its number.
	ever     float64
	revision int64
	// refill is the refill time in seconds.
	refill float64
	// profiles caches the profiles of the slots around the open one.
	profiles [32]profile
}

// profile is what the season says of a slot, in launches a second.
type profile struct {
	// slot is the slot's number, asOf the season's revision.
	slot, asOf int64
	// day is the rate at this time of day, week that of this time of the week, both over
	// half an hour; fine is that of this very slot of the week.
	day, week, fine float64
	// ever is the rate over all time, and unknown how far day is that for want of history,
	// from 0 to 1.
	ever, unknown float64
}

func newSeason(zone *time.Location, refill float64) *season {
	s := &season{zone: zone, counts: make([]float32, seasonSlots), refill: refill}
	for i := range s.counts {
		s.counts[i] = missing
	}
	return s
}

// begin starts the season at a time.
func (s *season) begin(t float64) {
	s.since = t
	s.open = slotOf(t)
	s.first = s.open
	s.revise(t)
}

func slotOf(t float64) int64 { return int64(math.Floor(t / slotSeconds)) }

// closes returns the end of the open slot.
func (s *season) closes() float64 { return float64((s.open + 1) * slotSeconds) }

// add counts launches in the open slot.
func (s *season) add(launches float64) {
	s.opened += launches
	s.total += launches
}

// closeSlot stores the open slot and opens the next.
func (s *season) closeSlot() {
	s.counts[s.open%seasonSlots] = float32(s.opened)
	s.opened = 0
	s.open++
}

// skip leaves the slots from the open one to that of t unobserved.
func (s *season) skip(t float64) {
	for to := slotOf(t); s.open < to; s.open++ {
		s.counts[s.open%seasonSlots] = missing
	}
	s.opened = 0
}

// at returns the profile at a time: straight between the middles of two slots.
func (s *season) at(t float64) profile {
	x := t/slotSeconds - 0.5
	slot := int64(math.Floor(x))
	share := x - float64(slot)
	a, b := s.profile(slot), s.profile(slot+1)
	return profile{
		day:  a.day + share*(b.day-a.day),
		week: a.week + share*(b.week-a.week),
		fine: a.fine + share*(b.fine-a.fine),
	}
}

func (s *season) profile(slot int64) *profile {
	p := &s.profiles[slot%int64(len(s.profiles))]
	if p.slot != slot || p.asOf != s.revision {
		*p = s.learn(slot)
	}
	return p
}

// learn computes a slot's profile. Each rate leans on the coarser one as far as it has not
// been observed: the Gamma-Poisson mean.
func (s *season) learn(slot int64) profile {
	var day, week, fine tally
	fade := 1.0
	for back := int64(1); back <= profileDays; back++ {
		fade *= dayFade
		s.around(slot, back, smoothSlots, fade, &day)
	}
	fade = 1.0
	for back := int64(1); back <= seasonWeeks; back++ {
		fade *= weekFade
		s.around(slot, 7*back, smoothSlots, fade, &week)
		s.around(slot, 7*back, 1, fade, &fine)
	}
	prior := priorRefills * s.refill
	p := profile{slot: slot, asOf: s.revision, ever: s.ever}
	p.unknown = prior / (day.slots*slotSeconds + prior)
	p.day = day.rate(p.ever, prior)
	p.week = week.rate(p.day, prior)
	p.fine = fine.rate(p.week, prior)
	// Never nothing: the level is a factor, and could not raise it.
	least := leastLoad / s.refill
	p.day, p.week, p.fine = p.day+least, p.week+least, p.fine+least
	return p
}

// outdatedFrom is by what factor the rate over all time differs from what it was at the last
// revision when it is time for another within a slot. Only a pool that is new comes to that.
const outdatedFrom = 1.5

// outdated reports whether the rate over all time is far from what it was at the last revision.
func (s *season) outdated(t float64) bool {
	rate := s.everUntil(t)
	return rate > s.ever*outdatedFrom || rate*outdatedFrom < s.ever
}

// revise takes the rate over all time as of now, and has the profiles learned anew.
func (s *season) revise(t float64) {
	s.ever = s.everUntil(t)
	s.revision++
}

// everUntil returns the rate over all time; at first one launch in a refill.
func (s *season) everUntil(t float64) float64 {
	return (s.total + 1) / (max(t-s.since, 0) + s.refill)
}

// leastLoad is the fewest launches in a refill that a profile expects.
const leastLoad = 0.01

// tally adds up launches and the time in which they came.
type tally struct{ launches, slots float64 }

// rate returns launches a second, leaning on another rate by seconds of observation.
func (t tally) rate(lean, seconds float64) float64 {
	return (t.launches + lean*seconds) / (t.slots*slotSeconds + seconds)
}

// around adds the slots around the same time of day some days back, the nearest with the
// highest weight.
func (s *season) around(slot, daysBack, reach int64, weight float64, into *tally) {
	then := s.sameTime(slot, daysBack)
	for off := -reach; off <= reach; off++ {
		n := then + off
		if n < s.first || n >= s.open || s.open-n >= seasonSlots-reach {
			continue
		}
		if c := s.counts[n%seasonSlots]; c != missing {
			w := weight / (1 + math.Abs(float64(off)))
			into.launches += w * float64(c)
			into.slots += w
		}
	}
}

// sameTime returns the slot that had the same time of day on the clock some days before.
func (s *season) sameTime(slot, daysBack int64) int64 {
	then := slot - daysBack*slotsADay
	if s.zone == time.UTC {
		return then
	}
	return then + (s.offset(slot)-s.offset(then))/slotSeconds
}

// offset is the time zone's distance from UTC in a slot, in seconds.
func (s *season) offset(slot int64) int64 {
	_, off := time.Unix(slot*slotSeconds, 0).In(s.zone).Zone()
	return int64(off)
}
